"""Remembers what a recorded model predicts, so that a metric of it belongs to the model's run."""

from __future__ import annotations

from importlib import import_module
from typing import Any, Final

from autolog.integration import Call, Capture, Detach, Hook, Produced
from autolog_xgboost import results
from autolog_xgboost.fitting import fit_of

__all__ = ["attach_boosters", "watch_estimators"]

_MATRICES: Final = frozenset({"train", "test", "val", "valid", "validation", "eval", "holdout"})


def attach_boosters(capture: Capture) -> Detach:
    """Watch what boosters predict, and `Booster.eval`."""
    booster: Any = import_module("xgboost.core").Booster
    evaluations = _Evaluations(capture)
    predicted = Hook(exit=evaluations.predicted)
    detaches = [
        capture.patch(booster, "predict", predicted),
        capture.patch(booster, "inplace_predict", predicted),
        capture.patch(booster, "eval", Hook(exit=evaluations.evaluated), role="evaluation"),
    ]

    def detach() -> None:
        for one in reversed(detaches):
            one()

    return detach


def watch_estimators(capture: Capture, module: Any) -> list[Detach]:
    """Watch what estimators predict, and their scores."""
    evaluations = _Evaluations(capture)
    predicted = Hook(exit=evaluations.predicted)
    scored = Hook(exit=evaluations.scored)
    detaches = [
        capture.patch(getattr(module, name), method, predicted)
        for name in ("XGBModel", "XGBClassifier", "XGBRanker")
        for method in ("predict", "predict_proba")
        if method in vars(getattr(module, name))
    ]
    # `score` is a mixin's, and scikit-learn's integration may watch it there: of an evaluation
    # inside an evaluation only the outer one is recorded.
    detaches.extend(
        capture.patch(getattr(module, name), "score", scored, role="evaluation")
        for name in ("XGBClassifier", "XGBRegressor", "XGBRanker")
        if hasattr(getattr(module, name), "score")
    )
    return detaches


class _Evaluations:
    """Gives predictions and evaluations to the runs of their models."""

    def __init__(self, capture: Capture) -> None:
        self._capture = capture

    def predicted(self, call: Call, result: Any) -> None:
        """Remember an array as the prediction of a model on named data."""
        if self._capture.current() is not None:
            return
        trained = self._capture.producer(call.instance)
        if trained is not None:
            name = _data_name(trained, call, "X" if "X" in (call.bound or {}) else "data")
            self._capture.produced(result, trained.span, data=name)

    def scored(self, call: Call, result: Any) -> None:
        """Record `model.score(X, y)`."""
        trained = self._capture.producer(call.instance)
        if call.span is None or trained is None or call.written_in("sklearn"):
            return
        names = [_data_name(trained, call, parameter) for parameter in ("y", "X")]
        name = "train" if "train" in names else next(filter(None, names), "eval")
        trained.span.evaluation(f"{name}/score", float(result))

    def evaluated(self, call: Call, result: Any) -> None:
        """Record `booster.eval(data, name)`, which gives a line of text."""
        trained = self._capture.producer(call.instance)
        if call.span is None or trained is None or not isinstance(result, str):
            return
        name = str((call.bound or {}).get("name", "eval"))  # may have spaces and dashes
        for key, value in results.evaluated(result).items():
            trained.span.evaluation(f"{name}/{key.removeprefix(f'{name}-')}", value)


def _data_name(trained: Produced, call: Call, parameter: str) -> str | None:
    """Return what the data of a call is named: as in the training, else as in the source.

    `X_test` and the matrix `dtest` are `test`.
    """
    fit = fit_of(trained.span)
    data = (call.bound or {}).get(parameter)
    known = fit.data.name_of(data) if fit is not None else None
    if known == "train":
        return known
    source = call.data_name(parameter)
    if source is None:
        return known
    bare = source.removeprefix("d").removeprefix("_")
    return bare if bare in _MATRICES else source
