"""Numbers of a step that are still on their device: read once they have arrived, never waited for.

Reading a number of a CUDA tensor makes the program wait for everything that the device has to do
before it, which can halve the speed of a training. So it is copied into pinned memory in the order
of the device's own work, with an event behind it; a later step finds the event passed and reads.
A device without events has no such way: its numbers are read at once.
"""

from __future__ import annotations

import functools
import os
import threading
import time
import weakref
from collections import deque
from collections.abc import Callable
from importlib import import_module
from typing import Any, Final

__all__ = ["Arrivals", "Reading", "is_captured", "local", "readable"]

_LONGEST: Final = 10.0
"""Seconds that the end of a training waits for its last numbers."""

_SPARE: Final = 64
_buffers: dict[Any, list[Any]] = {}
"""Pinned memory that is free again, by dtype: to get some would wait for the device."""


class Reading:
    """The numbers of one step on their way to the host.

    Args:
        values: numbers and tensors of one element, some of them not on the CPU.
    """

    def __init__(self, values: list[Any]) -> None:
        self._values: list[Any] = []
        self._copies: list[tuple[int, Any, Any]] = []
        self._events: list[tuple[Any, Any]] = []
        places: dict[Any, Any] = {}
        for at, value in enumerate(values):
            if not hasattr(value, "item"):
                self._values.append(float(value))
            elif value.is_cpu:  # at once: a scheduler changes a learning rate in place
                self._values.append(value.item())
            else:
                device = value.device
                place = places.setdefault(device, _place(device))
                buffer = _free(value.dtype)
                source = value.detach().reshape(())
                buffer.copy_(source, non_blocking=hasattr(place, "Event"))
                self._copies.append((at, buffer, source))
                self._values.append(0.0)
        for device, place in places.items():
            if hasattr(place, "Event"):
                event = place.Event()
                stream = getattr(place, "current_stream", None)
                # The copies went to the stream of their device, which need not be the current one.
                _ = event.record(stream(device)) if stream is not None else event.record()
                self._events.append((place, event))

    def ready(self) -> bool:
        """Whether all have arrived; asking makes nobody wait."""
        # A graph that is being captured breaks where its device is asked for anything.
        return all(not _is_capturing(place) and event.query() for place, event in self._events)

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
        for at, buffer, _ in self._copies:
            self._values[at] = float(buffer.item())
            spare = _buffers.setdefault(buffer.dtype, [])
            if len(spare) < _SPARE:
                spare.append(buffer)
        self._copies = []
        return self._values


class Arrivals:
    """Numbers that wait for those before them, and are recorded in order once they have arrived."""

    def __init__(self) -> None:
        self._waiting: deque[tuple[Reading | list[float], Callable[[list[float]], None]]] = deque()
        self._is_reading = False
        self._lock = threading.RLock()
        _everywhere.add(self)

    def give(self, read: Reading | list[float], record: Callable[[list[float]], None]) -> None:
        """Have numbers recorded: at once if they are there and none is waited for."""
        if not self._waiting and not isinstance(read, Reading):
            record(read)
            return
        with self._lock:
            self._waiting.append((read, record))
            self.read_on()

    def read_on(self, *, to_the_end: bool = False) -> None:
        """Record what has arrived; at the end of a training what is on its way too."""
        if not self._waiting:
            return
        with self._lock:
            if self._is_reading:  # what is collected meanwhile may end a run, which settles
                return
            self._is_reading = True
            try:
                while self._waiting:
                    read, record = self._waiting[0]
                    if isinstance(read, Reading):
                        if not read.ready() and not (to_the_end and read.wait()):
                            return
                        read = read.values()
                    self._waiting.popleft()
                    record(read)
            finally:
                self._is_reading = False

    def __bool__(self) -> bool:
        return bool(self._waiting)

    def forget(self) -> None:
        """Forget what waits."""
        self._waiting.clear()
        self._lock = threading.RLock()
        self._is_reading = False


_everywhere: weakref.WeakSet[Arrivals] = weakref.WeakSet()


def _after_fork() -> None:
    """In a forked child: what waits is the parent's to write, and its device cannot be asked."""
    for one in list(_everywhere):
        one.forget()


if hasattr(os, "register_at_fork"):
    os.register_at_fork(after_in_child=_after_fork)


def readable(values: list[Any]) -> list[float] | Reading:
    """Return the numbers, or what will give them if some are on another device."""
    for at, value in enumerate(values):
        if type(value) is float:
            continue
        if hasattr(value, "item"):
            if not getattr(value, "is_cpu", True):
                return Reading(values)
            value = value.item()
        values[at] = float(value)
    return values


def local(value: Any) -> Any:
    """Return a tensor of one element as this process has it; None if it has no number.

    Tensors without memory (`meta`, fake ones) have none. Of one that is distributed over
    processes, parts would have to be summed up in all of them.
    """
    if type(value) is not _plain():
        if hasattr(value, "fake_mode"):
            return None
        if hasattr(value, "placements") and hasattr(value, "to_local"):
            if not all(one.is_replicate() for one in value.placements):
                return None
            value = value.to_local()
    return None if value.is_meta else value


def is_captured(value: Any) -> bool:
    """Whether a tensor stands for work that is noted down in a CUDA graph, and not done."""
    return not getattr(value, "is_cpu", True) and _is_capturing(_place(value.device))


def _is_capturing(place: Any) -> bool:
    ask = getattr(place, "is_current_stream_capturing", None)
    return ask is not None and bool(ask())


@functools.cache
def _plain() -> type:
    torch: Any = import_module("torch")
    return torch.Tensor


def _place(device: Any) -> Any:
    """Return the module of a kind of device, `torch.cuda`; None if there is none."""
    return getattr(import_module("torch"), device.type, None)


def _free(dtype: Any) -> Any:
    spare = _buffers.get(dtype)
    if spare:
        return spare.pop()
    torch: Any = import_module("torch")
    try:
        return torch.empty((), dtype=dtype, pin_memory=True)
    except RuntimeError:  # a device without pinned memory
        return torch.empty((), dtype=dtype)
