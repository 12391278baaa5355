"""What the user gave to somebody else (a progress bar, a summary writer), recorded in the run.

It belongs to the run that `log_*` would write to. A loop's run opens with its first step, and a
value may be given a moment before it: while an optimizer is there that has not stepped, or whose
steps are held, values wait in memory, so that they open no run beside the loop's. They are written
when the loop begins, and at the end of the process. More than `_PATIENCE` of them wait for no
optimizer: from then on nothing waits for these.

A series has one source: where a name is that of a series which somebody else has begun in the run,
the integration itself or another source, the values are called `<source>/<name>`.
"""

from __future__ import annotations

import os
import threading
import weakref
from collections.abc import Callable, Mapping
from typing import Any, Final

from autolog.capture import health, loops, optimizers, suspension, workers
from autolog.tracking import context, fluent, ranks
from autolog.tracking.run import LiveRun

__all__ = ["begun", "log", "log_params", "set_tag", "settle"]

_PATIENCE: Final = 64

_Write = Callable[[LiveRun | None], None]


class _Waiting(threading.local):
    def __init__(self) -> None:
        self.values: list[_Write] = []
        _everywhere.append(self.values)


_everywhere: list[list[_Write]] = []
_waiting = _Waiting()
_sources: weakref.WeakKeyDictionary[LiveRun, dict[str, str]] = weakref.WeakKeyDictionary()
"""Who began each series of a run; no text for an integration."""
_not_waited_for: weakref.WeakSet[optimizers.LoopOptimizer] = weakref.WeakSet()


def log(values: Mapping[str, Any], step: int | None, *, source: str, opens: bool = True) -> None:
    """Record numbers.

    Args:
        values: numbers by key.
        step: their step; None for the loop's.
        source: whom they were given to.
        opens: whether they are worth a run of their own where nothing trains.
    """
    values = dict(values)

    def write(run: LiveRun | None) -> None:
        if run is not None and (opens or run.active):
            run.log_metrics(_named(run, values, source), step)
        elif opens:
            fluent.log_metrics(values, step)

    _give(write)


def log_params(values: Mapping[str, Any]) -> None:
    """Record parameters; they open no run."""
    values = dict(values)
    _give(lambda run: run.log_params(values) if run is not None else None)


def set_tag(key: str, value: str) -> None:
    """Set a tag; it opens no run."""
    _give(lambda run: run.set_tag(key, value) if run is not None else None)


def _named(run: LiveRun, values: Mapping[str, Any], source: str) -> dict[str, Any]:
    """Name values so that each series has one source."""
    sources = _sources.get(run)
    if sources is None:
        sources = _sources[run] = {}
    named: dict[str, Any] = {}
    for key, value in values.items():
        begun_by = sources.get(key)
        if begun_by is None:
            begun_by = sources[key] = "" if health.of(run).has_seen(key) else source
        named[key if begun_by == source else f"{source}/{key}"] = value
    return named


def settle() -> None:
    """Write what waits in any thread: no loop will begin any more."""
    for values in _everywhere:
        _write_all(values, _present())


def begun(run: LiveRun | None) -> None:
    """Write what waits in this thread: the loop that it was given in has begun."""
    if _waiting.values:
        _write_all(_waiting.values, run)


def _give(write: _Write) -> None:
    if suspension.suspended() or workers.is_framework_worker() or ranks.follower() is not None:
        return
    waiting = _waiting.values
    if context.current() is None:
        undecided = [one for one in optimizers.undecided() if one not in _not_waited_for]
        if undecided:
            waiting.append(write)
            if len(waiting) > _PATIENCE:
                _not_waited_for.update(undecided)
                _write_all(waiting, _present())
            return
    run = _present()
    if waiting:
        _write_all(waiting, run)
    write(run)


def _present() -> LiveRun | None:
    """Return the run that a value belongs to now: the one that `log_*` would write to."""
    run = context.current()
    if run is None:
        loop = loops.latest()
        run = loop.run if loop is not None else None
    return run or context.last_trained()


def _write_all(waiting: list[_Write], run: LiveRun | None) -> None:
    values = waiting[:]
    waiting.clear()
    for write in values:
        write(run)


def _after_fork() -> None:
    """In a forked child: what waits is the parent's to write."""
    for values in _everywhere:
        values.clear()


loops.on_begin(begun)

if hasattr(os, "register_at_fork"):
    os.register_at_fork(after_in_child=_after_fork)
