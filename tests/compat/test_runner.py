"""Rows of a small project, run for real: environments by uv, pytest in them, results as files."""

from __future__ import annotations

import json
import os
import shutil
import signal
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import psutil
import pytest

ROOT = Path(__file__).parents[2]
PYTHON = f"{sys.version_info.major}.{sys.version_info.minor}"

MATRIX = f"""\
schema: 1
frameworks:
  toy:
    integration: autolog_toy
    distributions: [iniconfig]
    modules: [iniconfig]
    supported: ">=2"
    because: it is so
    latest_known: "99"
    tested:
      - {{version: "2.0.0", python: "{PYTHON}", tier: commit, env: {{TOY: "yes"}}}}
      - {{version: "2.1.0", python: "{PYTHON}", tier: full}}
      - {{version: "98.0", python: "{PYTHON}", tier: full}}
    quirks: []
    logs: {{params: all, series: each, evaluations: all, data: shapes, model: native}}
environments:
  silent: {{python: "{PYTHON}", tier: full, tests: [tests/matrix/nothing.py]}}
"""
PROJECT = f"""\
[build-system]
requires = ["hatchling"]
build-backend = "hatchling.build"
[project]
name = "toy-project"
version = "1"
dependencies = ["autolog-ml @ {ROOT.as_uri()}"]
[project.optional-dependencies]
toy = []
[tool.hatch.metadata]
allow-direct-references = true
[tool.hatch.build.targets.wheel]
packages = ["autolog_toy"]
[tool.pytest.ini_options]
addopts = "-p autolog.testing.quirks"
"""
TESTS = """\
import os, sys
from importlib.metadata import version

def test_the_row_is_what_was_asked_for():
    assert version("iniconfig") == "2.0.0"
    assert os.environ["TOY"] == "yes"
    assert not {"PYTEST_ADDOPTS", "KERAS_BACKEND", "AUTOLOG_STORE"} & set(os.environ)
    assert ".matrix" in sys.prefix
"""


@pytest.fixture(scope="module")
def project(tmp_path_factory: pytest.TempPathFactory) -> Path:
    root = tmp_path_factory.mktemp("toy")
    for name, text in {
        "compat_matrix.yaml": MATRIX,
        "pyproject.toml": PROJECT,
        "autolog_toy/__init__.py": "",
        "tests/matrix/test_toy_row.py": TESTS,
        "tests/matrix/nothing.py": "",
    }.items():
        path = root / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text)
    return root


def matrix(root: Path, *words: str) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, "-m", "autolog.compat", "--root", str(root), "matrix", *words]
    env = {**os.environ, "PYTEST_ADDOPTS": "--no-such-option", "KERAS_BACKEND": "nowhere"}
    return subprocess.run(command, capture_output=True, text=True, env=env)


@pytest.fixture(scope="module")
def whole(project: Path) -> dict[str, Any]:
    """All rows, run once: one passes, one fails, one cannot be installed, one has no test."""
    done = matrix(project, "--json")
    assert done.returncode == 1, done.stderr
    found = json.loads(done.stdout)
    return {row["row"]: row for row in found["rows"]} | {"found": found, "said": done.stderr}


def test_a_row_that_passes_says_what_was_installed_and_how_many_tests_ran(
    whole: dict[str, Any],
) -> None:
    row = whole[f"toy-2.0.0-py{PYTHON}"]
    assert (row["passed"], row["tests"]) == (True, {"passed": 1})
    assert row["installed"]["iniconfig"] == "2.0.0"
    assert row["python"].startswith(PYTHON)


def test_a_test_that_fails_fails_its_row_with_what_it_said(whole: dict[str, Any]) -> None:
    row = whole[f"toy-2.1.0-py{PYTHON}"]
    assert (row["passed"], row["tests"]) == (False, {"failed": 1})
    (failure,) = row["failures"]
    assert "test_toy_row.py::test_the_row_is_what_was_asked_for: AssertionError" in failure


