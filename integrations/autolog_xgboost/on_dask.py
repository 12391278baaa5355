"""Watches the client's side of training on Dask: `xgboost.dask.train` and `DaskXGBClassifier`.

The rounds are trained by workers, in processes of their own; the client records the history that
comes back at the end. A client in asynchronous mode gets no result here: its run has parameters.
"""

from __future__ import annotations

import time
from collections.abc import Mapping
from importlib import import_module
from typing import Any, Final, cast

from autolog.integration import Call, Capture, Detach, Hook, Role, Snapshot
from autolog_xgboost import extract, results
from autolog_xgboost.estimators import Fits
from autolog_xgboost.fitting import Fit
from autolog_xgboost.series import Series

__all__ = ["attach"]

_CLASSES: Final = (
    *("DaskXGBRegressor", "DaskXGBClassifier", "DaskXGBRanker"),
    *("DaskXGBRFRegressor", "DaskXGBRFClassifier"),
)


def attach(capture: Capture) -> Detach:
    """Watch the function and the estimators."""
    module: Any = import_module("xgboost.dask")
    training = _Training(capture, module.train)
    hook = Hook(enter=training.begins, exit=training.ends)
    fits = Fits(capture)
    detaches = [capture.patch(module, "train", hook, role=training.role_of, name="Booster")]
    for name in _CLASSES:
        detaches.extend(fits.watch(getattr(module, name)))

    def detach() -> None:
        for one in reversed(detaches):
            one()

    return detach


class _Training:
    """Records `xgboost.dask.train`."""

    def __init__(self, capture: Capture, function: Any) -> None:
        self._capture = capture
        self._function = function

    def role_of(self, call: Call) -> Role:
        goes_on = extract.arguments(call, self._function).get("xgb_model") is not None
        return "continuation" if goes_on else "training"

    def begins(self, call: Call) -> None:
        span = call.span
        if span is None or span.run_id is None:
            return
        bound = extract.arguments(call, self._function)
        call.state["started"] = time.perf_counter()
        Fit(own=True).keep_in(span)
        span.tag("estimator", "xgboost.Booster")
        span.tag("function", "xgboost.dask.train")
        span.params({**extract.native_params(bound.get("params")), **extract.given(bound)})
        span.input("train", bound.get("dtrain"), name=call.source_name("dtrain"))
        evals: Any = bound.get("evals")
        if isinstance(evals, list | tuple) or evals is None:
            sets = cast("list[tuple[Any, Any]]", evals or [])
            span.tag("eval_sets", ", ".join(str(name) for _, name in sets) or "none")
            for data, name in sets:
                if data is not bound.get("dtrain"):
                    span.input("validation", data, name=str(name))

    def ends(self, call: Call, result: Any) -> None:
        span = call.span
        if span is None or "started" not in call.state:
            return
        if not isinstance(result, Mapping):
            results.unknown_yet(self._capture)
            return
        known = cast("Mapping[str, Any]", result)
        bound = extract.arguments(call, self._function)
        booster = known["booster"]
        series = Series(span)
        results.replay(
            series,
            known.get("history") or {},
            booster,
            asked=bound.get("num_boost_round"),
            goes_on=bound.get("xgb_model") is not None,
        )
        self._capture.produced(booster, span)
        if not span.owns_run:
            return
        span.metrics({"fit_seconds": time.perf_counter() - call.state["started"]})
        if self._capture.options.importances:
            native = extract.native_params(bound.get("params"))
            results.importances(span, booster, linear=native.get("booster") == "gblinear")
        span.model(
            Snapshot(
                model=booster,
                format="xgboost-ubj",
                signature=extract.signature(booster),
                versions=extract.versions(),
            )
        )
