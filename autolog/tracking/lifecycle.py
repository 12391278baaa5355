"""What happens when runs open and end, and when the process does.

No signal handler and no excepthook is installed: a handler written in Python delays death inside
C code, and the journal is already written. What is left for the end of the process is to give
the runs that are still open a true state: from the exit code where it is known (`autolog run`),
else from the exception that the interpreter reported last.
"""

from __future__ import annotations

import atexit
import contextlib
import os
import sys
from collections.abc import Callable
from typing import TYPE_CHECKING, Any, Final

from autolog import settings
from autolog.entities import OPEN_AT_EXIT, Status
from autolog.errors import AutologError
from autolog.tracking import context, jobs, printing, recorder, system
from autolog.tracking.run import outcome

if TYPE_CHECKING:
    from autolog.tracking.recorder import Recorder
    from autolog.tracking.run import LiveRun

__all__ = [
    "exit_known",
    "finish",
    "model_loaded",
    "on_model_loaded",
    "on_settle",
    "run_counted",
    "run_ended",
    "run_opened",
    "run_reopened",
    "settle",
]

_EXIT_PRIORITY: Final = 10
"""Before multiprocessing joins what the user left running (0 and below)."""

_REMOTE_TIMEOUT: Final = 60.0
"""Seconds to wait for a server, unless `finish_timeout` says otherwise."""

_registered_in: int | None = None
_finished_in: int | None = None
_exit: tuple[int | None, BaseException | None] | None = None
_model_loaded: list[Callable[[Any, str], None]] = []
_settling: list[Callable[[], None]] = []


def exit_known(code: int | None, exception: BaseException | None) -> None:
    """Say how the program ended: its exit code, or the exception that left it."""
    global _exit
    _exit = (code, exception)


def run_opened(run: LiveRun) -> None:
    """Note that a run of this process has begun."""
    printing.opened(run)


def run_ended(run: LiveRun) -> None:
    """Note that a run of this process has ended."""
    if run.rank is not None:  # rank 0 speaks of the run of its group
        return
    jobs.forget(run.run_id, finished=run.status == Status.FINISHED.value)
    printing.ended(run)


def run_reopened(before: str) -> None:
    """Note that a run of this process goes on, which had ended with this status."""
    printing.reopened(before)


def on_model_loaded(callback: Callable[[Any, str], None]) -> None:
    """Have `callback(model, run_id)` called for each model that `load_model` gives."""
    _model_loaded.append(callback)


def on_settle(callback: Callable[[], None], *, first: bool = False) -> Callable[[], None]:
    """Have `callback()` called when what is not decided yet must be: at an end, before a read.

    Returns:
        What undoes this.
    """
    _settling.insert(0 if first else len(_settling), callback)
    return lambda: _settling.remove(callback)


def settle() -> None:
    """Record what was held until it is clear which run it belongs to."""
    for callback in tuple(_settling):
        with contextlib.suppress(Exception):  # whoever ends or reads a run is better off without
            callback()


def model_loaded(model: Any, run_id: str) -> None:
    """Note that the model of a run was loaded in this process."""
    for callback in _model_loaded:
        callback(model, run_id)


def run_counted(run: LiveRun) -> None:
    """Note that a run was recorded that was over before."""
    printing.opened(run)
    printing.ended(run)


def finish() -> None:
    """Close everything as at the end of the process; safe to call more than once."""
    global _finished_in
    if _finished_in == os.getpid():
        return
    _finished_in = os.getpid()
    timeout = settings.value("finish_timeout")
    settle()
    for one in recorder.all_recorders():
        with contextlib.suppress(AutologError):  # a full disk must not turn into an exit code
            for run in list(one.open_runs.values()):
                _end_at_exit(run)
            one.finish(timeout)
    printing.closing()
    for one in recorder.all_recorders():
        if one.location.remote:
            _wait_until_shipped(one)


def _wait_until_shipped(one: Recorder) -> None:
    """Give the helper a moment for what a server has not taken yet; it goes on without us."""
    files = one.own_files()
    if not files:
        return
    from autolog.sink.launch import wait_until_shipped

    setting = settings.lookup("finish_timeout")
    timeout = _REMOTE_TIMEOUT if setting.origin == "default" else setting.value
    with contextlib.suppress(KeyboardInterrupt, OSError):  # Ctrl-C: enough of waiting
        left = wait_until_shipped(
            one.location,
            files,
            timeout,
            waiting=lambda size: printing.waiting(one.location, size, timeout),
        )
        if left:
            printing.left_behind(one.location, left)


def _end_at_exit(run: LiveRun) -> None:
    if _exit is not None:
        code, exception = _exit
        if exception is not None:
            run.end_by(exception)
        else:
            status = Status.FAILED if code else Status.FINISHED
            run.end(status.value, exit_code=code)
        return
    status, code, error = outcome(run.failed_since_start())
    if run.rank is None:
        run.log_event(OPEN_AT_EXIT)
    run.end(status, exit_code=code, error=error)


def _on_recorder_start(one: Recorder) -> None:
    """Arrange for the end, once per process that writes, and for the helper process."""
    global _registered_in
    system.begin(one)
    if _registered_in == os.getpid():
        return
    _registered_in = os.getpid()
    atexit.register(finish)
    process = sys.modules.get("multiprocessing.process")
    if process is not None and process.parent_process() is not None:
        # A child of multiprocessing leaves by os._exit and never runs atexit.
        from multiprocessing.util import Finalize

        Finalize(None, finish, exitpriority=_EXIT_PRIORITY)


recorder.on_start(_on_recorder_start)

if hasattr(os, "register_at_fork"):
    os.register_at_fork(after_in_child=context.inherit)
