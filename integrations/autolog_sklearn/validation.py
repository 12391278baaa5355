"""Cross-validation: one run with the scores of its folds, and none for each fold's fit.

With scikit-learn itself off these functions are bridges: they get a run if a framework that is on
trains inside, and its params are those of the estimator.
"""

from __future__ import annotations

from collections.abc import Mapping
from importlib import import_module
from typing import Any, Final, cast

from autolog.integration import Call, Capture, Detach, Hook, Span
from autolog_sklearn import extract, naming

__all__ = ["attach"]

_FUNCTIONS: Final = (
    "cross_validate",
    "cross_val_score",
    "cross_val_predict",
    "learning_curve",
    "validation_curve",
    "permutation_test_score",
)
_DATA: Final = frozenset({"estimator", "X", "y", "groups", "params", "fit_params"})
_TIMES: Final = {"fit_time": "fit_seconds", "score_time": "score_seconds"}
_CURVES: Final = ("train_score", "score", "fit_seconds", "score_seconds")


def attach(capture: Capture) -> Detach:
    """Watch the functions that fit an estimator on parts of the data."""
    module: Any = import_module("sklearn.model_selection._validation")
    validation = _Validation(capture)
    hook = Hook(enter=validation.begins, exit=validation.ends)
    detaches = [
        capture.patch(module, name, hook, role="container", kind="cv") for name in _FUNCTIONS
    ]

    def detach() -> None:
        for one in reversed(detaches):
            one()

    return detach


class _Validation:
    """Records what a cross-validation was asked for and what it gave."""

    def __init__(self, capture: Capture) -> None:
        self._capture = capture

    def begins(self, call: Call) -> None:
        span = call.span
        estimator: Any = (call.bound or {}).get("estimator")
        if span is None:
            return
        if self._capture.bridging:
            from autolog_sklearn.containers import trains_watched

            if trains_watched(self._capture, estimator):
                self._introduce(call, span)
        elif span.owns_run:
            self._introduce(call, span)

    def _introduce(self, call: Call, span: Span) -> None:
        """Say what is validated, and how."""
        bound = call.bound or {}
        estimator: Any = bound.get("estimator")
        span.tag("estimator", extract.class_name(extract.class_of(estimator)))
        span.tag("function", call.name)
        if hasattr(extract.class_of(estimator), "get_params"):
            span.params(extract.params(estimator))
        if self._capture.bridging:
            return
        span.params({f"cv.{key}": val for key, val in bound.items() if key not in _DATA})
        for parameter, role in (("X", "train"), ("y", "train_target")):
            if bound.get(parameter) is not None:
                name = call.source_name(parameter)
                span.input(role, bound[parameter], name=name)

    def ends(self, call: Call, result: Any) -> None:
        span = call.span
        if span is None or span.run_id is None or not span.owns_run:
            return
        if self._capture.bridging and span.joined_by is None:
            self._introduce(call, span)
        bound = call.bound or {}
        if call.name == "cross_validate":
            for key, values in cast("dict[str, Any]", result).items():
                self._folds(span, _TIMES.get(key) or key.removeprefix("test_"), values)
        elif call.name == "cross_val_score":
            self._folds(span, "score", result)
        elif call.name == "cross_val_predict":
            name = naming.data_name(span, bound.get("X"), call.data_name("X"))
            self._capture.produced(result, span, data=name or "cv")
        elif call.name == "permutation_test_score":
            score, permuted, p_value = result
            span.metrics({"score": float(score), "p_value": float(p_value)})
            self._folds(span, "permutation_score", permuted)
        elif call.name == "learning_curve":
            sizes, *scores = result
            self._curve(span, [int(size) for size in sizes.tolist()], scores)
        elif call.name == "validation_curve":
            self._parameter_curve(span, bound, result)

    def _folds(self, span: Span, name: str, values: Any) -> None:
        """Record one point per fold, their mean and their standard deviation."""
        kind = getattr(getattr(values, "dtype", None), "kind", None)
        if kind is None or kind not in "fiu":  # estimators, indices
            return
        for fold, value in enumerate(values.tolist()):
            span.metrics({name: float(value)}, step=fold)
        span.metrics({f"{name}_mean": float(values.mean()), f"{name}_std": float(values.std())})

    def _curve(self, span: Span, steps: list[int], scores: Any) -> dict[str, list[float]]:
        """Record a point of each curve per step: mean and deviation over the folds, and those."""
        columns: dict[str, list[float]] = {}
        for name, rows in zip(_CURVES, scores, strict=False):
            columns[f"{name}_mean"] = rows.mean(axis=1).tolist()
            columns[f"{name}_std"] = rows.std(axis=1).tolist()
            for fold, column in enumerate(rows.T.tolist()):
                columns[f"{name}_fold{fold}"] = column
        for index, step in enumerate(steps):
            span.metrics({name: column[index] for name, column in columns.items()}, step=step)
        return columns

    def _parameter_curve(self, span: Span, bound: Mapping[str, Any], result: Any) -> None:
        """Record a point per value of the parameter, with the value, and all as a table."""
        columns = self._curve(span, list(range(len(result[0]))), result)
        name = str(bound.get("param_name"))
        given: Any = bound.get("param_range")
        values: list[Any] = given.tolist() if hasattr(given, "tolist") else [*given]
        if all(isinstance(value, (int, float)) for value in values):
            for step, value in enumerate(values):
                span.metrics({name: float(value)}, step=step)
        means = {key: column for key, column in columns.items() if "_fold" not in key}
        span.table("validation_curve", {name: values, **means})
