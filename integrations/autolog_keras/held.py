"""Numbers that the backend may have on a device: read where that costs nothing, else later.

A number on the CPU is read at once. One on another device is held, with what is to be done with it,
until enough of them wait, or a run ends or is read: the program never waits for one number of ours.
"""

from __future__ import annotations

import os
import sys
import threading
import weakref
from collections.abc import Callable
from typing import Any, Final

from autolog_keras.numbers import number_here

__all__ = ["Held", "is_single", "plain"]

_AT_ONCE: Final = 64

_Write = Callable[[list[float]], None]


def plain(value: Any) -> Any:
    """Return the value of a variable, where values are computed at once; else what was given."""
    home = type(value).__module__.partition(".")[0]
    if home == "keras" and hasattr(value, "assign"):
        value = value.value
    if hasattr(value, "read_value") and sys.modules["tensorflow"].executing_eagerly():
        return value.read_value()
    return value


def is_single(value: Any) -> bool:
    """Whether a value is one number that is there: no tracer, no symbol, no vector."""
    if number_here(value) is not None:
        return True
    home = type(value).__module__.partition(".")[0]
    if home == "tensorflow":
        # What a graph is made of has no device that holds its value.
        return hasattr(value, "backing_device") and value.shape.num_elements() == 1
    if home == "torch":
        return value.numel() == 1 and not value.is_meta and not value.is_complex()
    return home == "jaxlib" and getattr(value, "size", 0) == 1


def _is_here(value: Any) -> bool:
    """Whether a number can be read without waiting for a device."""
    if number_here(value) is not None:
        return True
    if hasattr(value, "backing_device"):
        return "CPU" in value.backing_device
    if hasattr(value, "devices"):  # of JAX
        return all(device.platform == "cpu" for device in value.devices())
    return value.device.type == "cpu"


def _read(value: Any) -> float:
    found = number_here(value)
    if found is not None:
        return found
    if hasattr(value, "backing_device"):
        value = value.numpy()
    elif hasattr(value, "detach"):
        value = value.detach()
    return float(value.item())


class Held:
    """Numbers that are written in the order in which they were given."""

    def __init__(self) -> None:
        self._waiting: list[tuple[list[Any], _Write]] = []
        self._lock = threading.RLock()
        _everywhere.add(self)

    def give(self, values: list[Any], write: _Write) -> None:
        """Have single numbers written, at once or later."""
        if not self._waiting and all(map(_is_here, values)):
            write([_read(one) for one in values])
            return
        with self._lock:
            self._waiting.append((values, write))
        if len(self._waiting) >= _AT_ONCE:
            self.read()

    def read(self) -> None:
        """Write all that waits."""
        with self._lock:
            waiting, self._waiting = self._waiting, []
        for values, write in waiting:
            write([_read(one) for one in values])

    def forget(self) -> None:
        """Drop all that waits."""
        self._waiting = []
        self._lock = threading.RLock()


_everywhere: weakref.WeakSet[Held] = weakref.WeakSet()


def _after_fork() -> None:
    """In a forked child: what waits is the parent's to write."""
    for one in list(_everywhere):
        one.forget()


if hasattr(os, "register_at_fork"):
    os.register_at_fork(after_in_child=_after_fork)
