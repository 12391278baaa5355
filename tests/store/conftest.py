"""A store in a folder of its own, a trainer that journals to it, and other processes."""

from __future__ import annotations

import subprocess
import sys
import textwrap
from collections.abc import Iterator
from pathlib import Path

import pytest

from autolog.store import open_store
from autolog.store.fold import fold
from autolog.store.location import Location, locate, prepare
from tests.migrated import make_migrated
from tests.store.training import Trainer


@pytest.fixture(autouse=True)
def _strict(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("AUTOLOG_STORE", "AUTOLOG_JOURNAL_DIR"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv("AUTOLOG_STRICT", "1")


@pytest.fixture(params=["sqlite", "postgresql"])
def location(
    request: pytest.FixtureRequest, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> Location:
    """Where a store lies, once in each database."""
    if request.param == "sqlite":
        found = request.getfixturevalue("embedded")
        make_migrated(found.database)
        return found
    monkeypatch.setenv("XDG_DATA_HOME", str(tmp_path))
    found = locate(request.getfixturevalue("fresh_database")())
    prepare(found)
    return found


@pytest.fixture
def embedded(tmp_path: Path) -> Location:
    """Where an embedded store lies, for what only a file can do."""
    found = locate(tmp_path / ".autolog")
    prepare(found)
    return found


@pytest.fixture
def trainer(location: Location) -> Iterator[Trainer]:
    made = Trainer(location)
    yield made
    made.close()


@pytest.fixture
def store(location: Location):
    opened = open_store(location)
    yield opened
    opened.close()


@pytest.fixture
def folded(store):
    """Fold, then hand out the store."""

    def run():
        fold(store)
        return store

    return run


@pytest.fixture
def python():
    """Start Python on a snippet; `prelude` gives it the names it needs."""
    started: list[subprocess.Popen] = []
    prelude = f"""
        import os, signal, sys, time
        sys.path.insert(0, {str(Path(__file__).parents[2])!r})
        from tests.store.training import Trainer
        from autolog.journal import records
        from autolog.store import open_store
        from autolog.store.fold import fold
        from autolog.store.location import locate
    """

    def start(code: str, *arguments: object) -> subprocess.Popen:
        text = textwrap.dedent(prelude) + textwrap.dedent(code)
        process = subprocess.Popen(
            [sys.executable, "-c", text, *map(str, arguments)],
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
        )
        started.append(process)
        return process

    yield start
    for process in started:
        process.kill()
        process.communicate()
