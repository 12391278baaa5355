"""What a finished training knows: the best round, importances, a metric on its training data."""

from __future__ import annotations

from collections.abc import Mapping
from importlib import import_module
from typing import Any

from autolog.integration import Capture, Span
from autolog_xgboost import extract
from autolog_xgboost.series import History, Series

__all__ = ["evaluated", "importances", "replay", "scalars", "train_metrics", "unknown_yet"]


def scalars(span: Span, series: Series, *, asked: Any) -> None:
    """Record the best round, if it was looked for, and the last one, if there was to be more."""
    values = dict(series.best)
    if "best_score" in values and not span.owns_run:  # a search has a `best_score` of its own
        values[f"best_score.{_scored(series)}"] = values.pop("best_score")
    if isinstance(asked, int) and 0 < series.rounds < asked:
        values["stopped_iteration"] = series.last_step
    if values:
        span.metrics({f"{series.prefix}{name}": value for name, value in values.items()})


def _scored(series: Series) -> str:
    """Return which data and metric the best score is of, as far as the history tells."""
    place = int(series.best["best_iteration"]) - series.start
    found = "booster"
    for data, metrics in (series.history or {}).items():
        for metric, log in metrics.items():
            if 0 <= place < len(log) and log[place] == series.best["best_score"]:
                found = f"{data}-{metric}"
    return found


def replay(series: Series, history: History, booster: Any, *, asked: Any, goes_on: bool) -> None:
    """Record a whole history at once, where the rounds were trained out of sight."""
    rounds = max((len(log) for one in history.values() for log in one.values()), default=0)
    if goes_on and rounds:
        series.start = max(0, int(booster.num_boosted_rounds()) - rounds)
    series.replay(history, rounds)
    iteration, score = booster.attr("best_iteration"), booster.attr("best_score")
    if rounds and iteration is not None and score is not None:
        series.best = {"best_iteration": int(iteration), "best_score": float(score)}
    scalars(series.span, series, asked=asked)


def unknown_yet(capture: Capture) -> None:
    """Say that a training had no result when it returned."""
    capture.notice(
        "xgboost_asynchronous",
        "a training on an asynchronous Dask client returned before it had trained: its run has"
        " parameters only; a synchronous client's run has the rounds and the model",
    )


def importances(span: Span, booster: Any, *, linear: bool, prefix: str = "") -> None:
    """Record the table of importances; none for a model without splits, and for a vector leaf."""
    try:
        columns = extract.importances(booster, linear=linear)
    except _refused():
        return
    if columns:
        span.table(f"{prefix}{'coefficients' if linear else 'feature_importances'}", columns)


def train_metrics(span: Span, series: Series, booster: Any, bound: Mapping[str, Any]) -> None:
    """Evaluate a model once on the data it was trained on: only if the user asks for it."""
    metric, margin = bound.get("custom_metric"), callable(bound.get("obj"))
    if metric is None and bound.get("feval") is not None:
        metric, margin = bound["feval"], True
    text = booster.eval_set([(bound.get("dtrain"), "train")], series.rounds - 1, metric, margin)
    span.metrics(evaluated(text), step=series.last_step)


def evaluated(text: str) -> dict[str, float]:
    """Read what `eval_set` gives: `[7]`, then `train-rmse:0.25` and so on, apart by tabs."""
    pairs = (part.rpartition(":") for part in text.split("\t")[1:])
    return {name: float(value) for name, _, value in pairs}


def _refused() -> type[Exception]:
    """Return what XGBoost raises when a kind of booster has no importance of a type."""
    error: type[Exception] = import_module("xgboost.core").XGBoostError
    return error
