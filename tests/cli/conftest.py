from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest
from click.testing import CliRunner, Result

from autolog.cli.commands import cli
from tests.cli.recording import FIT, RUNS, SCORED_FIT, record

Invoke = Callable[..., Result]


@pytest.fixture(scope="session")
def recorded(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A store with runs of the user's, one of them failed, and two real fits."""
    store = tmp_path_factory.mktemp("recorded") / "store"
    record(RUNS, store, "own.py")
    record(FIT, store, "fits.py", launched=True)
    record(SCORED_FIT, store, "scored.py", launched=True)
    return store


@pytest.fixture
def empty(tmp_path: Path) -> Path:
    return tmp_path / "empty"


@pytest.fixture
def invoke(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Invoke:
    """Run a command in this process: `invoke("ls", store=...)`."""
    monkeypatch.chdir(tmp_path)
    for name in ("COLUMNS", "NO_COLOR", "FORCE_COLOR"):
        monkeypatch.delenv(name, raising=False)

    def run(*words: str, store: Path, **env: str) -> Result:
        return CliRunner().invoke(cli, words, env={"AUTOLOG_STORE": str(store), **env})

    return run
