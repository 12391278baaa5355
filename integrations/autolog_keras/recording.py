"""One `fit`, from its beginning to its end: what all hooks inside of it share.

A recording is found by its model, not by the context: the logs of a model go to its own run,
whatever else trains inside its callbacks.
"""

from __future__ import annotations

import time
import weakref
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from autolog.integration import Call, Capture, Span
from autolog_keras.kinds import model_of

__all__ = ["Recording", "Recordings", "Trained"]


@dataclass(eq=False)
class Trained:
    """How far a model was trained in this process, over all its fits.

    Args:
        epochs: the number that its next epoch has, if it is numbered on.
        batches: how many batches it has seen.
        anew: whether the program has given it other weights since.
    """

    epochs: int = 0
    batches: int = 0
    anew: bool = False


@dataclass(eq=False)
class Recording:
    """What is known of one `fit` while it runs.

    Args:
        model: the model, for as long as the call lasts.
        span: where everything is written.
        namespace: `keras` or `tf_keras`: the package that the model is of.
        bound: the arguments of the call by name, without defaults.
        trained: how far the model was trained before.
        told_by: the `CallbackList` that Keras calls, once the training has begun.
        callbacks: the user's callbacks and Keras' own, from then on.
        shift: what is added to Keras' epochs: a model that is trained again goes on counting.
        epoch: the epoch that Keras is in, with the shift; -1 before the first.
        logs: what Keras' History was told of the current epoch.
        described: whether what Keras built is recorded.
        began: whether the first epoch has begun.
        epoch_began: when the current one did.
        rate: the learning rate of the current epoch.
        batch: the number of the newest batch, over all fits of the model; -1 if nobody counts.
        batches_kept: how many batches of this epoch were recorded.
        kept: the metrics of a batch that are still to be read, and the number of that batch.
    """

    model: Any
    span: Span
    namespace: str
    bound: Mapping[str, Any]
    trained: Trained
    told_by: Any = None
    callbacks: tuple[Any, ...] = ()
    shift: int = 0
    epoch: int = -1
    logs: Mapping[str, Any] | None = None
    described: bool = False
    began: bool = False
    epoch_began: float = 0.0
    rate: float | None = None
    batch: int = -1
    batches_kept: int = 0
    kept: dict[str, Any] | None = None
    kept_at: int = 0
    started: float = field(default_factory=time.perf_counter)

    @property
    def rate_key(self) -> str:
        """What the callbacks of this package call the learning rate."""
        return "lr" if self.namespace == "tf_keras" else "learning_rate"

    @property
    def seconds(self) -> float:
        """How long the call has taken so far."""
        return time.perf_counter() - self.started


class Recordings:
    """The recordings in progress by their models, and how far each model was trained."""

    def __init__(self) -> None:
        self._by_model: dict[int, Recording] = {}
        self._trained: dict[int, tuple[weakref.ref[Any], Trained]] = {}

    def begin(self, recording: Recording) -> None:
        """Remember a recording for as long as its call lasts."""
        self._by_model[id(recording.model)] = recording

    def of(self, model: Any) -> Recording | None:
        """Return what is recorded of a model now."""
        return self._by_model.get(id(model))

    def in_call(self, call: Call, capture: Capture) -> Recording | None:
        """Return the fit that a callback, or the list of them, is called in."""
        recording = self.of(model_of(call.instance))
        if recording is not None:
            return recording
        span = capture.current()  # a CallbackList of the user's may know no model
        return span.state.get("keras.recording") if span is not None else None

    def end(self, recording: Recording) -> None:
        """Forget a recording, and with it the model."""
        if self._by_model.get(id(recording.model)) is recording:
            del self._by_model[id(recording.model)]

    def trained(self, model: Any) -> Trained:
        """Return how far a model was trained; it is referred to weakly."""
        key = id(model)
        known = self._trained.get(key)
        if known is not None and known[0]() is model:
            return known[1]

        def gone(reference: weakref.ref[Any]) -> None:
            held = self._trained.get(key)
            if held is not None and held[0] is reference:
                del self._trained[key]

        found = Trained()
        self._trained[key] = (weakref.ref(model, gone), found)
        return found
