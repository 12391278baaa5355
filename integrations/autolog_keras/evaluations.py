"""`evaluate` and `predict` outside of a fit belong to the run that trained the model.

So does an `evaluate` that a callback of the user calls for the model in training; those that Keras
itself makes on the validation data are part of its logs.
"""

from __future__ import annotations

import time
from typing import Any, Final, cast

from autolog.integration import Call, Capture, Role, Span
from autolog_keras.kinds import model_of
from autolog_keras.numbers import numbers
from autolog_keras.recording import Recordings

__all__ = ["Evaluations"]

_BY_KERAS: Final = "_use_cached_eval_dataset"
"""The argument by which `fit` calls `evaluate`."""


class Evaluations:
    """Records evaluations; made once for each of the two packages."""

    def __init__(self, capture: Capture, recordings: Recordings) -> None:
        self._capture = capture
        self._recordings = recordings
        self._measured: dict[int, dict[str, float]] = {}
        """The logs of evaluations in progress, by their models."""

    def role_of(self, call: Call) -> Role:
        """An evaluation inside of the model's own fit is a part of that."""
        return "watch" if self._recordings.of(call.instance) is not None else "evaluation"

    def begins(self, call: Call) -> None:
        """Find the run whose model is evaluated."""
        if _BY_KERAS in call.kwargs:
            return
        model = call.instance
        recording = self._recordings.of(model)
        if recording is not None:
            call.state["epoch"] = recording.epoch
            span = recording.span
        elif call.span is None or call.span.role != "evaluation":
            return
        else:
            call.span.state["torch.covered"] = True
            span = self._span_of(model)
        if span is not None:
            call.state.update(span=span, started=time.perf_counter())
            self._measured[id(model)] = {}

    def _span_of(self, model: Any) -> Span | None:
        known = self._capture.producer(model)
        if known is None:
            self._capture.loaded(model)
            known = self._capture.producer(model)
        return known.span if known is not None else None

    def measured(self, call: Call) -> None:
        """Take the logs that Keras gives the callbacks at the end of an evaluation."""
        model = model_of(call.instance)
        if id(model) in self._measured:
            logs = call.args[0] if call.args else call.kwargs.get("logs")
            self._measured[id(model)] = dict(numbers(logs or {}))

    def ends(self, call: Call, result: Any) -> None:
        """Record what was measured, as `<data>/<metric>`."""
        measured = self._measured.pop(id(call.instance), None)
        span: Span | None = call.state.get("span")
        if span is None:
            return
        if not measured:
            given = cast("Any", result if isinstance(result, dict) else {"loss": result})
            measured = dict(numbers(given))
        data = call.data_name("x") or "eval"
        named = {f"{data}/{key}": value for key, value in measured.items()}
        epoch = call.state.get("epoch")
        if epoch is not None:
            span.metrics(named, step=epoch, epoch=epoch)
            return
        for key, value in named.items():
            span.evaluation(key, value)
        span.metrics({f"{data}/seconds": time.perf_counter() - call.state["started"]})

    def fails(self, call: Call, _: BaseException) -> None:
        """Forget what was measured."""
        self._measured.pop(id(call.instance), None)

    def predicted(self, call: Call, result: Any) -> None:
        """Remember whose predictions these are: metrics on them belong to that run."""
        known = self._capture.producer(call.instance)
        if known is not None and self._recordings.of(call.instance) is None:
            self._capture.produced(result, known.span, data=call.data_name("x"))
