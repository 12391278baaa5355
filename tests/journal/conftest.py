from __future__ import annotations

import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest

from tests.journal.reading import Journal


@pytest.fixture
def journal(tmp_path: Path) -> Journal:
    return Journal(tmp_path / "journal")


@pytest.fixture
def python() -> Callable[..., subprocess.CompletedProcess]:
    """Run a program in a fresh interpreter and return what it printed."""

    def run(program: str, *arguments: object, check: bool = True, **options):
        command = [sys.executable, "-W", "error", "-c", program, *map(str, arguments)]
        done = subprocess.run(command, capture_output=True, text=True, timeout=120, **options)
        assert not check or done.returncode == 0, done.stderr
        return done

    return run
