"""`pytest --edge-cases` prints which ids of known autologging failures the tests cover."""

from __future__ import annotations

import pytest


def pytest_addoption(parser: pytest.Parser) -> None:
    parser.addoption("--edge-cases", action="store_true", help="list edge cases by outcome")


def pytest_configure(config: pytest.Config) -> None:
    config.stash[_OUTCOMES] = {}


_OUTCOMES = pytest.StashKey[dict[str, set[str]]]()


@pytest.hookimpl(wrapper=True)
def pytest_runtest_makereport(item: pytest.Item, call: pytest.CallInfo[None]):
    report = yield
    if report.when == "call":
        for mark in item.iter_markers("edge_case"):
            for case in mark.args:
                item.config.stash[_OUTCOMES].setdefault(case, set()).add(report.outcome)
    return report


def pytest_terminal_summary(terminalreporter, config: pytest.Config) -> None:
    if not config.getoption("--edge-cases"):
        return
    terminalreporter.section("edge cases")
    for case, outcomes in sorted(config.stash[_OUTCOMES].items()):
        terminalreporter.write_line(f"{case:8} {'failed' if 'failed' in outcomes else 'passed'}")
