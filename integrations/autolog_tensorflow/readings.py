"""Numbers of steps: read at once from the CPU, many at a time from another device.

To read a number from a GPU makes the program wait for everything that the device has to do before
it. So what lies there is held, and read once for many steps: when enough of them wait, between two
passes over the data, and before a run ends or is read.
"""

from __future__ import annotations

import os
import threading
import weakref
from collections import deque
from collections.abc import Callable
from typing import Any, Final, cast

__all__ = ["Held", "is_here", "number"]

_AT_ONCE: Final = 64

_Read = Callable[[list[float]], None]


def is_here(value: Any) -> bool:
    """Whether a number can be read without waiting for a device."""
    if type(value) is tuple:
        return all(map(is_here, cast("tuple[Any, ...]", value)))
    place = getattr(value, "backing_device", None)
    return place is None or "CPU" in place


def number(value: Any) -> float:
    """Return a number, the only element of an eager tensor, or the sum of several."""
    if type(value) is float:
        return value
    if type(value) is tuple:
        return sum(map(number, cast("tuple[Any, ...]", value)))
    return float(value.numpy().reshape(()))


class Held:
    """Numbers of steps that are recorded in order.

    Args:
        at_once: how many steps wait for each other at most.
    """

    def __init__(self, at_once: int = _AT_ONCE) -> None:
        self._at_once = at_once
        self._waiting: deque[tuple[list[Any], _Read]] = deque()
        self._lock = threading.RLock()
        self._is_reading = False
        _everywhere.add(self)

    def give(self, values: list[Any], record: _Read) -> None:
        """Have numbers recorded: at once if they are here and none is waited for."""
        if not self._waiting and all(map(is_here, values)):
            record([number(value) for value in values])
            return
        with self._lock:
            self._waiting.append((values, record))
            if len(self._waiting) >= self._at_once:
                self.read()

    def read(self) -> None:
        """Record everything that waits."""
        if not self._waiting:
            return
        with self._lock:
            if self._is_reading:  # what is recorded may end a run, which settles
                return
            self._is_reading = True
            try:
                while self._waiting:
                    values, record = self._waiting.popleft()
                    record([number(value) for value in values])
            finally:
                self._is_reading = False

    def forget(self) -> None:
        """Drop everything that waits."""
        self._waiting.clear()
        self._lock = threading.RLock()
        self._is_reading = False


_everywhere: weakref.WeakSet[Held] = weakref.WeakSet()


def _after_fork() -> None:
    """In a forked child: what waits is the parent's to write."""
    for one in list(_everywhere):
        one.forget()


if hasattr(os, "register_at_fork"):
    os.register_at_fork(after_in_child=_after_fork)
