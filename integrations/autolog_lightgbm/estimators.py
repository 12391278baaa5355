"""Watches the scikit-learn API: `LGBMModel`, `LGBMClassifier`, `LGBMRegressor`, `LGBMRanker`.

A `fit` is watched twice at one place. The first hook takes part in ownership: it has the run,
unless scikit-learn's integration, for which these are estimators like any other, was asked
before. The second one records, into whichever span is there then.
"""

from __future__ import annotations

import time
from collections.abc import Mapping
from importlib import import_module
from typing import Any, Final, cast

from autolog.integration import Call, Capture, Detach, Hook, Role, Snapshot, Span
from autolog_lightgbm import extract, formats, naming
from autolog_lightgbm.fitting import FIT, Fit
from autolog_lightgbm.predictions import Predictions
from autolog_lightgbm.workers import in_worker

__all__ = ["Fits", "attach"]

_OWN: Final = "lightgbm.own"
"""In the state of a span: this integration opened it, and records all that there is."""

_CLASSES: Final = ("LGBMModel", "LGBMClassifier", "LGBMRegressor", "LGBMRanker")


def attach(capture: Capture) -> Detach:
    """Watch the `fit` of each class that defines one."""
    fits = Fits(capture)
    module: Any = import_module("lightgbm.sklearn")
    return fits.watch(getattr(module, name) for name in _CLASSES)


class Fits:
    """The hooks of `fit`."""

    def __init__(self, capture: Capture) -> None:
        self._capture = capture
        self._predictions = Predictions(capture)

    def watch(self, classes: Any) -> Detach:
        """Watch these classes; what is returned ends it."""
        owning, recording = Hook(enter=_owns), Hook(enter=self.begins, exit=self.ends)
        detaches = [
            detach
            for one in classes
            if "fit" in vars(one)
            for detach in (
                self._capture.patch(one, "fit", owning, role=self._role),
                self._capture.patch(one, "fit", recording),
            )
        ]

        def detach() -> None:
            self._predictions.detach()
            for one in reversed(detaches):
                one()

        return detach

    def begins(self, call: Call) -> None:
        """Record the parameters and the data; the `train` inside tells the rest."""
        span = self._capture.current()
        if span is None or span.run_id is None or FIT in span.state or in_worker():
            return
        model, kind = call.instance, extract.class_of(call.instance)
        given = cast("Mapping[str, Any]", model.get_params(deep=False))
        params = {key: extract.described(value) for key, value in given.items()}
        span.state[FIT] = call.state["fit"] = Fit(span, params)
        call.state["started"] = time.perf_counter()
        own = _OWN in span.state
        if own:
            span.tag("estimator", f"{kind.__module__}.{kind.__qualname__}")
            span.params(params)
        if span.owns_run:
            self._inputs(span, call, own=own)

    def ends(self, call: Call, _: Any) -> None:
        """Store the fitted model."""
        fit: Fit | None = call.state.get("fit")
        if fit is None or not fit.span.owns_run:
            return
        if _OWN in fit.span.state:
            fit.span.metrics({"fit_seconds": time.perf_counter() - call.state["started"]})
        self.keep(fit, call, call.instance)

    def keep(self, fit: Fit, call: Call, model: Any) -> None:
        """Store `model` for the estimator that was fitted, and let its predictions be known."""
        span = fit.span
        self._predictions.of(call.instance, span)
        booster = extract.booster_of(model)
        self._predictions.of(booster, span)
        with formats.known_text(booster, fit.text):
            span.model(
                Snapshot(
                    model=model,
                    format="lightgbm-text",
                    signature=extract.signature(model, (call.bound or {}).get("X")),
                    versions=extract.versions(),
                )
            )

    def _role(self, call: Call) -> Role:
        around = self._capture.current()
        if in_worker() or (around is not None and FIT in around.state):  # `super().fit()`
            return "watch"
        return "training" if (call.bound or {}).get("init_model") is None else "continuation"

    def _inputs(self, span: Span, call: Call, *, own: bool) -> None:
        bound = call.bound or {}
        data, target = bound.get("X"), bound.get("y")
        for parameter, role in (("X", "train"), ("y", "train_target")):
            if own and bound.get(parameter) is not None:
                span.input(role, bound[parameter], name=call.source_name(parameter))
        given = bound.get("eval_names")
        names = cast("list[Any]", given) if type(given) in (list, tuple) else []
        for index, (other, labels) in enumerate(_eval_sets(bound)):
            if other is data and labels is target:
                continue
            name = str(names[index]) if index < len(names) else f"valid_{index}"
            span.input("validation", other, name=name)
            span.input("validation_target", labels, name=name)
        naming.remember_data(span, data, target)


def _owns(call: Call) -> None:
    if call.span is not None:
        call.span.state[_OWN] = True


def _eval_sets(bound: Mapping[str, Any]) -> list[tuple[Any, Any]]:
    """Return the evaluation sets of `fit`, in either way of writing them."""
    pairs: Any = bound.get("eval_set")
    if pairs is None and type(bound.get("eval_X")) is tuple and type(bound.get("eval_y")) is tuple:
        pairs = list(zip(bound["eval_X"], bound["eval_y"], strict=False))
    elif pairs is None and bound.get("eval_X") is not None:
        pairs = [(bound["eval_X"], bound.get("eval_y"))]
    if type(pairs) is tuple:
        pairs = [pairs]
    if type(pairs) is not list:
        return []
    known = cast("list[Any]", pairs)
    return [(one[0], one[1]) for one in known if type(one) in (tuple, list) and len(one) == 2]
