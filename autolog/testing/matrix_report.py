"""A pytest plugin that writes down what a row of the matrix has shown.

`pytest -p autolog.testing.matrix_report --matrix-report=FILE` writes the number of tests by
outcome, the outcomes of each quirk's two legs, and a line for each failure, as JSON.
"""

from __future__ import annotations

import json
from collections import Counter
from pathlib import Path
from typing import Any

import pytest

__all__: list[str] = []


def pytest_addoption(parser: pytest.Parser) -> None:
    """Offer the option."""
    parser.addoption("--matrix-report", metavar="PATH", help="write what the tests have shown")


def pytest_configure(config: pytest.Config) -> None:
    """Listen, if the report was asked for."""
    path: str | None = config.getoption("--matrix-report")
    if path is not None:
        config.pluginmanager.register(_Report(Path(path)))


class _Report:
    """Collects outcomes; writes them when the session ends."""

    def __init__(self, path: Path) -> None:
        self._path = path
        self._legs: dict[str, tuple[str, str]] = {}
        self._outcomes: dict[str, str] = {}
        self._failures: list[str] = []

    def pytest_collection_finish(self, session: pytest.Session) -> None:
        for item in session.items:
            mark = item.get_closest_marker("quirk")
            callspec: Any = getattr(item, "callspec", None)
            if mark is not None and callspec is not None:
                leg = "guarded" if callspec.params["guarded"] else "unguarded"
                self._legs[item.nodeid] = (mark.args[0], leg)

    def pytest_collectreport(self, report: pytest.CollectReport) -> None:
        if report.failed:
            self._fail(report.nodeid, report)
        elif report.skipped:  # a row is there for what is in its files
            self._failures.append(f"{report.nodeid}: nothing of it ran: {_reason(report)}")

    def pytest_runtest_logreport(self, report: pytest.TestReport) -> None:
        outcome: str = report.outcome
        if hasattr(report, "wasxfail"):
            outcome = "xfailed" if report.skipped else "xpassed"
            if outcome == "xfailed" and report.when != "call":  # the test itself has shown nothing
                outcome = "failed"
                self._failures.append(f"{report.nodeid}: a fixture failed, which proves no quirk")
        if report.failed:
            self._fail(report.nodeid, report)
        if report.when == "call" or not report.passed:
            worse = self._outcomes.get(report.nodeid) == "failed"
            self._outcomes[report.nodeid] = "failed" if worse else outcome

    def pytest_sessionfinish(self) -> None:
        quirks: dict[str, dict[str, str]] = {}
        for nodeid, (quirk, leg) in self._legs.items():
            quirks.setdefault(quirk, {})[leg] = self._outcomes.get(nodeid, "not run")
        found = {
            "tests": dict(Counter(self._outcomes.values())),
            "quirks": quirks,
            "failures": self._failures,
        }
        self._path.write_text(json.dumps(found), encoding="utf-8")

    def _fail(self, nodeid: str, report: pytest.TestReport | pytest.CollectReport) -> None:
        crash: Any = getattr(report.longrepr, "reprcrash", None)
        said = crash.message if crash is not None else str(report.longrepr or "")
        lines = [line for line in said.splitlines() if line.strip()] or ["no reason is known"]
        last = lines[0] if crash is not None else lines[-1]
        self._failures.append(f"{nodeid}: {last[:300]}")


def _reason(report: pytest.CollectReport) -> str:
    told: Any = report.longrepr
    return str(told[-1])  # file, line, reason
