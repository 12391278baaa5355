"""Autolog where no framework is installed: it is quiet, and what is logged by hand is recorded.

The programs run where nothing but autolog's own requirements can be found, whatever else is
installed, so that they are the same test in an environment with all frameworks.
"""

from __future__ import annotations

import json
import os
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest

from autolog.discovery import discover
from tests.matrix.bare import make_bare

INTEGRATIONS = discover().integrations
MODULES = sorted(module for one in INTEGRATIONS.values() for module in one.modules)

Run = Callable[..., "subprocess.CompletedProcess[str]"]


@pytest.fixture(scope="module")
def installed(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Stands in the place of what is installed."""
    folder = tmp_path_factory.mktemp("bare") / "installed"
    make_bare(folder)
    return folder


@pytest.fixture
def run(installed: Path, tmp_path: Path) -> Run:
    """Run Python with these words in a folder and with a store of its own."""
    (tmp_path / "work").mkdir()

    def run(*words: str) -> subprocess.CompletedProcess[str]:
        settings = {"PYTHONPATH": str(installed), "AUTOLOG_STORE": str(tmp_path / "store")}
        return subprocess.run(
            [sys.executable, *words],
            cwd=tmp_path / "work",
            env={**os.environ, **settings, "PYTHONWARNINGS": "error"},
            capture_output=True,
            text=True,
            timeout=120,
            stdin=subprocess.DEVNULL,
        )

    return run


def said(done: subprocess.CompletedProcess[str]) -> str:
    """What a program printed that ended well and complained of nothing."""
    assert (done.returncode, done.stderr) == (0, "")
    return done.stdout


QUIET = """
import importlib.util, sys
from autolog import autolog
before = list(sys.meta_path), set(sys.modules)
autolog()
assert autolog.status().versions == dict.fromkeys(autolog.status().versions)
assert {one.state for one in autolog.status().sites} == {"waiting"}
new = {name.partition(".")[0] for name in set(sys.modules) - before[1]}
assert not new & set(FRAMEWORKS), new
assert [name for name in FRAMEWORKS if importlib.util.find_spec(name)] == []
autolog.disable()
assert sys.meta_path == before[0]
assert autolog.status().sites == ()
"""


def test_autolog_is_quiet_and_leaves_nothing(run: Run, tmp_path: Path) -> None:
    assert said(run("-c", f"FRAMEWORKS = {MODULES}\n{QUIET}")) == ""
    assert not (tmp_path / "store").exists()


BY_HAND = """
import autolog
autolog.autolog()
with autolog.start_run("by hand") as run:
    autolog.log_param("rate", 0.1)
    for step in range(3):
        autolog.log_metric("loss", 1.0 - step / 4, step=step)
    autolog.log_text("noted", "note.txt")
(found,) = autolog.search_runs("metrics.loss < 0.6 and params.rate = 0.1")
assert (found.name, found.status) == ("by hand", "FINISHED")
assert autolog.metric_history(run, "loss").value.tolist() == [1.0, 0.75, 0.5]
assert autolog.get_artifact(run, "note.txt").read_text() == "noted"
"""


def test_what_is_logged_by_hand_is_found_and_read(run: Run) -> None:
    said(run("-c", BY_HAND))
    (listed,) = json.loads(said(run("-m", "autolog", "ls", "--json")))
    assert (listed["name"], listed["status"]) == ("by hand", "FINISHED")
    exported = run("-m", "autolog", "export", "bundle")  # bundles are Parquet, an extra
    assert exported.returncode == 1
    assert "pip install 'autolog-ml[parquet]'" in exported.stderr


NAMED = """
from autolog import autolog, IntegrationError
try:
    autolog(NAME)
except IntegrationError as error:
    print(error)
"""


def test_a_framework_that_is_named_is_refused_with_what_to_install(run: Run) -> None:
    for name, one in INTEGRATIONS.items():
        told = said(run("-c", f"NAME = {name!r}\n{NAMED}"))
        assert f"pip install {one.distributions[0]}" in told


def test_doctor_finds_nothing_wrong_and_nothing_installed(run: Run) -> None:
    found = json.loads(said(run("-m", "autolog", "doctor", "--json")))
    assert found["problems"] == []
    states = {one["integration"]: one["state"] for one in found["frameworks"]}
    assert states == dict.fromkeys(INTEGRATIONS, "not installed")
    page = said(run("-m", "autolog", "doctor"))
    assert "ot installed" in page
    assert all(name in page for name in INTEGRATIONS)


def test_a_script_that_trains_nothing_is_run_as_it_is(run: Run, tmp_path: Path) -> None:
    script = tmp_path / "work" / "script.py"
    script.write_text("import sys\nprint('as ever')\nsys.exit(3)\n")
    done = run("-m", "autolog", "run", "script.py")
    assert (done.returncode, done.stdout, done.stderr) == (3, "as ever\n", "")
    assert json.loads(said(run("-m", "autolog", "ls", "--json"))) == []
    assert "No runs yet" in said(run("-m", "autolog", "ls"))
