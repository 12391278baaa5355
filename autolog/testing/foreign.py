"""A pytest plugin that switches autolog on for a suite that knows nothing of it.

    pytest -p autolog.testing.foreign --pyargs sklearn.svm

All trainings of the session are recorded, silently, with the default options; nothing else of
the suite is changed. The store is `AUTOLOG_STORE` where that is set, else a temporary folder that
is removed at the end. The terminal summary says how many runs were recorded and lists what failed
in hooks; with `--autolog-strict` such a failure makes the session fail. To compare a suite's
outcomes with those without autolog: `python -m autolog.testing.compare`.
"""

from __future__ import annotations

import os
import shutil
import tempfile
from typing import Any

import pytest

from autolog.capture.activation import activate, disable
from autolog.tracking import notices
from autolog.tracking.reading import open_store

_STORE = pytest.StashKey[str]()
_REPORT = pytest.StashKey[dict[str, Any]]()
_OWN_FOLDER = pytest.StashKey[str]()


def pytest_addoption(parser: pytest.Parser) -> None:
    """Offer the choice of frameworks, and strictness."""
    group = parser.getgroup("autolog", "record the trainings of this suite")
    group.addoption(
        "--autolog-only",
        action="append",
        default=[],
        metavar="NAME",
        help="switch on this framework only (may be given several times)",
    )
    group.addoption(
        "--autolog-strict",
        action="store_true",
        help="fail the session if anything fails in autolog's hooks",
    )


@pytest.hookimpl(tryfirst=True)
def pytest_configure(config: pytest.Config) -> None:
    """Switch autolog on, before the suite imports its frameworks."""
    store = os.environ.get("AUTOLOG_STORE")
    if store is None:
        store = config.stash[_OWN_FOLDER] = tempfile.mkdtemp(prefix="autolog-")
    config.stash[_STORE] = store
    only: list[str] = config.getoption("--autolog-only") or []
    activate(*only, store=store, silent=True)


def pytest_sessionfinish(session: pytest.Session) -> None:
    """Read back what was recorded; a strict session fails if a hook did."""
    found = report(session.config)
    if found["faults"] and session.config.getoption("--autolog-strict"):
        session.exitstatus = max(session.exitstatus, pytest.ExitCode.TESTS_FAILED)


def pytest_terminal_summary(
    terminalreporter: pytest.TerminalReporter, config: pytest.Config
) -> None:
    """Say what was recorded and what failed."""
    found = report(config)
    faults = found["faults"]
    terminalreporter.section("autolog")
    for text in faults:
        terminalreporter.write_line(text)
    failed = f", {len(faults)} different failures in hooks" if faults else ""
    terminalreporter.write_line(f"{found['runs']} runs were recorded{failed}")


def pytest_unconfigure(config: pytest.Config) -> None:
    """Switch autolog off, and remove the store if nobody asked for one."""
    disable()
    folder = config.stash.get(_OWN_FOLDER, None)
    if folder is not None:
        shutil.rmtree(folder, ignore_errors=True)


def report(config: pytest.Config) -> dict[str, Any]:
    """How many runs the store has, and what failed in hooks; asked when the tests are over."""
    known = config.stash.get(_REPORT, None)
    if known is None:
        store = open_store(config.stash[_STORE])
        try:
            runs = sum(store.usage().runs.values())
        finally:
            store.close()
        faults = [
            f"{one.text} ({one.count} times)"
            for one in notices.every()
            if one.key == "logging_error"
        ]
        known = config.stash[_REPORT] = {"runs": runs, "faults": faults}
    return known
