"""`Model.fit`: one training, from the arguments to the final model."""

from __future__ import annotations

from typing import Any, cast

from autolog.integration import Call, Capture, Role, Span
from autolog_keras.recording import Recording, Recordings

__all__ = ["Fits"]


class Fits:
    """Records fits; made once for each of the two packages."""

    def __init__(self, capture: Capture, recordings: Recordings, namespace: str) -> None:
        self._capture = capture
        self._recordings = recordings
        self._namespace = namespace

    def role_of(self, call: Call) -> Role:
        """Say whether a fit goes on from weights that were trained before."""
        model = call.instance
        known = self._capture.producer(model) is not None
        return "continuation" if known or self._recordings.trained(model).epochs else "training"

    def name_of(self, call: Call) -> str:
        """Name a run after the model's class."""
        return type(call.instance).__name__

    def begins(self, call: Call) -> None:
        """Record what is asked for, before Keras looks at it."""
        span, model = call.span, call.instance
        if span is None:
            return
        # On the torch backend Keras' own loop is one of PyTorch too: it is recorded here.
        span.state["torch.covered"] = True
        recording = Recording(
            model, span, self._namespace, call.bound or {}, self._recordings.trained(model)
        )
        call.state["recording"] = span.state["keras.recording"] = recording
        self._recordings.begin(recording)
        span.tag("model", _qualified_name(model))
        self._link(span, model)

    def _link(self, span: Span, model: Any) -> None:
        """Say which run a training goes on from."""
        known = self._capture.producer(model)
        origin = known.span.trained_by if known is not None else None
        if origin is not None and origin != span.run_id:
            span.tag("resumed_from", origin)

    def is_built(self, call: Call, _: Any) -> None:
        """Record what is known of the model once Keras has built it."""

    def ends(self, call: Call, _: Any) -> None:
        """Record what is known at the end, and store the model."""
        recording = self._finish(call)
        if recording is not None and recording.span.owns_run:
            self._store(recording)

    def fails(self, call: Call, _: BaseException) -> None:
        """Record what is known so far."""
        self._finish(call)

    def _finish(self, call: Call) -> Recording | None:
        """Let go of everything; return what was recorded."""
        recording = cast("Recording | None", call.state.pop("recording", None))
        if recording is None:
            return None
        span = recording.span
        span.state.pop("keras.recording", None)
        self._recordings.end(recording)
        for detach in recording.detaches:
            detach()
        if recording.began:
            self._capture.produced(recording.model, span)
        span.metrics({"fit_seconds": recording.seconds})
        return recording

    def _store(self, recording: Recording) -> None:
        """Store the model as it is after the fit."""


def _qualified_name(model: Any) -> str:
    cls = type(model)
    return f"{cls.__module__}.{cls.__qualname__}"
