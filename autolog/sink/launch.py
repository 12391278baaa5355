"""Starts the helper process, and waits for it when the program ends.

The helper is nobody's child here: a shell starts it in the background and ends at once, so the
program finds no child of ours when it waits for its own, and no `fork` handler of its runs.
"""

from __future__ import annotations

import contextlib
import os
import sys
import time
from collections.abc import Callable, Iterable
from pathlib import Path
from typing import Final

from autolog.journal.lease import locked
from autolog.sink.state import HelperState, hurry_path, lock_path, log_path, read_state
from autolog.store.location import Location

__all__ = ["available", "start_helper", "unshipped", "wait_until_shipped"]

_START: Final = 'cd "$1" && exec 3>&- && "$2" -m autolog.sink </dev/null >/dev/null 2>"$3" &'
_POLL_SECONDS: Final = 0.05
_HOPELESS_TRIES: Final = 2
_HOPELESS_SECONDS: Final = 5.0
_LEFT_OUT: Final = ("PYTHONINSPECT", "PYTHONSTARTUP", "PYTHONDEVMODE", "PYTHONPROFILEIMPORTTIME")
_BOOT: Final = str(Path(__file__).resolve().parent.parent / "_boot")
"""Where `autolog run -- COMMAND` has Python switch autolog on; the helper trains nothing."""
_SHELL: Final = "/bin/sh"


def available() -> str | None:
    """Return why this process can start no helper; None if it can."""
    if not sys.executable:
        return "the path of the Python interpreter is unknown"
    if hasattr(os, "posix_spawn") and not os.access(_SHELL, os.X_OK):
        return f"there is no {_SHELL} to detach it with"
    return None


def start_helper(location: Location) -> None:
    """Start the helper of a store unless one runs; the store's folder must be there.

    Never raises: without a helper, what is journalled is shipped by whoever reads the store next
    or by `autolog sync`.
    """
    with contextlib.suppress(Exception):
        if available() is not None or locked(lock_path(location)):
            return
        environment = {key: text for key, text in os.environ.items() if key not in _LEFT_OUT}
        environment |= {
            "AUTOLOG_STORE": location.address,
            "AUTOLOG_JOURNAL_DIR": str(location.journal),
            "PYTHONWARNINGS": "ignore",
            "OMP_NUM_THREADS": "1",
        }
        paths = environment.pop("PYTHONPATH", "").split(os.pathsep)
        if any(path not in ("", _BOOT) for path in paths):
            environment["PYTHONPATH"] = os.pathsep.join(path for path in paths if path != _BOOT)
        if not hasattr(os, "posix_spawn"):
            _start_on_windows(location, environment)
            return
        words = ["sh", "-c", _START, "sh", str(location.root), sys.executable]
        words.append(str(log_path(location)))
        shell = os.posix_spawn(_SHELL, words, environment)
        try:
            os.waitpid(shell, 0)
        except KeyboardInterrupt:
            os.waitpid(shell, 0)  # no zombie for the program to find
            raise


def _start_on_windows(location: Location, environment: dict[str, str]) -> None:
    import subprocess

    detached = getattr(subprocess, "DETACHED_PROCESS", 0)
    subprocess.Popen(
        [sys.executable, "-m", "autolog.sink"],
        cwd=location.root,
        env=environment,
        stdin=subprocess.DEVNULL,
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
        creationflags=detached,
    )


def wait_until_shipped(
    location: Location,
    files: Iterable[Path],
    timeout: float,
    *,
    waiting: Callable[[int], None],
    patience: float = 0.5,
) -> int:
    """Wait until the store has taken these journal files, or for `timeout` seconds.

    A store that the helper cannot reach is not waited for longer than a few seconds.

    Args:
        location: the store.
        files: files that nobody writes to any more.
        timeout: seconds.
        waiting: called once with the number of bytes left, if it takes longer than `patience`.
        patience: seconds.

    Returns:
        The number of bytes that are left.
    """
    paths = list(files)
    left = unshipped(location, paths)
    start = time.monotonic()
    told = False
    if left:
        start_helper(location)  # the one of this program's start may have died
        with contextlib.suppress(OSError):
            hurry_path(location).touch()
    while left and (passed := time.monotonic() - start) < timeout:
        if not told and passed > patience:
            told = True
            waiting(left)
        state = read_state(location)
        if state is not None and _hopeless(state) and passed > min(_HOPELESS_SECONDS, timeout / 2):
            break
        time.sleep(_POLL_SECONDS)
        left = unshipped(location, paths)
    return left


def unshipped(location: Location, files: Iterable[Path]) -> int:
    """Return how many bytes of these files the store has not taken yet."""
    state = read_state(location)
    shipped = {} if state is None else state.shipped
    left = 0
    for path in files:
        uid, segment, _ = path.name.split(".")
        at = shipped.get(uid, (0, 0))
        try:
            size = path.stat().st_size
        except OSError:  # taken and removed
            continue
        if at < (int(segment), size):
            left += size - (at[1] if at[0] == int(segment) else 0)
    return left


def _hopeless(state: HelperState) -> bool:
    return state.error is not None and state.tries >= _HOPELESS_TRIES
