"""What the parts of this integration tell each other about a thread and its loop."""

from __future__ import annotations

import threading
from collections import deque
from collections.abc import Callable
from typing import TYPE_CHECKING, Any, Final

from autolog.integration import Detach, EpochOf, Loop

if TYPE_CHECKING:
    from autolog_tensorflow.gradients import Gradient

__all__ = ["LoopSeen", "StepMade", "here", "loop_seen", "on_loop", "on_step", "step_listeners"]

LoopSeen = Callable[[Loop, Any], None]
"""Told once of each loop and optimizer: `seen(loop, optimizer)`, after its first step there."""

StepMade = Callable[[], None]
"""Told of each step that an optimizer made, before it is recorded."""

_PENDING: Final = 256
"""So many losses wait for their step at most: gradients need not be applied by an optimizer."""


class _Here(threading.local):
    """What is known in this thread."""

    def __init__(self) -> None:
        self.applying: list[Any] = []
        """Optimizers that are applying gradients, outermost first."""
        self.inner_applied = False
        """Whether an optimizer inside of the outermost one has applied them, too."""
        self.variables: Any = None
        """What the optimizer that is applying gradients was given, where a part of it told."""
        self.in_trainer = 0
        """How many loops of Keras' own are in progress."""
        self.gradients: deque[Gradient] = deque(maxlen=_PENDING)
        """Gradients that were computed and not applied so far."""
        self.epoch_of: EpochOf | None = None
        """Tells the epoch of the step that is being recorded."""


here = _Here()
_loop_listeners: list[LoopSeen] = []
step_listeners: list[StepMade] = []


def on_loop(listener: LoopSeen) -> Detach:
    """Have a listener told of each loop and optimizer; it must be `capture.guarded`."""
    _loop_listeners.append(listener)
    return lambda: _loop_listeners.remove(listener)


def on_step(listener: StepMade) -> Detach:
    """Have a listener told of each step; it must be `capture.guarded`, and cheap."""
    step_listeners.append(listener)
    return lambda: step_listeners.remove(listener)


def loop_seen(loop: Loop, optimizer: Any) -> None:
    """Tell that an optimizer has made its first step in a loop."""
    for listener in tuple(_loop_listeners):
        listener(loop, optimizer)
