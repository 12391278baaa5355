"""A suite that knows nothing of autolog has the same outcomes with it; differences are found."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

from autolog.testing.compare import compare

SAME = """
import warnings

import pytest
from sklearn.linear_model import Ridge

def test_fit(capsys):
    assert Ridge().fit([[0.0], [1.0]], [0, 1]).predict([[2.0]]).shape == (1,)

def test_bad():
    with pytest.raises(ValueError, match="0 feature"):
        Ridge().fit([[]], [])

def test_warns():
    warnings.warn("the suite's own")

@pytest.mark.xfail
def test_expected():
    assert Ridge().fit([[0.0]], [1]).coef_ == 7
"""

FOREIGN = ("-p", "autolog.testing.foreign", "-p", "no:cacheprovider")

FAULTY = """
from sklearn.linear_model import Ridge

class Mine(Ridge):
    def get_params(self, deep=True):
        if deep == True and not hasattr(self, "coef_"):
            raise SystemExit("no params")
        return {}

def test_fit_of_mine():
    Mine().fit([[0.0], [1.0]], [0, 1])
"""

DIFFERENT = """
import sys
import warnings

import pytest

watched = "autolog.capture.activation" in sys.modules

def test_passes():
    assert not watched

def test_skips():
    pytest.skip(f"watched: {watched}")

def test_prints():
    print("watched" if watched else "plain")

def test_warns():
    warnings.warn("watched" if watched else "plain")

@pytest.mark.parametrize("leg", [watched])
def test_is_there(leg):
    pass

def test_same():
    pass
"""


@pytest.fixture
def run(tmp_path: Path):
    """Run a module of Python's in a folder with a suite, or on installed packages."""

    def run(module: str, *words: str, suite: str | None = None, **environment: str):
        if suite is not None:
            (tmp_path / "test_suite.py").write_text(suite)
        env = {key: text for key, text in os.environ.items() if not key.startswith("AUTOLOG_")}
        (tmp_path / "pytest.ini").write_text("[pytest]\n")
        return subprocess.run(
            [sys.executable, "-m", module, *words],
            cwd=tmp_path,
            env={**env, "OMP_NUM_THREADS": "1", "SKLEARN_SEED": "0", **environment},
            capture_output=True,
            text=True,
            timeout=500,
            check=False,
        )

    return run


def test_scikit_learns_own_tests_have_the_same_outcomes(run):
    words = ("-q", "--pyargs", "sklearn.svm.tests.test_sparse", "-k", "svc or iris")
    done = run("autolog.testing.compare", *words)
    assert done.returncode == 0, done.stdout + done.stderr
    tests, runs, differences = (int(part.split()[0]) for part in _last(done).split(", "))
    assert tests > 50
    assert runs > 100
    assert differences == 0


def test_the_trainings_of_a_suite_are_recorded_and_nothing_is_left_of_them(run, tmp_path):
    (tmp_path / "temporary").mkdir()
    done = run("pytest", *FOREIGN, suite=SAME + FAULTY, TMPDIR=str(tmp_path / "temporary"))
    assert done.returncode == 0, done.stdout
    assert "4 passed, 1 xfailed, 1 warning" in done.stdout
    assert "SystemExit: no params" in done.stdout
    assert "4 runs were recorded, 1 different failures in hooks\n" in done.stdout
    assert list((tmp_path / "temporary").iterdir()) == []
    assert {path.name for path in tmp_path.iterdir()} <= {
        *("pytest.ini", "temporary", "test_suite.py", "__pycache__")
    }


def test_what_fails_in_a_hook_fails_a_strict_session(run, tmp_path):
    store = str(tmp_path / "store")
    done = run("pytest", *FOREIGN, "--autolog-strict", suite=FAULTY, AUTOLOG_STORE=store)
    assert done.returncode == 1, done.stdout
    assert "1 passed" in done.stdout
    assert "SystemExit: no params" in done.stdout
    assert "FINISHED" in run("autolog", "ls", AUTOLOG_STORE=store).stdout


def test_an_unknown_framework_is_refused(run):
    done = run("pytest", *FOREIGN, "--autolog-only", "sklaern", suite=SAME)
    assert done.returncode != 0
    assert "sklaern" in done.stdout + done.stderr


def test_every_kind_of_difference_is_found_and_a_plain_leg_used_again(run, tmp_path):
    words = ("-q", "--plain", str(tmp_path / "plain.json"))
    for legs in (2, 1):
        done = run("autolog.testing.compare", *words, suite=DIFFERENT)
        assert done.returncode == 1
        assert done.stdout.count(" passed") == legs
        found = [line for line in done.stdout.splitlines() if line.startswith("test_suite.py::")]
        for name in ("passes", "skips", "prints", "warns", "is_there[True]", "is_there[False]"):
            assert any(line.startswith(f"test_suite.py::test_{name}: ") for line in found), name
        assert not any("test_same" in line for line in found)


def test_a_suite_that_does_not_run_is_an_error(run):
    done = run("autolog.testing.compare", "nowhere.py")
    assert done.returncode == 2
    assert "no tests ran" in done.stderr


def test_only_what_differs_is_said():
    assert list(compare({"a": {"outcome": 1}}, {"a": {"outcome": 1}})) == []
    assert list(compare({"a": {"outcome": 1}}, {})) == ["a: ran only without autolog"]


def _last(done: subprocess.CompletedProcess[str]) -> str:
    return done.stdout.strip().splitlines()[-1]