def test_a_row_that_cannot_be_installed_fails_with_the_words_of_uv(whole: dict[str, Any]) -> None:
    row = whole[f"toy-98.0-py{PYTHON}"]
    assert not row["passed"]
    (failure,) = row["failures"]
    assert "iniconfig==98.0" in failure


def test_a_row_without_a_test_that_ran_fails(whole: dict[str, Any]) -> None:
    assert whole["silent"]["failures"] == ["no test ran: tests/matrix/nothing.py"]


def test_the_result_of_each_row_that_ran_tests_is_a_file(
    whole: dict[str, Any], project: Path
) -> None:
    found: dict[str, Any] = whole["found"]
    assert (found["passed"], found["failed"]) == (1, 3)
    for row in found["rows"]:
        kept = project / f"tests/matrix/results/{row['row']}.json"
        if row.get("tests"):
            assert json.loads(kept.read_text()) == row
        else:  # what was kept before says more than that it could not be tried
            assert not kept.exists()


def test_what_passed_as_it_is_is_not_run_again_on_resume(
    whole: dict[str, Any], project: Path
) -> None:
    del whole
    kept = project / f"tests/matrix/results/toy-2.0.0-py{PYTHON}.json"
    before = kept.read_bytes()
    kept.unlink()
    done = matrix(project, "--resume", "--tier", "commit")
    assert done.returncode == 0, done.stdout + done.stderr
    assert kept.read_bytes() == before
    assert "ok, as on" in done.stderr
    assert "1 rows passed, 0 failed" in done.stdout

    tests = project / "tests/matrix/test_toy_row.py"
    tests.write_text(TESTS + "\n# changed\n")
    again = matrix(project, "--resume", "--tier", "commit")
    assert again.returncode == 0
    assert "(0 s install," in again.stderr  # the environment is the one of before
    assert "ok, as on" not in again.stderr


def test_ctrl_c_ends_the_tests_under_way_and_keeps_what_was_done(
    whole: dict[str, Any], project: Path
) -> None:
    del whole
    kept = project / f"tests/matrix/results/toy-2.1.0-py{PYTHON}.json"
    before = kept.read_bytes()
    alive = project / "alive"
    tests = project / "tests/matrix/test_toy_row.py"
    tests.write_text(
        "import os, pathlib, time\n"
        "def test_for_ever():\n"
        f"    pathlib.Path({str(alive)!r}).write_text(str(os.getpid()))\n"
        "    time.sleep(600)\n"
    )
    words = ["matrix", "--row", f"toy-2.1.0-py{PYTHON}"]
    command = [sys.executable, "-m", "autolog.compat", "--root", str(project), *words]
    running = subprocess.Popen(command, stderr=subprocess.PIPE, text=True)
    while not alive.exists() or not alive.read_text():
        assert running.poll() is None
        time.sleep(0.05)
    running.send_signal(signal.SIGINT)
    _, said = running.communicate(timeout=60)
    assert (running.returncode, "--resume goes on" in said) == (130, True)
    assert kept.read_bytes() == before
    while psutil.pid_exists(int(alive.read_text())):
        time.sleep(0.05)


def test_ctrl_c_in_an_install_ends_it_and_starts_no_test(tmp_path: Path) -> None:
    alive = tmp_path / "alive"
    for name, text in {
        "compat_matrix.yaml": MATRIX,
        "pyproject.toml": '[build-system]\nrequires = []\nbuild-backend = "slow"\n'
        'backend-path = ["."]\n[project]\nname = "toy-project"\nversion = "1"\n',
        "slow.py": "import os, pathlib, time\n"
        f"pathlib.Path({str(alive)!r}).write_text(str(os.getpid()))\n"
        "time.sleep(600)\n",
    }.items():
        (tmp_path / name).write_text(text)
    words = ["matrix", "--row", f"toy-2.0.0-py{PYTHON}"]
    command = [sys.executable, "-m", "autolog.compat", "--root", str(tmp_path), *words]
    running = subprocess.Popen(command, stderr=subprocess.PIPE, text=True)
    while not alive.exists() or not alive.read_text():
        assert running.poll() is None, running.communicate()
        time.sleep(0.05)
    running.send_signal(signal.SIGINT)
    _, said = running.communicate(timeout=60)
    assert (running.returncode, "--resume goes on" in said) == (130, True), said
    assert not (tmp_path / "tests/matrix/results").exists()
    while psutil.pid_exists(int(alive.read_text())):
        time.sleep(0.05)


