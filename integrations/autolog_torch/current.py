"""What the parts of this integration tell each other about the loop of a thread."""

from __future__ import annotations

import threading
import weakref
from collections.abc import Callable
from typing import Any, Final

from autolog.integration import Detach, EpochOf, Loop

__all__ = [
    "EpochEnded",
    "LoopSeen",
    "StepMade",
    "epoch_ended",
    "here",
    "loop_seen",
    "on_epoch",
    "on_loop",
    "on_step",
    "step_listeners",
    "with_next_loop",
]

LoopSeen = Callable[[Loop, Any], None]
"""Told once of each loop and optimizer: `seen(loop, optimizer)`, after its first step there."""

StepMade = Callable[[], None]
"""Told of each step that an optimizer made, before it is recorded."""

EpochEnded = Callable[[Loop, int], None]
"""Told of each epoch that is over: `ended(loop, number)`."""


class _Here(threading.local):
    """What is known in this thread of the step that is under way."""

    def __init__(self) -> None:
        self.extras: dict[str, Any] = {}
        """Recorded with the next step: numbers or tensors of one element, by key."""
        self.stepping: list[Any] = []
        """Optimizers whose step is under way, outermost first."""
        self.stepped: weakref.ref[Any] | None = None
        """The optimizer that has made the newest step."""
        self.epoch: int | None = None
        """The epoch of the newest step; None without a loader."""
        self.epoch_of: EpochOf | None = None
        """Tells the epoch of the step that is being recorded."""
        self.opening: list[Callable[[Loop], None]] = []
        """What `with_next_loop` was given."""


_COVERED: Final = "torch.covered"
_MOST: Final = 16
"""So much is kept for the next loop at most: there may be none."""

here = _Here()
_listeners: list[LoopSeen] = []
step_listeners: list[StepMade] = []
_epoch_listeners: list[EpochEnded] = []


def with_next_loop(callback: Callable[[Loop], None]) -> None:
    """Have a callback called with the loop of the next step: of what was noted before it."""
    if callback not in here.opening and len(here.opening) < _MOST:
        here.opening.append(callback)


def on_loop(listener: LoopSeen) -> Detach:
    """Have a listener told of each loop and optimizer; it must be `capture.guarded`."""
    _listeners.append(listener)
    return lambda: _listeners.remove(listener)


def on_step(listener: StepMade) -> Detach:
    """Have a listener told of each step; it must be `capture.guarded`, and cheap."""
    step_listeners.append(listener)
    return lambda: step_listeners.remove(listener)


def on_epoch(listener: EpochEnded) -> Detach:
    """Have a listener told of each epoch that is over; it must be `capture.guarded`."""
    _epoch_listeners.append(listener)
    return lambda: _epoch_listeners.remove(listener)


def epoch_ended(loop: Loop, number: int) -> None:
    """Tell that an epoch is over."""
    for listener in tuple(_epoch_listeners):
        listener(loop, number)


def loop_seen(loop: Loop, optimizer: Any) -> None:
    """Tell that an optimizer has made its first step in a loop."""
    for listener in tuple(_listeners):
        listener(loop, optimizer)
    waiting, here.opening = here.opening, []
    for callback in waiting:
        callback(loop)
