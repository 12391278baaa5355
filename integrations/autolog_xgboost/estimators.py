"""Watches the scikit-learn API: `XGBClassifier.fit` and its kin.

A fit is watched twice at one place. The first hook takes part in ownership: it has the run,
unless scikit-learn's integration, for which these are estimators like any other, was asked
before. The second records, into whichever span the first or scikit-learn's has opened; what
scikit-learn's records itself is left to it.
"""

from __future__ import annotations

import time
from collections.abc import Sequence
from importlib import import_module
from typing import Any, Final, cast

from autolog.integration import Call, Capture, Detach, Hook, Role, Snapshot, Span
from autolog_xgboost import extract, predictions, results
from autolog_xgboost.fitting import Fit, fit_of
from autolog_xgboost.series import Series

__all__ = ["Fits", "attach"]

_OWN: Final = "xgboost.own"
"""In the state of a span: this integration opened it, and records all that there is."""

_CLASSES: Final = ("XGBModel", "XGBClassifier", "XGBRanker", "XGBRFClassifier", "XGBRFRegressor")
"""Those that define a `fit` of their own; `XGBRegressor` has the one of `XGBModel`."""


def attach(capture: Capture) -> Detach:
    """Watch the fits of the classes, what they predict and their scores."""
    module: Any = import_module("xgboost.sklearn")
    fits = Fits(capture)
    detaches = [one for name in _CLASSES for one in fits.watch(getattr(module, name))]
    detaches.extend(predictions.watch_estimators(capture, module))

    def detach() -> None:
        for one in reversed(detaches):
            one()

    return detach


class Fits:
    """The hooks around the fits of estimators."""

    def __init__(self, capture: Capture) -> None:
        self._capture = capture

    def watch(self, cls: type) -> list[Detach]:
        """Put both hooks on the class's own `fit`."""
        if "fit" not in vars(cls):
            return []
        owning = Hook(enter=self._owns)
        recording = Hook(enter=self.begins, exit=self.ends)
        return [
            self._capture.patch(cls, "fit", owning, role=self._role_of),
            self._capture.patch(cls, "fit", recording),
        ]

    def _role_of(self, call: Call) -> Role:
        if fit_of(self._capture.current()) is not None:  # `super().fit()`, or a callback's fit
            return "watch"
        goes_on = self._arguments(call).get("xgb_model") is not None
        return "continuation" if goes_on else "training"

    def _owns(self, call: Call) -> None:
        if call.span is not None:
            call.span.state[_OWN] = True

    def begins(self, call: Call) -> None:
        """Record the parameters and the data."""
        span = self._capture.current()
        if span is None or span.run_id is None or fit_of(span) is not None:
            return
        estimator, bound = call.instance, self._arguments(call)
        fit = Fit(params=extract.estimator_params(estimator), own=_OWN in span.state)
        fit.keep_in(span)
        call.state["fit"], call.state["span"] = fit, span
        call.state["started"] = time.perf_counter()
        fit.data.add("train", bound.get("X"))
        fit.data.add("train", bound.get("y"))
        if fit.own:
            span.tag("estimator", extract.class_name(extract.class_of(estimator)))
            span.params(fit.params)
            for name, role in (("X", "train"), ("y", "train_target")):
                if bound.get(name) is not None:
                    span.input(role, bound[name], name=call.source_name(name))
        eval_set = bound.get("eval_set")
        if isinstance(eval_set, list | tuple):
            self._eval_sets(span, fit, cast("Sequence[Any]", eval_set), bound)

    def _eval_sets(self, span: Span, fit: Fit, pairs: Sequence[Any], bound: Any) -> None:
        """Describe eval sets under the names that XGBoost gives them."""
        for number, pair in enumerate(pairs):
            if not isinstance(pair, tuple | list) or len(cast("Sequence[Any]", pair)) != 2:
                continue
            data, target = cast("Sequence[Any]", pair)
            if data is bound.get("X"):
                continue
            name = f"validation_{number}"
            fit.data.add(name, data)
            span.input("validation", data, name=name)
            span.input("validation_target", target, name=name)

    def ends(self, call: Call, result: Any) -> None:
        """Record the model, and let evaluations find its run."""
        fit = cast("Fit | None", call.state.get("fit"))
        if fit is None:
            return
        span, estimator, bound = call.state["span"], call.instance, self._arguments(call)
        booster = extract.known_of(estimator).get("_Booster")
        if result is not estimator or booster is None:
            results.unknown_yet(self._capture)
            return
        self._capture.produced(estimator, span)
        if not fit.trained:
            self._elsewhere(call, span, booster, bound)
        if not span.owns_run:
            return
        if fit.own:
            span.metrics({"fit_seconds": time.perf_counter() - call.state["started"]})
        span.model(
            Snapshot(
                model=estimator,
                format="xgboost-ubj",
                signature=extract.signature(booster, bound.get("X"), bound.get("y")),
                versions=extract.versions(),
            )
        )

    def _elsewhere(self, call: Call, span: Span, booster: Any, bound: Any) -> None:
        """Record what workers of a cluster have trained."""
        known = extract.known_of(call.instance)
        history = known.get("evals_result_") if bound.get("eval_set") else None
        results.replay(
            Series(span),
            history or {},
            booster,
            asked=known.get("n_estimators"),
            goes_on=bound.get("xgb_model") is not None,
        )
        span.tag("eval_sets", ", ".join(history or ()) or "none")
        if self._capture.options.importances and span.owns_run:
            results.importances(span, booster, linear=known.get("booster") == "gblinear")

    def _arguments(self, call: Call) -> Any:
        cls: Any = extract.class_of(call.instance)
        return extract.arguments(call, cls.fit)