@pytest.mark.parametrize(
    ("test", "said"),
    [
        ("import os\ndef test_exits(): os._exit(3)\n", "pytest ended with code 3 and without"),
        (
            "import os\ndef test_dies(): os.kill(os.getpid(), 9)\n",
            "pytest ended by signal 9 and without",
        ),
        ("def test_says(): print('x' * 5_000_000); assert 0, 'y' * 5_000_000\n", "AssertionError"),
    ],
)
def test_a_test_that_ends_its_process_or_floods_the_log_fails_its_row(
    whole: dict[str, Any], project: Path, test: str, said: str
) -> None:
    del whole
    (project / "tests/matrix/test_toy_row.py").write_text(test)
    done = matrix(project, "--row", f"toy-2.1.0-py{PYTHON}", "--json")
    (row,) = json.loads(done.stdout)["rows"]
    assert (done.returncode, row["passed"]) == (1, False)
    assert said in row["failures"][0]
    assert len(done.stdout) < 3000


def test_an_environment_that_is_broken_is_told_and_made_anew(
    whole: dict[str, Any], project: Path
) -> None:
    del whole
    (project / "tests/matrix/test_toy_row.py").write_text("def test_it(): pass\n")
    place = project / f".matrix/environments/toy-2.1.0-py{PYTHON}"
    shutil.rmtree(next(place.glob("lib/*/site-packages/pytest")))
    words = ("--row", place.name, "--json")
    (row,) = json.loads(matrix(project, *words).stdout)["rows"]
    assert "--fresh makes a broken environment anew" in row["failures"][0]
    (place / "made-from.json").write_bytes(b"\xff\xfe")
    done = matrix(project, *words)
    assert done.returncode == 0, done.stdout


def test_two_runs_of_one_row_take_turns(whole: dict[str, Any], project: Path) -> None:
    del whole
    (project / "tests/matrix/test_toy_row.py").write_text("def test_it(): pass\n")
    words = ["matrix", "--row", f"toy-2.1.0-py{PYTHON}", "--fresh", "--json"]
    command = [sys.executable, "-m", "autolog.compat", "--root", str(project), *words]
    both = [subprocess.Popen(command, stdout=subprocess.PIPE, text=True) for _ in range(2)]
    said = [one.communicate(timeout=300)[0] for one in both]
    assert [one.returncode for one in both] == [0, 0], said


def test_a_result_that_cannot_be_kept_is_an_error(project: Path) -> None:
    results = project / "tests/matrix/results"
    kept = results.with_name("kept")
    if results.exists():
        results.rename(kept)
    results.write_text("in the way")
    (project / "tests/matrix/test_toy_row.py").write_text(TESTS)
    try:
        done = matrix(project, "--row", f"toy-2.1.0-py{PYTHON}")
    finally:
        results.unlink()
        if kept.exists():
            kept.rename(results)
    assert (done.returncode, "a result cannot be kept" in done.stderr) == (2, True)


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (["--framework", "no_such"], "has no rows of no_such; see matrix --list"),
        (["--row", "no-such"], "no such row: no-such; see matrix --list"),
        (["--tier", "weekly"], "invalid choice: 'weekly'"),
    ],
)
def test_what_is_not_there_is_wrong_usage(project: Path, words: list[str], said: str) -> None:
    done = matrix(project, *words)
    assert (done.returncode, said in done.stdout + done.stderr) == (2, True)


def test_rows_are_listed_without_being_run(project: Path) -> None:
    done = matrix(project, "--list", "--tier", "commit")
    assert (done.returncode, done.stdout.split()[0]) == (0, f"toy-2.0.0-py{PYTHON}")
