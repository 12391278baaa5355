"""Fixtures of every test: a store of its own, and programs run as a user runs them."""

from __future__ import annotations

import contextlib
import gc
import os
import subprocess
import sys
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest
from hypothesis import HealthCheck, settings

from autolog.store.location import DATABASE_NAME
from tests.migrated import make_migrated

# How long an example takes depends on the machine, and the first one of a fresh clone waits for
# Hypothesis's table of Unicode: neither is a failure.
settings.register_profile(
    "any machine", deadline=None, suppress_health_check=[HealthCheck.too_slow]
)
settings.load_profile("any machine")

# How this session runs is no business of the sessions that tests start.
os.environ.pop("PYTEST_ADDOPTS", None)


@pytest.fixture(scope="session", autouse=True)
def _plain_sessions() -> None:
    """Let the pytest that a test starts load what it names alone: Hypothesis takes half a second.

    A fixture, since workers of pytest-xdist are started with the environment of their session.
    """
    os.environ["PYTEST_DISABLE_PLUGIN_AUTOLOAD"] = "1"


collect_ignore = ["matrix/test_bare.py", "matrix/test_everything.py"]
collect_ignore_glob = ["matrix/test_*_logged.py"]
"""Run by rows of the matrix; a file that is named on the command line is run all the same."""

_LONG = (
    "keras/test_keras_backends.py",
    "testing/test_contract.py",
    "cli/test_doctor.py",
    "neutrality/test_estimators.py",
    "neutrality/test_foreign_suite.py",
    "lightning/test_lightning_ranks.py",
    "distributed/test_torchrun.py",
    "distributed/test_elastic.py",
    "xgboost/test_xgboost_dask.py",
    "keras/test_keras_imports.py",
    "keras/test_keras_tuning.py",
    "torch/test_torch_neutrality.py",
    "torch/test_torch_objects.py",
)
"""Files of few tests that take long."""


def pytest_collection_modifyitems(config: pytest.Config, items: list[pytest.Item]) -> None:
    """Begin with the files that take longest: one of them at the end leaves a core idle."""
    if hasattr(config, "workerinput"):
        rank = {Path(__file__).parent / name: at for at, name in enumerate(_LONG)}
        items.sort(key=lambda item: rank.get(item.path, len(rank)))


pytest_plugins = ["autolog.testing.quirks", "tests.edge_cases", "tests.postgres"]


class Recording:
    """A store of this test, and what was recorded in it."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder

    @property
    def journal(self) -> Path:
        return self.folder / "journal"

    def runs(self, **query: Any) -> list[Any]:
        """All runs, oldest first."""
        with self._open() as store:
            return list(store.runs(limit=10_000, **query).runs)[::-1]

    def run(self, **query: Any) -> Any:
        """The only run."""
        runs = self.runs(**query)
        assert len(runs) == 1, [run.name for run in runs]
        return runs[0]

    def details(self, run: Any = None) -> Any:
        """The details of a run, by default of the only one."""
        run = run or self.run()
        with self._open() as store:
            return store.details(run.run_id)

    def events(self, kind: str, run: Any = None) -> list[dict[str, Any]]:
        """The data of all events of a kind."""
        return [event.data for event in self.details(run).events if event.kind == kind]

    @contextlib.contextmanager
    def _open(self) -> Iterator[Any]:
        from autolog.tracking.reading import open_store

        if self.journal.is_dir():  # else nothing was recorded, and reading makes no store
            make_migrated(self.folder / DATABASE_NAME)
        store = open_store(str(self.folder))
        try:
            yield store
        finally:
            store.close()


def _freeze() -> None:
    """Take what the frameworks consist of out of the sight of the garbage collector.

    Autolog asks it for the optimizers and modules that are there already, and some tests collect:
    both look at every object of the process, of which there are millions.
    """
    gc.collect()
    gc.freeze()


@pytest.fixture
def recording(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Recording]:
    """A store in this process; errors of hooks raise, and nothing is left on or open."""
    _freeze()
    folder = tmp_path / "store"
    monkeypatch.setenv("AUTOLOG_STORE", str(folder))
    monkeypatch.setenv("AUTOLOG_STRICT", "1")
    monkeypatch.setenv("AUTOLOG_PRINT", "never")
    yield Recording(folder)
    import autolog
    from autolog import settings
    from autolog.capture import preparation
    from autolog.tracking import context, recorder

    settings._lasting.clear()
    autolog.disable()
    preparation.take(())
    for one in recorder.all_recorders():
        for run in list(one.open_runs.values()):
            run.end()
        if one.started:
            one.writer.close()
    context.inherit()


@dataclass(frozen=True)
class Program:
    """A program that has ended."""

    code: int
    out: str
    err: str


@pytest.fixture
def program(recording: Recording, tmp_path: Path) -> Callable[..., Program]:
    """Run a script as `python script.py` in a folder and with a store of its own."""

    def run(source: str, *words: str, check: bool = True, **environment: str) -> Program:
        path = tmp_path / "work" / "script.py"
        path.parent.mkdir(exist_ok=True)
        path.write_text(source)
        env = {name: text for name, text in os.environ.items() if name != "AUTOLOG_STRICT"}
        done = subprocess.run(
            [sys.executable, *words, str(path)],
            cwd=path.parent,
            env={**env, "PYTHONWARNINGS": "error", **environment},
            capture_output=True,
            text=True,
            timeout=120,
            stdin=subprocess.DEVNULL,
        )
        assert not check or done.returncode == 0, done.stderr
        return Program(done.returncode, done.stdout, done.stderr)

    return run
