"""What the parts of this integration tell each other about the loop of a thread."""

from __future__ import annotations

import threading
from collections.abc import Callable
from typing import Any

from autolog.integration import Detach, Loop

__all__ = ["LoopSeen", "here", "loop_seen", "on_loop"]

LoopSeen = Callable[[Loop, Any], None]
"""Told once of each loop and optimizer: `seen(loop, optimizer)`, after its first step there."""


class _Here(threading.local):
    """What is known in this thread of the step that is under way."""

    def __init__(self) -> None:
        self.extras: dict[str, Any] = {}
        """Recorded with the next step: numbers or tensors of one element, by key."""
        self.epoch: int | None = None
        """The epoch of the training data; None without a loader."""
        self.opening: list[Callable[[Loop], None]] = []
        """To be called with the loop of the next step: what was noted before there was one."""


here = _Here()
_listeners: list[LoopSeen] = []


def on_loop(listener: LoopSeen) -> Detach:
    """Have a listener told of each loop and optimizer; it must be `capture.guarded`."""
    _listeners.append(listener)
    return lambda: _listeners.remove(listener)


def loop_seen(loop: Loop, optimizer: Any) -> None:
    """Tell that an optimizer has made its first step in a loop."""
    waiting, here.opening = here.opening, []
    for callback in waiting:
        callback(loop)
    for listener in tuple(_listeners):
        listener(loop, optimizer)
