"""A pytest plugin that runs the contract suite: `pytest -p autolog.testing.contract`.

The suite runs on every integration that is installed with its framework, or on those that
`--autolog-integration` names. It is not registered by itself; with the option, pytest collects
the suite beside whatever its command line names.
"""

from __future__ import annotations

import importlib.util
from pathlib import Path

import pytest

from autolog.discovery import Discovered, discover
from autolog.integration import Integration

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
    named = config.args_source is pytest.Config.ArgsSource.ARGS
    config.args = [*config.args, str(SUITE)] if named else [str(SUITE)]


def pytest_generate_tests(metafunc: pytest.Metafunc) -> None:
    """Run each test of the suite on each integration; one that cannot be loaded fails them.

    One without an example has no call that owns a training (raw loops): judged if it is named.
    """
    if "integration_name" not in metafunc.fixturenames:
        return
    found = discover()
    chosen: list[str] = metafunc.config.getoption("--autolog-integration") or []
    names = [_name(found, name) for name in chosen]
    if not chosen:
        judged = {name: one for name, one in found.integrations.items() if one.example}
        names = [name for name, one in judged.items() if _has_framework(one)]
        names += found.problems
    metafunc.parametrize("integration_name", sorted(names))


def _name(found: Discovered, given: str) -> str:
    for name, integration in found.integrations.items():
        if given == name or given in integration.aliases:
            if not _has_framework(integration):
                wanted = integration.distributions[0]
                raise pytest.UsageError(f"{name}: its framework is missing: pip install {wanted}")
            return name
    if given in found.problems:
        return given
    known = ", ".join(sorted(found.integrations)) or "none"
    raise pytest.UsageError(
        f"--autolog-integration {given}: no entry point of this name is installed in the group"
        f" autolog.integrations; installed: {known}"
    )


def _has_framework(integration: Integration) -> bool:
    try:
        tops = {module.partition(".")[0] for module in integration.modules}
        return any(importlib.util.find_spec(top) is not None for top in tops)
    except (ImportError, ValueError):
        return False
