"""What one call of `fit` records: parameters, data, what was learned, the model."""

from __future__ import annotations

import time
import types
import weakref
from collections.abc import Callable, Mapping
from typing import Any, Final

from autolog.integration import Call, Capture, Hook, Snapshot, Span
from autolog_sklearn import extract, importances, learned, models, naming, searches, train_metrics
from autolog_sklearn.scores import CLASSES

__all__ = ["Fits", "begin", "describe_data", "link", "remember", "snapshot"]

_DEFERRED: Final = (types.CoroutineType, types.GeneratorType, types.AsyncGeneratorType)
"""What a call of an `async def fit`, or of one that yields, returns before it has trained."""

_KEPT: Final = {
    "labels_": "train",
    "oob_decision_function_": "oob",
    "oob_prediction_": "oob",
}
"""Predictions that a fitted estimator keeps, and the data that they are of."""


class Fits:
    """The hook of `fit`, `fit_transform` and `fit_predict`."""

    def __init__(self, capture: Capture, watch_results: Callable[[type], None]) -> None:
        self._capture = capture
        self._watch_results = watch_results
        self._searches = searches.Searches(capture)
        self._kind_of: train_metrics.KindOf | None = None

    def hook(self) -> Hook:
        """Return the hook."""
        return Hook(enter=self._enter, exit=self._exit, error=self._error)

    def _enter(self, call: Call) -> None:
        span = call.span
        if span is None or not span.owns_run:
            return
        call.state["started"] = time.perf_counter()
        if span.role == "preparation":
            return
        if span.role == "continuation":
            call.state["written"] = self._continues(span, call.instance)
        begin(span, call.instance)
        describe_data(call)
        rows = self._capture.options.input_example
        if rows:  # as it is given: the training may change it
            call.state["example"] = models.example((call.bound or {}).get("X"), rows)

    def _continues(self, span: Span, estimator: Any) -> dict[str, int]:
        """Return how much of its series the training recorded that this one goes on from."""
        recorded = link(self._capture, span, estimator)
        return learned.lengths(estimator) if recorded else {}

    def _exit(self, call: Call, result: Any) -> None:
        span = call.span
        if span is None or not span.owns_run or "started" not in call.state:
            return
        seconds = time.perf_counter() - call.state["started"]
        estimator = call.instance
        if isinstance(result, _DEFERRED):
            self._defer(call, span, result)
            return
        if span.role == "preparation":
            span.event("preparation", step_report(call, seconds))
            self._capture.produced(estimator, span)
            self._watch_results(extract.class_of(estimator))
            return
        span.metrics({"fit_seconds": seconds, **learned.facts(estimator)})
        for step, values in learned.points(estimator, call.state.get("written")):
            span.metrics(values, step=step)
        best = searches.best_params(estimator)
        if best:
            span.params(best)
        self._searches.ended(span, estimator, seconds)
        remember(self._capture, span, call, self._watch_results, result)
        # An integration that knows this class better may have stored it in a format of its own.
        if not span.has_model:
            model = snapshot(estimator, call.bound or {}, call.state.get("example"))
            if model is not None:
                span.model(model)
        record_tables(self._capture, span, estimator)
        if self._capture.options.train_metrics:
            if (
                self._kind_of is None
            ):  # asked here: a matrix without it must cost these metrics alone
                self._kind_of = train_metrics.STRATEGIES[self._capture.strategy("estimator_kind")]
            train_metrics.record(span, estimator, call.bound or {}, self._kind_of)

    def _error(self, call: Call, _: BaseException) -> None:
        if call.span is not None and call.span.owns_run and "started" in call.state:
            seconds = time.perf_counter() - call.state["started"]
            self._searches.stopped(call.span, call.instance, seconds)

    def _defer(self, call: Call, span: Span, result: Any) -> None:
        """Leave the run of a fit that has not trained yet open until its coroutine is gone."""
        kind = type(result).__name__
        span.tag("deferred", kind)
        self._capture.notice(
            "deferred_fit",
            f"fit of {type(call.instance).__name__} returned a {kind} and trains later: its run"
            " stays open until that is gone; what happens inside is not recorded, nor how it ends",
        )
        reference = weakref.ref(call.instance)

        def ended() -> None:
            model = snapshot(reference(), {})
            if model is not None:
                span.model(model)

        remember(self._capture, span, call, self._watch_results, None)
        span.keep(result)
        span.at_end(ended)


def link(capture: Capture, span: Span, estimator: Any) -> bool:
    """Name the run that trained what this training goes on from; false if there is none known."""
    earlier = capture.producer(estimator)
    if earlier is None:
        return False
    run_id = earlier.span.trained_by
    if run_id not in (None, span.run_id):
        span.tag("resumed_from", str(run_id))
    return run_id is not None


def begin(span: Span, estimator: Any) -> None:
    """Record what is trained, and with which parameters."""
    span.tag("estimator", extract.class_name(extract.class_of(estimator)))
    span.params(extract.params(estimator))


def describe_data(call: Call) -> None:
    """Record what the training is given."""
    bound = call.bound or {}
    for parameter, role in (("X", "train"), ("y", "train_target")):
        data = bound.get(parameter)
        if data is not None and call.span is not None:
            call.span.input(role, data, name=call.source_name(parameter))


def step_report(call: Call, seconds: float) -> dict[str, Any]:
    """Describe a preparation step of the training that follows."""
    bound = call.bound or {}
    return {
        "class": extract.class_name(extract.class_of(call.instance)),
        "method": call.name,
        "params": extract.params(call.instance),
        "seconds": seconds,
        "data": call.source_name("X"),
        "shape": models.shape(bound.get("X")),
    }


def remember(
    capture: Capture, span: Span, call: Call, watch: Callable[[type], None], result: Any
) -> None:
    """Let evaluations of this model find its run."""
    estimator = call.instance
    bound = call.bound or {}
    best = searches.model_to_store(estimator)
    known = extract.known_of(best)
    span.state[CLASSES] = extract.known_of(extract.last_step(best)).get("classes_")
    for name, data in _KEPT.items():
        if known.get(name) is not None:
            capture.produced(known[name], span, data=data)
    naming.remember_data(span, bound.get("X"), bound.get("y"))
    capture.produced(estimator, span)
    if best is not None and best is not estimator:
        capture.produced(best, span)
        watch(extract.class_of(best))
    if result is not None and result is not estimator:  # fit_predict gives labels
        capture.produced(result, span, data="train")
    watch(extract.class_of(estimator))


def record_tables(capture: Capture, span: Span, estimator: Any) -> None:
    """Record coefficients and importances, unless the user wants none."""
    if not capture.options.importances:
        return
    for name, columns, left_out in importances.tables(estimator):
        span.table(name, columns)
        if left_out is not None:
            span.event("table_shortened", {"name": name, "left_out": left_out})


def snapshot(estimator: Any, bound: Mapping[str, Any], example: Any = None) -> Snapshot | None:
    """Describe the model to store; None if there is none."""
    model = searches.model_to_store(estimator) if estimator is not None else None
    if model is None:
        return None
    described = models.signature(model, bound.get("X"), bound.get("y"))
    if example is not None:
        described["inputs"]["example"] = example
    return Snapshot(
        model=model,
        format="skops",
        contains_data=models.contains_data(model),
        signature=described,
        versions=models.versions(),
    )
