"""The example plugin as if it were installed, and the contract suite as a third party runs it."""

from __future__ import annotations

import os
import re
import shutil
import subprocess
import sys
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import pytest

if sys.version_info >= (3, 11):
    import tomllib
else:
    import tomli as tomllib

EXAMPLE = Path(__file__).parents[2] / "examples" / "autolog_toyfit"


@pytest.fixture
def toyfit(tmp_path: Path) -> Path:
    """A copy of the plugin with the metadata that its pyproject.toml would be installed with."""
    project = tomllib.loads((EXAMPLE / "pyproject.toml").read_text())
    place = tmp_path / "installed"
    for package in project["tool"]["hatch"]["build"]["targets"]["wheel"]["packages"]:
        shutil.copytree(EXAMPLE / package, place / package)
    named = project["project"]
    metadata = place / f"{named['name'].replace('-', '_')}-{named['version']}.dist-info"
    metadata.mkdir()
    (metadata / "METADATA").write_text(
        f"Metadata-Version: 2.1\nName: {named['name']}\nVersion: {named['version']}\n"
    )
    lines = [f"[{group}]" for group in named["entry-points"]]
    for points in named["entry-points"].values():
        lines += [f"{name} = {value}" for name, value in points.items()]
    (metadata / "entry_points.txt").write_text("\n".join(lines))
    return place


@dataclass(frozen=True)
class Judged:
    """What the contract suite said, by number of tests."""

    passed: int
    failed: int
    text: str


@pytest.fixture
def contract(tmp_path: Path) -> Callable[..., Judged]:
    """Run the suite with its one option, in a folder that has nothing to do with the plugin."""

    def run(*words: str, path: Path | None = None) -> Judged:
        env = {key: text for key, text in os.environ.items() if not key.startswith("AUTOLOG_")}
        if path is not None:
            env["PYTHONPATH"] = str(path)
        folder = tmp_path / "elsewhere"
        folder.mkdir(exist_ok=True)
        command = [sys.executable, "-m", "pytest", "-p", "autolog.testing.contract", "-q", *words]
        done = subprocess.run(command, cwd=folder, env=env, capture_output=True, text=True)
        text = done.stdout + done.stderr
        found = re.findall(r"(\d+) (passed|failed|error)", text)
        counts = {word: int(number) for number, word in found}
        failed = counts.get("failed", 0) + counts.get("error", 0)
        assert (done.returncode == 0) == (failed == 0 and "passed" in counts), text
        return Judged(counts.get("passed", 0), failed, text)

    return run
