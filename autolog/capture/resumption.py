"""Trainings that go on from what a run has written.

Whoever loads a file that a run wrote its model to puts the values into parameters. When a loop
begins over such parameters in that very run, since the scheduler has started the job again or the
program named the run, it goes on from that step: what the earlier attempt logged after it is
superseded. In any other run the training has begun from those weights: the run says from which.
"""

from __future__ import annotations

import weakref
from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING, Any, Final

if TYPE_CHECKING:
    from autolog.capture.loops import Loop
    from autolog.integration import Origin

__all__ = ["RESUMED_FROM", "begin", "remember"]

RESUMED_FROM: Final = "resumed_from"
"""Tag: the id of the run whose weights a training began with."""

_restored: dict[int, tuple[weakref.ref[Any], Origin]] = {}


def remember(parameters: Sequence[Any], origin: Origin) -> None:
    """Note where the values of parameters come from."""
    for one in parameters:
        key = id(one)
        _restored[key] = (weakref.ref(one, _forgetting(key)), origin)


def begin(loop: Loop, parameters: Sequence[Any]) -> None:
    """Say of a loop that begins over these parameters what it goes on from."""
    origin = _origin(parameters) if _restored else None
    run = loop.run
    if origin is None or run is None:
        return
    step = {} if origin.step is None else {"step": origin.step}
    if run.run_id != origin.run_id:
        tags = {RESUMED_FROM: origin.run_id}
        run.set_tags({**tags, **{f"{RESUMED_FROM}_{key}": value for key, value in step.items()}})
    elif origin.writer != run.recorder.writer.uid and origin.step is not None:
        run.restored(origin.step)
        loop.first_step = origin.step + 1
        loop.first_epoch = 0 if origin.epoch is None else origin.epoch + 1
    else:
        return
    run.log_event("resumed", {"run": origin.run_id, **step})


def _origin(parameters: Sequence[Any]) -> Origin | None:
    for one in parameters:
        known = _restored.get(id(one))
        if known is not None and known[0]() is one:
            return known[1]
    return None


def _forgetting(key: int) -> Callable[[weakref.ref[Any]], None]:
    def collected(reference: weakref.ref[Any]) -> None:
        known = _restored.get(key)
        if known is not None and known[0] is reference:
            del _restored[key]

    return collected
