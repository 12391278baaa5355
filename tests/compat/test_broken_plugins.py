"""Other people's packages that are broken: none ends a program, or hides us."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

import pytest

from tests.compat.test_third_party import COMPILED, run
from tests.compat.toybox import environment, write_project

PROGRAM = """\
import json
from autolog import autolog
autolog()
import toybox
toybox.Box().fit([1.0])
from sklearn.linear_model import LinearRegression
LinearRegression().fit([[0.0], [1.0]], [0, 1])
status = autolog.status()
runs = [run.name for run in autolog.search_runs()]
mine = {one.state for one in status.sites if one.integration == "toybox"}
try:
    autolog("toybox")
except Exception as error:
    said = f"{type(error).__name__}: {error}"
print(json.dumps([len(runs), sorted(mine), [one.text for one in status.notices], said]))
"""


@pytest.fixture
def project(tmp_path: Path) -> Path:
    return write_project(tmp_path / "project")


def recorded(project: Path) -> tuple[int, list[str], str, str]:
    """Train with the broken package and with scikit-learn; return what came of it."""
    done = subprocess.run(
        [sys.executable, "-c", PROGRAM],
        cwd=project,
        env=environment(project, AUTOLOG_STORE=str(project / "store")),
        capture_output=True,
        text=True,
    )
    assert done.returncode == 0, done.stderr
    runs, states, notices, said = json.loads(done.stdout.splitlines()[-1])
    return runs, states, "\n".join(notices), said


def told(project: Path) -> str:
    """Return the problems of `doctor`, which says so of all that is broken."""
    code, out = run(project, "autolog", "doctor", "--json", "--store", str(project / "store"))
    document = json.loads(out)
    assert (code, document["ok"]) == (1, False)
    return "\n".join(document["problems"])


def test_a_declaration_that_ends_the_process_is_left_out(project: Path) -> None:
    text = "class Odd(BaseException): pass\nraise Odd('it needs a GPU')\n"
    (project / "autolog_toybox/__init__.py").write_text(text)
    runs, states, _, said = recorded(project)
    assert (runs, states) == (1, [])
    assert said.startswith("IntegrationError: integration 'toybox' is not usable")
    assert "it needs a GPU" in told(project)


@pytest.mark.parametrize(
    ("name", "content"),
    [
        ("entry_points.txt", b"[autolog.integrations]\n\xff = x:y\n"),
        ("METADATA", b"\xff\xfe"),
    ],
)
def test_a_distribution_whose_files_are_broken_hides_no_other(
    project: Path, name: str, content: bytes
) -> None:
    folder = project / "stray-1.0.dist-info"
    folder.mkdir()
    (folder / "METADATA").write_text("Metadata-Version: 2.1\nName: stray\nVersion: 1.0\n")
    (folder / "entry_points.txt").write_text("[autolog.integrations]\nstray = nowhere:X\n")
    (folder / name).write_bytes(content)
    program = "from autolog import autolog; print(*autolog().frameworks)"
    done = subprocess.run(
        [sys.executable, "-c", program],
        env=environment(project),
        capture_output=True,
        text=True,
    )
    assert {"sklearn", "toybox"} <= set(done.stdout.split()), done.stderr
    assert "stray" in told(project)


@pytest.mark.parametrize(
    "text",
    [
        "raise SystemExit('no matrix today')\n",
        "DATA = {'toybox': {'distributions': ('toybox',)}}\n",
    ],
)
def test_a_matrix_that_cannot_be_used_ends_no_training(project: Path, text: str) -> None:
    (project / COMPILED).write_text(text)
    runs, states, notices, said = recorded(project)
    assert (runs, states) == (2, ["applied"])
    (line,) = [one for one in notices.splitlines() if "toybox" in one]
    assert line.startswith("the matrix of toybox, autolog_toybox._compat_data:DATA, cannot be")
    assert line.endswith("; its versions are not judged")
    assert said.startswith("IntegrationError: the matrix of toybox")
    assert "integration toybox is broken" in told(project)
    code, out = run(project, "autolog", "compat", "list")
    assert (code, "integration toybox: " in out, "sklearn" in out) == (1, True, True)


def test_a_declaration_without_modules_is_told(project: Path) -> None:
    path = project / "autolog_toybox/__init__.py"
    path.write_text(path.read_text().replace('modules=("toybox",)', "modules=()"))
    assert "names no modules or no distributions" in told(project)
