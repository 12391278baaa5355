"""An engine per test: what a hook raises unexpectedly fails the test, and nothing stays patched."""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from autolog.patching import Engine


class WatchedEngine(Engine):
    """An engine that keeps the faults of its hooks as text."""

    def __init__(self) -> None:
        self.faults: list[tuple[str, str, str]] = []
        super().__init__(
            strict=False,
            on_fault=lambda _site, name, phase, exc: self.faults.append((name, phase, repr(exc))),
        )


@pytest.fixture
def faulty_engine() -> Iterator[WatchedEngine]:
    engine = WatchedEngine()
    yield engine
    engine.remove_all()


@pytest.fixture
def engine(faulty_engine: WatchedEngine) -> Iterator[WatchedEngine]:
    yield faulty_engine
    assert faulty_engine.faults == []


@pytest.fixture
def python(tmp_path: Path) -> Callable[..., str]:
    """Run a script in a process of its own, warnings being errors; gives what it prints."""

    def run(script: str, *options: str) -> str:
        path = tmp_path / "script.py"
        path.write_text(script)
        done = subprocess.run(
            [sys.executable, *(options or ("-W", "error")), str(path)],
            capture_output=True,
            text=True,
            timeout=120,
            check=False,
            cwd=tmp_path,
        )
        assert done.returncode == 0, done.stderr
        return done.stdout

    return run
