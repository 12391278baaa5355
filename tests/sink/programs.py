"""Programs with an embedded store, and the helper processes that they start."""

from __future__ import annotations

import contextlib
import os
import subprocess
import sys
import textwrap
import time

import psutil

from autolog.sink.state import read_state
from autolog.store import open_store
from autolog.store.fold import fold

PRELUDE = """
import autolog, os, sys, time
from pathlib import Path
journal = Path(os.environ["AUTOLOG_STORE"], "journal")
def until(check):
    limit = time.monotonic() + 60
    while not check():
        assert time.monotonic() < limit
        time.sleep(0.01)
def measured():
    return b"system/cpu_percent" in b"".join(path.read_bytes() for path in journal.glob("*.alj"))
"""
"""Names for programs: `until(check)`, and whether two samples were `measured()`."""


def eventually(check, seconds=60.0):
    """Wait for something that other processes bring about."""
    deadline = time.monotonic() + seconds
    while time.monotonic() < deadline:
        found = check()
        if found:
            return found
        time.sleep(0.05)
    raise AssertionError("it did not come about")


def end_helper(location) -> None:
    """End the helper process of a store if one runs."""
    state = read_state(location)
    if state is not None:
        with contextlib.suppress(psutil.NoSuchProcess):
            process = psutil.Process(state.pid)
            if process.cmdline()[1:] == ["-m", "autolog.sink"]:
                process.kill()


def start(code: str, **environment: str) -> subprocess.Popen:
    """Start a program; AUTOLOG_STORE is in the environment."""
    return subprocess.Popen(
        [sys.executable, "-c", PRELUDE + textwrap.dedent(code)],
        env={**os.environ, **environment},
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )


def finish(process: subprocess.Popen) -> str:
    """Wait for a program that must succeed; return what it printed."""
    out, err = process.communicate(timeout=120)
    assert process.returncode == 0, err
    return out


@contextlib.contextmanager
def reading(location):
    """Open the store with all journals folded."""
    store = open_store(location)
    try:
        fold(store)
        yield store
    finally:
        store.close()
