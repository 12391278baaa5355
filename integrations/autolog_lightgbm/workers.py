"""Whether this thread trains a part of a distributed model, whose run is its client's."""

from __future__ import annotations

import threading

from autolog.integration import Call, Hook

__all__ = ["PART", "in_worker"]


class _Thread(threading.local):
    depth = 0


_thread = _Thread()


def in_worker() -> bool:
    """Whether the call belongs to a worker of Dask."""
    return _thread.depth > 0


def _enter(_: Call) -> None:
    _thread.depth += 1


def _leave(_: Call, __: object) -> None:
    _thread.depth -= 1


PART = Hook(enter=_enter, exit=_leave, error=_leave)
"""Goes around what a worker runs."""
