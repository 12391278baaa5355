"""Runs a test suite twice, without autolog and with it, and prints what differs.

    python -m autolog.testing.compare --pyargs sklearn.svm

The words after the command are pytest's own. For every test are compared: its outcome, what it
says if it fails, skips or is expected to fail, the warnings it causes (text, category, file and
line), and what it prints, numbers left out. Errors of autolog's hooks are differences as well.
Exit codes: 0 nothing differs; 1 something does; 2 the suite did not run.
"""

from __future__ import annotations

import argparse
import json
import os
import re
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

__all__ = ["Outcomes", "compare", "main"]

Outcomes = dict[str, dict[str, Any]]
"""What was seen of each test, by its id."""

_SEEN = pytest.StashKey[Outcomes]()


def main(arguments: list[str] | None = None) -> int:
    """Run both legs and print the differences."""
    parser = argparse.ArgumentParser(
        prog="python -m autolog.testing.compare",
        description="Run a test suite without autolog and with it; print what differs.",
        epilog="All other options and arguments are pytest's.",
    )
    parser.add_argument(
        "--plain", metavar="PATH", help="where the leg without autolog is kept, and used again"
    )
    own, words = parser.parse_known_args(arguments)
    with tempfile.TemporaryDirectory(prefix="autolog-compare-") as folder:
        plain = Path(own.plain or f"{folder}/plain.json")
        watched = Path(folder, "watched.json")
        legs = [(plain, words)] if not plain.exists() else []
        legs.append((watched, ["-p", "autolog.testing.foreign", "--autolog-strict", *words]))
        for path, leg in legs:
            if not _run(path, leg):
                print(f"no tests ran: pytest {' '.join(leg)}", file=sys.stderr)  # noqa: T201
                return 2
        before, after = json.loads(plain.read_text()), json.loads(watched.read_text())
    found = list(compare(before["tests"], after["tests"]))
    found += [f"a hook failed: {text}" for text in after["faults"]]
    for line in found:
        print(line)  # noqa: T201
    print(f"{len(before['tests'])} tests, {after['runs']} runs, {len(found)} differences")  # noqa: T201
    return 1 if found else 0


def compare(before: Outcomes, after: Outcomes) -> Iterator[str]:
    """Say for each test what is not as it was."""
    for name in [*before, *(new for new in after if new not in before)]:
        if name not in after or name not in before:
            yield f"{name}: ran only {'without' if name in before else 'with'} autolog"
            continue
        for what, was in before[name].items():
            now = after[name][what]
            if now != was:
                yield f"{name}: {what} was {_short(was)}, is {_short(now)}"


def _run(path: Path, words: list[str]) -> bool:
    fixed = ["-p", "autolog.testing.compare", "-p", "no:cacheprovider", f"--outcomes={path}"]
    env = {**os.environ, "PYTHONHASHSEED": "0"}
    subprocess.run([sys.executable, "-m", "pytest", *fixed, *words], env=env, check=False)  # noqa: S603
    return path.exists()


def _short(value: Any) -> str:
    text = json.dumps(value, ensure_ascii=False)
    return text if len(text) <= 2000 else f"{text[:2000]}..."


# -- the pytest plugin of both legs -------------------------------------------------------------


def pytest_addoption(parser: pytest.Parser) -> None:
    """Take the path to write to."""
    parser.addoption("--outcomes", metavar="PATH", help="write what each test did as JSON")


def pytest_configure(config: pytest.Config) -> None:
    """Begin with nothing."""
    config.stash[_SEEN] = {}
    config.pluginmanager.register(_Recorder(config.stash[_SEEN]))


class _Recorder:
    def __init__(self, seen: Outcomes) -> None:
        self._seen = seen

    def _of(self, nodeid: str) -> dict[str, Any]:
        return self._seen.setdefault(
            nodeid, {"outcome": {}, "message": {}, "warnings": [], "output": []}
        )

    def pytest_runtest_logreport(self, report: pytest.TestReport) -> None:
        """Keep the outcome of a phase, and its text if it did not simply pass."""
        of = self._of(report.nodeid)
        of["outcome"][report.when] = report.outcome
        if not report.passed or hasattr(report, "wasxfail"):
            of["message"][report.when] = _plain(
                f"{_reason(report)} {getattr(report, 'wasxfail', '')}"
            )
        if report.when == "teardown":
            of["output"] = [
                [title, re.sub(r"[\d.e+-]+", "#", _plain(text))] for title, text in report.sections
            ]

    def pytest_warning_recorded(self, warning_message: Any, when: str, nodeid: str) -> None:
        """Keep a warning with the place that it names."""
        warning = warning_message
        self._of(nodeid)["warnings"].append(
            [
                when,
                warning.category.__name__,
                _plain(str(warning.message)),
                f"{warning.filename}:{warning.lineno}",
            ]
        )


def pytest_unconfigure(config: pytest.Config) -> None:
    """Write down what was seen, unless nothing ran."""
    path: str | None = config.getoption("--outcomes")
    seen = config.stash[_SEEN]
    if path is None or not seen:
        return
    answer: dict[str, Any] = {"tests": seen, "runs": 0, "faults": []}
    foreign: Any = config.pluginmanager.get_plugin("autolog.testing.foreign")
    if foreign is not None:
        answer |= foreign.report(config)
    Path(path).write_text(json.dumps(answer))


def _reason(report: pytest.TestReport) -> str:
    """The last line of a failure, or why a test was skipped."""
    told: Any = report.longrepr
    crash = getattr(told, "reprcrash", None)
    return str(crash.message if crash is not None else told)


def _plain(text: str) -> str:
    """Leave out what differs between any two processes."""
    text = re.sub(r"0x[0-9a-fA-F]+", "0x", text)
    return re.sub(r"(/tmp|/var/tmp)/\S+", "<temporary>", text)


if __name__ == "__main__":
    sys.exit(main())
