"""One call of a trainer, from its beginning to its end: what all hooks inside of it share.

A recording is found by its trainer, not by the context: the metrics of a trainer go to its own run,
whatever else trains inside its callbacks.
"""

from __future__ import annotations

import os
import time
from dataclasses import dataclass, field
from typing import Any

from autolog.integration import Span
from autolog_lightning.scalars import Scalars

__all__ = ["Recording", "Recordings"]


@dataclass(eq=False)
class Recording:
    """What is known of one `fit`, `validate`, `test` or `predict` while it runs.

    Args:
        trainer: the trainer, for as long as the call lasts.
        function: the name of the method.
        span: where everything is written.
        scalars: writes metrics, also those that are still on their way from a device.
        muted: greater than 0 while Lightning tries something out.
        by_logger: the user gave the trainer an `AutologLogger`, which gets the metrics.
        optimizers: the names of the optimizers by their ids, empty for the only one.
        pending: what the current step's metrics will be written with: learning rates, norms.
        pending_at: the step and the epoch of these.
        taken: keys that the module logs itself, under which nothing else is recorded.
        best: the best value of what each early stopping monitors, and its epoch.
        stopped: the callbacks that stopped the training early.
        saved: the epoch and step of each checkpoint that was written.
        clipping: the name of the optimizer whose gradients are being clipped.
    """

    trainer: Any
    function: str
    span: Span
    scalars: Scalars
    muted: int = 0
    by_logger: bool = False
    optimizers: dict[int, str] = field(default_factory=dict[int, str])
    pending: dict[str, Any] = field(default_factory=dict[str, Any])
    pending_at: tuple[int, int] = (0, 0)
    taken: set[str] = field(default_factory=set[str])
    best: dict[int, tuple[float, int]] = field(default_factory=dict[int, tuple[float, int]])
    stopped: list[Any] = field(default_factory=list[Any])
    saved: dict[str, tuple[int, int]] = field(default_factory=dict[str, tuple[int, int]])
    clipping: str = ""
    started: float = field(default_factory=time.perf_counter)
    pid: int = field(default_factory=os.getpid)

    @property
    def seconds(self) -> float:
        """How long the call has taken so far."""
        return time.perf_counter() - self.started

    @property
    def listening(self) -> bool:
        """Whether what is logged now is the training's, and nobody else tells us."""
        return not self.muted and not self.trainer.sanity_checking

    def where(self) -> tuple[int, int]:
        """Return step and epoch as Lightning tells them to its loggers."""
        trainer = self.trainer
        return trainer.fit_loop.epoch_loop._batches_that_stepped, trainer.current_epoch  # noqa: SLF001

    def add(self, key: str, value: Any, name: str = "") -> None:
        """Keep a value for the metrics of the current step; a new step writes those of the last."""
        key = f"{key}/{name}" if name else key
        if key in self.taken:
            return
        place = self.where()
        if place != self.pending_at:
            self.flush()
            self.pending_at = place
        self.pending[key] = value

    def take(self, step: int) -> dict[str, Any]:
        """Return what was kept for this step, to be written with what is logged at it."""
        if not self.pending or self.pending_at[0] != step:
            return {}
        pending, self.pending = self.pending, {}
        return pending

    def flush(self) -> None:
        """Write what was kept."""
        if self.pending:
            pending, self.pending = self.pending, {}
            self.scalars.write(pending, *self.pending_at)


class Recordings:
    """The recordings in progress by their trainers, and the spans of the fits that are over."""

    def __init__(self) -> None:
        self._by_trainer: dict[int, Recording] = {}
        self.spans: dict[str, Span] = {}
        """By run id: what is loaded from a checkpoint of this process goes on in its run."""

    def begin(self, recording: Recording) -> None:
        """Remember a recording for as long as its call lasts."""
        self._by_trainer[id(recording.trainer)] = recording

    def of(self, trainer: Any) -> Recording | None:
        """Return what is recorded of a trainer now."""
        return self._by_trainer.get(id(trainer))

    def end(self, recording: Recording) -> None:
        """Forget a recording, and with it the trainer."""
        if self._by_trainer.get(id(recording.trainer)) is recording:
            del self._by_trainer[id(recording.trainer)]

    def of_optimizer(self, optimizer: Any) -> Recording | None:
        """Return the fit that an optimizer takes part in."""
        key = id(optimizer)
        for recording in self._by_trainer.values():
            if key in recording.optimizers:
                return recording
        return None
