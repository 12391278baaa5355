"""Steps that prepare data: fits of lone transformers, handed to the next training of the thread.

A step is `linked` if the training, or a linked step after it, was given the very array that the
step returned (or a view of it). A thread stands for a context here, since a notebook runs each
cell in a context of its own.
"""

from __future__ import annotations

import threading
import weakref
from collections.abc import Iterable
from typing import Any, Final

import msgspec

__all__ = ["Step", "add", "take"]

_LIMIT: Final = 1000
"""A service that only transforms must not collect steps for ever."""


class Step(msgspec.Struct):
    """A preparation: its report, the span of its results, and the spans whose results it took."""

    report: dict[str, Any]
    span: Any
    sources: tuple[Any, ...]
    owner: weakref.ref[Any] | None = None


class _Thread(threading.local):
    def __init__(self) -> None:
        self.steps: list[Step] = []


_thread = _Thread()


def add(step: Step, owner: Any = None) -> None:
    """Keep a step for the next training; one that counts its calls adds to the last of its object.

    Args:
        step: what was done.
        owner: the object that was fitted.
    """
    if "calls" in step.report:
        step.owner = weakref.ref(owner)
        for known in reversed(_thread.steps):
            if known.owner is not None and known.owner() is owner:
                for key in ("calls", "seconds"):
                    step.report[key] += known.report[key]
                known.report, known.span = step.report, step.span
                known.sources += step.sources
                return
    _thread.steps.append(step)
    del _thread.steps[:-_LIMIT]


def take(sources: Iterable[object]) -> list[dict[str, Any]]:
    """Return the reports of the steps since the last training, in order, and forget the steps.

    Args:
        sources: the spans whose results the training was given.
    """
    steps, _thread.steps = _thread.steps, []
    linked = {id(source) for source in sources}
    reports: list[dict[str, Any]] = []
    for step in reversed(steps):
        is_linked = id(step.span) in linked
        if is_linked:
            linked.update(id(source) for source in step.sources)
        reports.append({**step.report, "linked": is_linked})
    return reports[::-1]
