"""Programs of several ranks, each started once for all the tests that look at what it did."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

from tests.conftest import Recording

TORCHRUN = str(Path(sys.executable).with_name("torchrun"))
AUTOLOG = str(Path(sys.executable).with_name("autolog"))

_CLUSTER = ("SLURM_", "OMPI_", "PMI_", "PMIX_", "TORCHELASTIC_", "MASTER_")


@dataclass(frozen=True)
class Launched:
    """What a launch has recorded and printed; `said` are its lines of JSON by rank."""

    recording: Recording
    code: int
    said: dict[int, dict[str, Any]]
    err: str


@pytest.fixture(scope="session")
def launch(tmp_path_factory: pytest.TempPathFactory) -> Callable[..., Launched]:
    """Run a command with a script as its last word, in a folder and with a store of its own."""

    def run(words: list[str], source: str, **environment: str) -> Launched:
        folder = tmp_path_factory.mktemp("launch")
        script = folder / "train.py"
        script.write_text(source)
        clean = {
            name: text
            for name, text in os.environ.items()
            if not name.startswith(("AUTOLOG_", *_CLUSTER))
        }
        done = subprocess.run(
            [*words, str(script)],
            cwd=folder,
            env={
                **clean,
                "AUTOLOG_STORE": str(folder / "store"),
                "AUTOLOG_STRICT": "1",
                "OMP_NUM_THREADS": "1",
                **environment,
            },
            capture_output=True,
            text=True,
            timeout=240,
            stdin=subprocess.DEVNULL,
        )
        lines = [json.loads(line) for line in done.stdout.splitlines() if line.startswith("{")]
        return Launched(
            Recording(folder / "store"),
            done.returncode,
            {line["rank"]: line for line in lines},
            done.stderr,
        )

    return run
