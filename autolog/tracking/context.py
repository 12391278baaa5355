"""Which run a `log_*` call belongs to.

Runs that are open form a stack in each context (thread, task): an immutable tuple, from which a
run is removed by identity, so leaving in another order or another task harms nobody. A context
without a run falls back to the run that the user opened last in this process; after a fit, to
the run of the last fit of this thread.
"""

from __future__ import annotations

import threading
from contextvars import ContextVar
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from autolog.tracking.run import LiveRun

__all__ = [
    "above_new_run",
    "current",
    "inherit",
    "last",
    "last_trained",
    "open_loops",
    "pop",
    "push",
    "remember_last",
    "remember_loop",
    "remember_trained",
    "user_opened",
]

_stack: ContextVar[tuple[LiveRun, ...]] = ContextVar("autolog_runs", default=())
_opened: list[LiveRun] = []
_last: LiveRun | None = None


class _Thread(threading.local):
    """A thread stands for a context here: a notebook runs each cell in a context of its own."""

    trained: LiveRun | None = None
    loops: tuple[LiveRun, ...] = ()


_thread = _Thread()


def push(run: LiveRun) -> None:
    """Make `run` the innermost one of this context, if it is not on the stack already."""
    if run in _stack.get():
        return
    _stack.set((*_stack.get(), run))
    if run.user_opened:
        _opened.append(run)


def pop(run: LiveRun) -> None:
    """Remove `run` from this context and from the user's open runs, wherever it stands."""
    _stack.set(tuple(other for other in _stack.get() if other is not run))
    _opened[:] = [other for other in _opened if other is not run]


def current() -> LiveRun | None:
    """Return the innermost open run of this context, else the user's innermost of the process."""
    stack = _stack.get()
    if stack and stack[-1].status == "RUNNING":  # on the path of every log call
        return stack[-1]
    for run in reversed(stack):
        if run.active:
            return run
    return user_opened()


def user_opened() -> LiveRun | None:
    """Return the run that the user opened last and that is still open."""
    for run in reversed(_opened):
        if run.active:
            return run
    return None


def above_new_run() -> LiveRun | None:
    """Return the run that a new one belongs below.

    Never one that another worker thread opened, nor another task of this thread in a `with`
    block, which ends in its own task: the two run side by side.
    """
    for run in reversed(_stack.get()):
        if run.active:
            return run
    thread, main = threading.get_ident(), threading.main_thread().ident
    for run in reversed(_opened):
        if not run.active:
            continue
        if (run.opened_in == thread and not run.in_block) or run.opened_in == main != thread:
            return run
    return None


def remember_trained(run: LiveRun) -> None:
    """Note that the last training of this thread was recorded in `run`."""
    _thread.trained = run


def last_trained() -> LiveRun | None:
    """Return the run of the last training of this thread."""
    return _thread.trained


def remember_loop(run: LiveRun) -> None:
    """Note that a training without an end of its own goes on in this thread, recorded in `run`."""
    if run not in _thread.loops:
        _thread.loops = (*open_loops(), run)


def open_loops() -> tuple[LiveRun, ...]:
    """Return the runs of the trainings that go on in this thread until somebody ends them."""
    return tuple(run for run in _thread.loops if run.active)


def remember_last(run: LiveRun) -> None:
    """Note the newest run of this process."""
    global _last
    _last = run


def last() -> LiveRun | None:
    """Return the newest run of this process, open or ended."""
    return _last


def inherit() -> None:
    """In a forked child: the user's open runs are the parent's to end, others are not ours."""
    global _last
    _opened[:] = [run for run in _opened if run.active]
    for run in _opened:
        run.attached = True
    _stack.set(tuple(run for run in _stack.get() if run.user_opened))
    _last = None
    _thread.trained = None
    _thread.loops = ()
