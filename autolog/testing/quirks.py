"""A pytest plugin that proves quirks of the compatibility matrix, guarded and unguarded.

A test marked `@pytest.mark.quirk("sklearn-some-quirk")` takes the fixture `guarded` and runs
twice. With the guard it must pass. Without it, where the installed version is affected, it must
fail with the exception that the matrix names (a strict xfail): a guard that nobody needs, or that
an upstream fix made superfluous, turns the build red. On versions that are not affected it must
simply pass.

Of a framework with several modules the first that can be imported counts, as at run time. A quirk
of another one says so: `@pytest.mark.quirk("keras-some-quirk", module="tf_keras")`.

For `guard: engine` no switch exists: the test itself applies the naive technique where
`guarded` is false. Every other guard is switched off through `AUTOLOG_UNGUARD`, which child
processes see as well.
"""

from __future__ import annotations

import importlib
import json
import warnings
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from autolog.compat.data import FrameworkData, QuirkData
from autolog.compat.inforce import in_force
from autolog.compat.view import ENGINE, UNGUARD, installed_version, matches, matrix_data
from autolog.discovery import discover


def pytest_addoption(parser: pytest.Parser) -> None:
    """Offer the report that `python -m autolog.compat check` reads."""
    parser.addoption("--quirks-report", metavar="PATH", help="write (quirk, test) pairs as JSON")


def pytest_configure(config: pytest.Config) -> None:
    """Register the mark, so that plugins of third parties need no configuration of their own."""
    config.addinivalue_line(
        "markers", "quirk(id, module=None): proves a quirk, guarded and unguarded"
    )


def pytest_generate_tests(metafunc: pytest.Metafunc) -> None:
    """Turn a marked test into its guarded and its unguarded leg."""
    mark = metafunc.definition.get_closest_marker("quirk")
    if mark is None:
        return
    if len(mark.args) != 1 or "guarded" not in metafunc.fixturenames:
        raise pytest.UsageError(
            f"{metafunc.definition.nodeid}: a quirk's test has one id and takes `guarded`"
        )
    unguarded = _marks(*_find(mark, metafunc.definition.nodeid))
    legs = [pytest.param(True, id="guarded"), pytest.param(False, id="unguarded", marks=unguarded)]
    metafunc.parametrize("guarded", legs, indirect=True)


@pytest.fixture
def guarded(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> bool:
    """Whether this leg has the guard; the unguarded one has it switched off."""
    mark: Any = request.node.get_closest_marker("quirk")
    leg: bool = request.param
    framework, quirk, modules = _find(mark, request.node.nodeid)
    if _installed(framework, modules) is None:
        pytest.skip(f"none of {', '.join(modules)} is installed")
    if not leg and quirk["guard"] != ENGINE:
        monkeypatch.setenv(UNGUARD, quirk["id"])
    return leg


def pytest_collection_finish(session: pytest.Session) -> None:
    """Write the report, if it was asked for."""
    path: str | None = session.config.getoption("--quirks-report")
    if path is None:
        return
    pairs: set[tuple[str, str]] = set()
    for item in session.items:
        mark = item.get_closest_marker("quirk")
        if mark is not None:
            pairs.add((mark.args[0], item.nodeid.partition("[")[0]))
    Path(path).write_text(json.dumps(sorted(pairs)))


def _find(mark: pytest.Mark, nodeid: str) -> tuple[FrameworkData, QuirkData, tuple[str, ...]]:
    """Return what the matrix says of a marked quirk, and whose version decides."""
    identifier: str = mark.args[0]
    module: str | None = mark.kwargs.get("module")
    for name, framework in _frameworks():
        for quirk in framework["quirks"]:
            if quirk["id"] != identifier:
                continue
            if module is not None and module not in framework["modules"]:
                raise pytest.UsageError(f"{nodeid}: {module} is no module of {name}")
            return framework, quirk, framework["modules"] if module is None else (module,)
    raise pytest.UsageError(
        f"{nodeid}: quirk {identifier!r} is not in compat_matrix.yaml, nor in the matrix of an"
        " installed integration"
    )


def _frameworks() -> Iterator[tuple[str, FrameworkData]]:
    """Ours first; those of third parties only if somebody asks for more."""
    yield from matrix_data().items()
    others = in_force(discover().integrations.values())
    yield from ((name, known.data) for name, known in others.frameworks.items())


def _marks(
    framework: FrameworkData, quirk: QuirkData, modules: tuple[str, ...]
) -> list[pytest.MarkDecorator]:
    version = _installed(framework, modules)
    if version is None or not matches(version, quirk["when"]):
        return []
    reason = f"{quirk['id']} must fail without its guard on {version}"
    raises = _exception(quirk["fails_with"])
    return [pytest.mark.xfail(strict=True, reason=reason, raises=raises)]


def _installed(framework: FrameworkData, modules: tuple[str, ...]) -> str | None:
    """Return the version of the framework as at run time, or None if it cannot be imported."""
    for name in modules:
        # What an old version warns of when it is imported is not what the test is about.
        try:
            with warnings.catch_warnings():
                warnings.simplefilter("ignore")
                module = importlib.import_module(name)
            return installed_version(module, framework["distributions"])
        except ModuleNotFoundError:  # it, or what it needs; a row of the matrix fails for either
            continue
    return None


def _exception(name: str) -> type[BaseException]:
    module, _, last = name.rpartition(".")
    found: Any = getattr(importlib.import_module(module or "builtins"), last)
    return found
