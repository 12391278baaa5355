"""Looks at the store: where it is, whether it can be opened and written, what waits in journals.

Nothing in it is changed. Whatever is wrong becomes one line, never a traceback.
"""

from __future__ import annotations

import importlib.util
import tempfile
from collections import Counter
from typing import TYPE_CHECKING, Final

import msgspec

from autolog import settings
from autolog.errors import AutologError, SettingsError

if TYPE_CHECKING:
    from autolog.journal.files import WriterFiles
    from autolog.store.location import Location

__all__ = ["StoreCheck", "look_at"]

_READ_AT_MOST: Final = 64 << 20
"""Bytes of journals that are read for damage, newest first; `autolog journal verify` reads all."""


class StoreCheck(msgspec.Struct, frozen=True, kw_only=True):
    """The store that a program started here would use.

    `pending` are writers by state; `helper` says what the process that ships to a server is at, and
    `system_metrics` of which runs it is measured what they use, or why of none. `damaged` are
    journal files in which something is wrong that no crash explains. `journalled`: what a program
    logs is kept in journals, also while the store itself cannot be reached.
    """

    uri: str | None = None
    exists: bool = False
    writable: bool = False
    pending: dict[str, int] = {}
    notice: str | None = None
    helper: str | None = None
    system_metrics: str | None = None
    damaged: list[str] = []
    journalled: bool = False


def look_at(uri: str | None, problems: list[str]) -> StoreCheck:
    """Look at the store that `uri` names, and add to `problems` what is wrong with it."""
    from autolog.store.location import locate

    try:
        location = locate(uri)
    except AutologError as error:
        problems.append(str(error))
        return StoreCheck()
    try:
        return _look_at(location, problems)
    except OSError as error:  # a folder that may not be searched
        problems.append(f"the store cannot be read: {_said(error, location)}")
        return StoreCheck(uri=location.uri, notice=location.notice)


def _look_at(location: Location, problems: list[str]) -> StoreCheck:
    problem = _cannot_write(location)
    journalled = problem is None
    # What is journalled is in the store for whoever looks, also before the first look.
    exists = location.remote or location.journal.is_dir()
    exists = exists or (location.database is not None and location.database.exists())
    pending: dict[str, int] = {}
    damaged: list[str] = []
    if exists:
        pending, damaged = _journals(location)
        try:
            _open(location)
        except AutologError as error:
            problem, exists = str(error), not location.remote
    if problem is not None:
        problems.append(problem)
    if damaged:
        more = f" and {len(damaged) - 1} more" if len(damaged) > 1 else ""
        problems.append(
            f"damaged journal: {damaged[0]}{more}; what can be read of it is kept:"
            " autolog journal verify, then autolog journal repair --all"
        )
    helper, failure = _helper(location)
    if failure is not None:
        problems.append(failure)
    return StoreCheck(
        uri=location.uri,
        exists=exists,
        writable=problem is None,
        pending=pending,
        notice=location.notice,
        helper=helper,
        system_metrics=_system_metrics(location),
        damaged=damaged,
        journalled=journalled,
    )


_MEASURED: Final = {
    "auto": "of runs that last longer than 10 s",
    "always": "of all runs",
    "never": "none, by the setting",
}


def _system_metrics(location: Location) -> str | None:
    """Say of which runs it is measured what they use of the machine, or why of none."""
    from autolog.sink.launch import available
    from autolog.sink.state import read_state

    try:
        wanted = settings.value("system_metrics")
    except SettingsError:  # told among the settings
        return None
    why = available()
    if why is None and importlib.util.find_spec("psutil") is None:
        why = "psutil is not installed"
    state = read_state(location)
    if why is None and state is not None:
        why = state.sampling
    if why is None or wanted == "never":
        return _MEASURED[wanted]
    return f"none: {why}"


def _helper(location: Location) -> tuple[str | None, str | None]:
    """Say what the helper process of a server is at, and what went wrong for it."""
    from autolog.cli.format import ago, count
    from autolog.journal.lease import locked
    from autolog.sink.state import lock_path, log_path, read_state

    state = read_state(location)
    if not location.remote or state is None:
        return None, None
    running = bool(locked(lock_path(location)))
    said = f"process {state.pid} ships" if running else "none runs; the next program starts one"
    if state.error is None or state.failing_since is None:
        return said, None
    since = ago(round(1000 * state.failing_since))
    return said, (
        f"the helper process failed {count(state.tries, 'time')} in a row, first {since}:"
        f" {state.error} (its output: {log_path(location)})"
    )


def _open(location: Location) -> None:
    """Open the store, changing nothing in it."""
    from autolog.store import open_store

    open_store(location, write=False).close()


def _journals(location: Location) -> tuple[dict[str, int], list[str]]:
    """Return how many writers there are by their state, and what is damaged in their files."""
    from autolog.journal.files import list_writers

    writers = list_writers(location.journal)
    left = _READ_AT_MOST
    damaged: list[str] = []
    for files in reversed(writers):
        left -= sum(path.stat().st_size for path in files.segments.values() if path.exists())
        if left < 0:
            break
        damaged += _damage(files)
    return dict(Counter(files.state() for files in writers)), damaged


def _damage(files: WriterFiles) -> list[str]:
    from autolog.journal.verify import verify

    try:
        reports = verify(files)
    except FileNotFoundError:  # taken and removed by a reader
        return []
    return [
        f"{report.path} at byte {problem.offset}: {problem.why}"
        for report in reports
        for problem in report.problems
        if problem.sort in ("damage", "missing")
    ]


def _said(error: OSError, location: Location) -> str:
    return f"{error.filename or location.root}: {error.strerror or error}"


def _cannot_write(location: Location) -> str | None:
    """Return why nothing can be recorded at `location`: a file is made there and removed."""
    for wanted in (location.root, location.journal):
        place = next(path for path in (wanted, *wanted.parents) if path.exists())
        try:
            with tempfile.TemporaryFile(dir=place):
                pass
        except OSError as error:
            return (
                f"the store cannot be written: {place}: {error.strerror or error}."
                " Name another place with --store or AUTOLOG_STORE."
            )
    database = location.database
    if database is not None and database.exists():
        try:
            with open(database, "r+b"):
                pass
        except OSError as error:
            return f"the store cannot be written: {database}: {error.strerror or error}"
    return None
