"""`Model.fit`: one training, from the arguments to the final model."""

from __future__ import annotations

import inspect
from collections.abc import Mapping
from typing import Any, cast

from autolog.integration import Call, Capture, Role, Span
from autolog_keras import architecture, arguments, batches, callbacks, compiled, data, models
from autolog_keras.kinds import class_of
from autolog_keras.recording import Recording, Recordings

__all__ = ["Fits"]


class Fits:
    """Records fits; made once for each of the two packages."""

    def __init__(
        self, capture: Capture, recordings: Recordings, namespace: str, trainer: type
    ) -> None:
        self._capture = capture
        self._recordings = recordings
        self._namespace = namespace
        self._defaults = _defaults(vars(trainer)["fit"])

    def role_of(self, call: Call) -> Role:
        """Say whether a fit goes on from weights that were trained before."""
        model = call.instance
        trained = self._recordings.trained(model)
        known = trained.epochs or self._capture.producer(model) is not None
        return "continuation" if known and not trained.anew else "training"

    def is_set_back(self, call: Call, _: Any) -> None:
        """Note that the program gave a model other weights: it is trained anew, as in folds.

        Callbacks do so within a fit, which goes on.
        """
        model = call.instance
        trained = self._recordings.trained(model)
        if trained.epochs and self._recordings.of(model) is None:
            trained.anew = True

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
        trained = self._recordings.trained(model)
        recording = Recording(model, span, self._namespace, call.bound or {}, trained)
        call.state["recording"] = span.state["keras.recording"] = recording
        self._recordings.begin(recording)
        span.tag("model", _qualified_name(model))
        if trained.anew:
            trained.anew, trained.epochs, trained.batches = False, 0, 0
        else:
            self._link(span, model)
        recording.epoch = trained.epochs - 1  # of what is evaluated before the first epoch
        # Each for itself: what one cannot read is no reason to miss the others.
        for record in (self._record_arguments, self._record_compiled, self._record_data):
            self._capture.guarded(record)(call, recording)

    def _record_arguments(self, _: Call, recording: Recording) -> None:
        recording.span.params(arguments.fit_params(recording.bound, self._defaults))

    def _record_compiled(self, _: Call, recording: Recording) -> None:
        recording.span.params(compiled.compile_params(recording.model))

    def _record_data(self, call: Call, recording: Recording) -> None:
        for part in data.describe(recording.bound):
            recording.span.input(part.role, part.data, name=call.source_name(part.parameter))

    def _link(self, span: Span, model: Any) -> None:
        """Say which run a training goes on from."""
        known = self._capture.producer(model)
        origin = known.span.trained_by if known is not None else None
        if origin is not None and origin != span.run_id:
            span.tag("resumed_from", origin)

    def is_set_up(self, call: Call, _: Any) -> None:
        """Record the callbacks, and the model if Keras has built it before the first batch."""
        recording = self._recordings.in_call(call, self._capture)
        if recording is None:
            return
        span = recording.span
        span.params(callbacks.params(recording.callbacks))
        for key, value in callbacks.tags(recording.callbacks).items():
            span.tag(key, value)
        self._describe_model(recording)

    def epoch_ended(self, call: Call, _: Any) -> None:
        """Record what the first batch has made of a model."""
        recording = self._recordings.in_call(call, self._capture)
        if recording is not None:
            self._describe_model(recording)

    def _describe_model(self, recording: Recording) -> None:
        span, model = recording.span, recording.model
        if recording.described or not architecture.is_built(model):
            return
        recording.described = True
        span.params(architecture.size_params(model))
        if not self._capture.options.summary or not span.owns_run:
            return
        config = architecture.config_json(model)
        if config is not None:
            span.artifact("model.json", config.encode())
        summary = architecture.summary(model)
        if summary:
            span.artifact("model_summary.txt", summary.encode())

    def ends(self, call: Call, _: Any) -> None:
        """Record what is known at the end, and store the model."""
        recording = self._finish(call, completed=True)
        if recording is not None and recording.span.owns_run:
            models.store(self._capture, recording.span, recording.model)

    def fails(self, call: Call, _: BaseException) -> None:
        """Record what is known so far."""
        self._finish(call, completed=False)

    def _finish(self, call: Call, *, completed: bool) -> Recording | None:
        """Let go of everything; return what was recorded."""
        recording = cast("Recording | None", call.state.pop("recording", None))
        if recording is None:
            return None
        span = recording.span
        span.state.pop("keras.recording", None)
        self._recordings.end(recording)
        batches.flush(recording)  # of an epoch that did not come to its end
        if recording.began:
            self._capture.produced(recording.model, span)
            callbacks.record_ending(recording, self._capture, completed=completed)
        span.metrics({"fit_seconds": recording.seconds})
        return recording


def _defaults(function: Any) -> Mapping[str, Any]:
    """Return the default of each parameter that has one."""
    parameters = inspect.signature(function).parameters.values()
    return {one.name: one.default for one in parameters if one.default is not one.empty}


def _qualified_name(model: Any) -> str:
    cls = class_of(model)
    return f"{cls.__module__}.{cls.__qualname__}"
