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

from autolog.integration import Span

__all__ = ["Recording", "Recordings", "Trained"]


@dataclass(eq=False)
class Trained:
    """How far a model was trained in this process, over all its fits.

    Args:
        epochs: the number that its next epoch has, if it is numbered on.
        batches: how many batches it has seen.
    """

    epochs: int = 0
    batches: int = 0


@dataclass(eq=False)
class Recording:
    """What is known of one `fit` while it runs.

    Args:
        model: the model, for as long as the call lasts.
        span: where everything is written.
        namespace: `keras` or `tf_keras`: the package that the model is of.
        bound: the arguments of the call by name, without defaults.
        trained: how far the model was trained before.
        callbacks: the user's callbacks and Keras' own, once the training has begun.
        shift: what is added to Keras' epochs: a model that is trained again goes on counting.
        epoch: the epoch that Keras is in, with the shift; -1 before the first.
        epochs: how many epochs are complete.
        history: whether Keras' History was told of the current epoch.
        muted: greater than 0 while Keras evaluates inside of the fit.
    """

    model: Any
    span: Span
    namespace: str
    bound: Mapping[str, Any]
    trained: Trained
    callbacks: tuple[Any, ...] = ()
    shift: int = 0
    epoch: int = -1
    epochs: int = 0
    history: bool = False
    muted: int = 0
    began: bool = False
    epoch_began: float = 0.0
    rate: float | None = None
    state: dict[str, Any] = field(default_factory=dict[str, Any])
    started: float = field(default_factory=time.perf_counter)

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
