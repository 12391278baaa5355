"""A pytest plugin that runs the contract suite: `pytest -p autolog.testing.contract`.

The suite runs on every integration that is installed, or on those that `--autolog-integration`
names. It is not registered by itself; with the option, pytest collects the suite beside whatever
else its command line names.
"""

from __future__ import annotations

from pathlib import Path

import pytest

from autolog.discovery import discover

SUITE = Path(__file__).with_name("contract_suite.py")


def pytest_addoption(parser: pytest.Parser) -> None:
    """Offer the choice of integrations."""
    parser.addoption(
        "--autolog-integration",
        action="append",
        default=[],
        metavar="NAME",
        help="run the contract suite on this integration only (may be given several times)",
    )


def pytest_configure(config: pytest.Config) -> None:
    """Collect the suite: alone if the command line names no tests, else beside them."""
    config.addinivalue_line("markers", "edge_case(id): a known failure of autologging, by its id")
    named = [word for word in config.invocation_params.args if Path(word.split("::")[0]).exists()]
    config.args = [*config.args, str(SUITE)] if named else [str(SUITE)]


def pytest_generate_tests(metafunc: pytest.Metafunc) -> None:
    """Run each test of the suite on each integration."""
    if "integration_name" not in metafunc.fixturenames:
        return
    found = discover()
    names = metafunc.config.getoption("--autolog-integration") or sorted(found.integrations)
    unknown = [name for name in names if name not in found.integrations]
    if unknown:
        why = found.problems.get(unknown[0], "no entry point of this name is installed")
        raise pytest.UsageError(f"--autolog-integration {unknown[0]}: {why}")
    metafunc.parametrize("integration_name", names)
