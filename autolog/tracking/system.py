"""Starts the helper process: for a server with the first run, else once a run lasts.

It measures from outside what the processes of a run use, so the program has no thread for it. An
embedded store needs no helper otherwise, and a short training none at all: with the setting
`system_metrics="auto"` it is started by the first record that is written when a run is 10 s old.
A program that writes nothing after that gets none.
"""

from __future__ import annotations

import os
import signal
from typing import TYPE_CHECKING

from autolog import settings

if TYPE_CHECKING:
    from autolog.tracking.recorder import Recorder

__all__ = ["begin", "unavailable"]


def begin(one: Recorder) -> None:
    """Start the helper of a recorder that has begun to write, or arrange for its start."""
    from autolog.sink.pace import first_age

    mode = settings.value("system_metrics")
    if one.location.remote:
        _start(one)
    elif mode == "always":
        if unavailable() is None:
            _start(one)
    elif mode == "auto":
        _look_later(one, round(first_age() * 1e6))


def _start(one: Recorder) -> None:
    from autolog.sink.launch import start_helper  # a short program needs none of it

    start_helper(one.location)


def unavailable() -> str | None:
    """Return why no helper measures this process at an embedded store; None if one can.

    It never costs the program a signal or a child that it has to answer for.
    """
    from autolog.sink import launch

    if os.getpid() == 1:
        return "the program is process 1 of a container, which inherits every detached process"
    child_signal = getattr(signal, "SIGCHLD", None)
    if child_signal is not None and signal.getsignal(child_signal) not in _PASSIVE:
        return "the program has a handler for SIGCHLD, which the start would call"
    return launch.available()


_PASSIVE = (signal.SIG_DFL, signal.SIG_IGN)


def _look_later(one: Recorder, age_us: int) -> None:
    """Look at the runs with the first record that is written after `age_us`."""
    writer = one.writer

    def look() -> None:
        try:
            _look(one, age_us)
        except Exception:  # a log call of the program; only its system metrics are lost
            if settings.value("strict"):
                raise

    writer.call_after(writer.now_us() + age_us, look)


def _look(one: Recorder, age_us: int) -> None:
    now = one.writer.now_us()
    oldest = min((run.began_us for run in list(one.open_runs.values())), default=now)
    if now - oldest < age_us:
        _look_later(one, oldest + age_us - now)
    elif unavailable() is None:
        _start(one)
