"""`partial_fit`: all calls on one estimator are one training, and each is a step of it.

Parameters and data are recorded with the first call, then per step the seconds and samples so far
and what the estimator knows. A pickle per call would cost more than many of them: the model is
stored when the training ends, whichever way it does (see `Span.keep`).
"""

from __future__ import annotations

import time
import weakref
from collections.abc import Callable, Mapping
from dataclasses import replace
from typing import Any, Final

from autolog.integration import Call, Capture, Hook, Snapshot, Span
from autolog_sklearn import extract, fits, learned, models

__all__ = ["Steps"]

_PROGRESS: Final = "sklearn.progress"
"""In the state of a training's span: how far it has come."""


class _Progress:
    """How far one training has come."""

    def __init__(self) -> None:
        self.steps = 0
        self.samples: int | None = 0
        self.seconds = 0.0


class Steps:
    """The hook of `partial_fit`."""

    def __init__(self, capture: Capture, watch_results: Callable[[type], None]) -> None:
        self._capture = capture
        self._watch_results = watch_results

    def hook(self) -> Hook:
        """Return the hook."""
        return Hook(enter=self._enter, exit=self._exit)

    def _enter(self, call: Call) -> None:
        span = call.span
        if span is None or not span.owns_run:
            return
        call.state["started"] = time.perf_counter()
        if span.role == "preparation" or _PROGRESS in span.state:
            return
        span.state[_PROGRESS] = _Progress()
        fits.link(self._capture, span, call.instance)
        fits.begin(span, call.instance)
        fits.describe_data(call)

    def _exit(self, call: Call, _: Any) -> None:
        span = call.span
        if span is None or not span.owns_run or "started" not in call.state:
            return
        seconds = time.perf_counter() - call.state["started"]
        estimator = call.instance
        if span.role == "preparation":
            span.event("preparation", {**fits.step_report(call, seconds), "calls": 1})
            if self._capture.producer(estimator) is None:
                self._capture.produced(estimator, span)
                self._watch_results(extract.class_of(estimator))
            return
        progress: _Progress = span.state[_PROGRESS]
        rows = models.shape(call.args[0] if call.args else call.kwargs.get("X"))
        step, progress.steps = progress.steps, progress.steps + 1
        progress.seconds += seconds
        values = {"fit_seconds": progress.seconds, **learned.step_facts(estimator)}
        if rows and progress.samples is not None:
            progress.samples += rows[0]
            values["samples_seen"] = float(progress.samples)
        else:
            progress.samples = None
        span.metrics(values, step=step)
        if step == 0:
            fits.remember(self._capture, span, call, self._watch_results, None)
            span.at_end(self._storing(span, estimator, call.bound or {}))

    def _storing(self, span: Span, estimator: Any, bound: Mapping[str, Any]) -> Callable[[], None]:
        """Make what stores the model at the end of the training.

        The estimator itself is referred to weakly. Of scikit-learn's own, which never refer to
        themselves, the dictionary is held: when the end comes because nobody has the estimator
        any more, an equal one made of the dictionary is stored.
        """
        cls = extract.class_of(estimator)
        reference = weakref.ref(estimator)
        plain = cls.__module__.startswith("sklearn.") and not hasattr(cls, "__del__")
        known: Any = extract.known_of(estimator) if plain else None
        described = fits.snapshot(estimator, bound)
        signature = described.signature if described is not None else None
        capture, method = self._capture, "partial_fit"

        def ended() -> None:
            model: Any = reference()
            if model is None and known is not None:
                model = object.__new__(cls)
                model.__dict__.update(known)
            if model is None:
                capture.notice(
                    "model_not_stored",
                    f"the {cls.__name__} that was trained by {method} is gone, and its model was"
                    " not stored: call autolog.end_run() while it is there",
                )
                return
            last: Snapshot | None = fits.snapshot(model, {})
            if last is not None:
                span.model(replace(last, signature=signature))
            fits.record_tables(capture, span, model)

        return ended
