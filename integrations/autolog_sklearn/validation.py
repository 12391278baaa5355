"""Cross-validation: one run with the scores of its folds, and none for each fold's fit."""

from __future__ import annotations

from importlib import import_module
from typing import Any, Final, cast

from autolog.integration import Call, Capture, Detach, Hook
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
        if call.span is None or not call.span.owns_run:
            return
        bound = call.bound or {}
        estimator: Any = bound.get("estimator")
        call.span.tag("estimator", extract.class_name(extract.class_of(estimator)))
        call.span.tag("function", call.name)
        call.span.params({f"cv.{key}": val for key, val in bound.items() if key not in _DATA})
        if hasattr(estimator, "get_params"):
            call.span.params(extract.params(estimator))
        for parameter, role in (("X", "train"), ("y", "train_target")):
            if bound.get(parameter) is not None:
                name = call.source_name(parameter)
                call.span.input(role, bound[parameter], name=name)

    def ends(self, call: Call, result: Any) -> None:
        span = call.span
        if span is None or not span.owns_run:
            return
        if call.name == "cross_validate":
            for key, values in cast("dict[str, Any]", result).items():
                self._folds(call, _TIMES.get(key) or key.removeprefix("test_"), values)
        elif call.name == "cross_val_score":
            self._folds(call, "score", result)
        elif call.name == "cross_val_predict":
            bound = call.bound or {}
            name = naming.data_name(span, bound.get("X"), call.source_name("X"))
            self._capture.produced(result, span, data=name or "cv")
        elif call.name == "permutation_test_score":
            score, permuted, p_value = result
            span.metrics({"score": float(score), "p_value": float(p_value)})
            self._folds(call, "permutation_score", permuted)

    def _folds(self, call: Call, name: str, values: Any) -> None:
        """Record one point per fold, their mean and their standard deviation."""
        kind = getattr(getattr(values, "dtype", None), "kind", None)
        if call.span is None or kind is None or kind not in "fiu":  # estimators, indices
            return
        for fold, value in enumerate(values.tolist()):
            call.span.metrics({name: float(value)}, step=fold)
        call.span.metrics(
            {f"{name}_mean": float(values.mean()), f"{name}_std": float(values.std())}
        )
