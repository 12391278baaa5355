"""Numbers of a step that are still on their device: read once they have arrived, never waited for.

Reading a number of a CUDA tensor makes the program wait for everything that the device has to do
before it, which can halve the speed of a training. So it is copied into pinned memory in the order
of the device's own work, with an event behind it; a later step finds the event passed and reads.
"""

from __future__ import annotations

import time
from importlib import import_module
from typing import Any, Final

__all__ = ["Reading", "readable"]

_LONGEST: Final = 10.0
"""Seconds that the end of a training waits for its last numbers."""

_SPARE: Final = 64
_buffers: list[Any] = []
"""Pinned memory that is free again: to get some would wait for the device."""


class Reading:
    """The numbers of one step on their way to the host.

    Args:
        values: numbers and tensors of one element.
        device: where the tensors are that are not on the CPU.
    """

    def __init__(self, values: list[Any], device: Any) -> None:
        torch: Any = import_module("torch")
        self._values = values
        self._copies: list[tuple[int, Any]] = []
        for at, value in enumerate(values):
            if getattr(value, "device", None) == device:
                buffer = _buffers.pop() if _buffers else _pinned(torch)
                buffer.copy_(value.detach(), non_blocking=True)
                self._copies.append((at, buffer))
        self._event: Any = None
        place: Any = getattr(torch, device.type, None)
        if hasattr(place, "Event"):
            self._event = place.Event()
            self._event.record()

    def ready(self) -> bool:
        """Whether all have arrived; asking makes nobody wait."""
        return self._event is None or bool(self._event.query())

    def wait(self) -> bool:
        """Give the last numbers of a training a moment to arrive; False if they did not."""
        until = time.monotonic() + _LONGEST
        while not self.ready():
            if time.monotonic() > until:
                return False
            time.sleep(0.001)
        return True

    def values(self) -> list[float]:
        """Return the numbers."""
        for at, buffer in self._copies:
            self._values[at] = buffer.item()
            if len(_buffers) < _SPARE:
                _buffers.append(buffer)
        self._copies = []
        return readable(self._values)  # type: ignore[return-value]


def readable(values: list[Any]) -> list[float] | Reading:
    """Return the numbers, or what will give them if some are on another device."""
    for at, value in enumerate(values):
        if type(value) is float:
            continue
        if hasattr(value, "item"):
            if not getattr(value, "is_cpu", True):
                return Reading(values, value.device)
            values[at] = value.item()
        else:
            values[at] = float(value)
    return values


def _pinned(torch: Any) -> Any:
    return torch.empty((), dtype=torch.float64, pin_memory=True)
