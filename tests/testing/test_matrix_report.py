"""What the report of a row of the matrix says of tests that prove less than they seem to."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

TESTS = """
import pytest

@pytest.fixture
def broken():
    assert False

@pytest.mark.xfail(raises=AssertionError, strict=True)
def test_whose_fixture_fails(broken): ...

@pytest.mark.xfail(raises=AssertionError, strict=True)
def test_that_fails_as_it_should():
    assert False

@pytest.mark.xfail(raises=AssertionError, strict=True)
def test_that_passes_though_it_should_not(): ...

def test_that_passes(): ...

def test_that_fails_and_cannot_clean_up(request):
    request.addfinalizer(lambda: 1 / 0)
    assert False
"""
ABSENT = """
import pytest
pytest.importorskip("no_such_framework")

def test_of_it(): ...
"""


@pytest.fixture(scope="module")
def found(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Any]:
    folder = tmp_path_factory.mktemp("row")
    (folder / "test_some.py").write_text(TESTS)
    (folder / "test_absent.py").write_text(ABSENT)
    report = folder / "report.json"
    command = [sys.executable, "-m", "pytest", "-q", "-p", "autolog.testing.matrix_report"]
    command += [f"--matrix-report={report}", "test_some.py", "test_absent.py"]
    subprocess.run(command, cwd=folder, capture_output=True)
    return json.loads(Path(report).read_text())


def test_an_expected_failure_of_a_fixture_is_a_failure(found: dict[str, Any]) -> None:
    assert found["tests"] == {"failed": 3, "xfailed": 1, "passed": 1}
    assert (
        "test_some.py::test_whose_fixture_fails: a fixture failed, which proves no quirk"
        in (found["failures"])
    )


def test_a_file_of_which_nothing_ran_is_a_failure(found: dict[str, Any]) -> None:
    (said,) = [line for line in found["failures"] if line.startswith("test_absent.py")]
    assert "nothing of it ran" in said
    assert "no_such_framework" in said


def test_each_failure_is_a_line_with_its_test(found: dict[str, Any]) -> None:
    (strict,) = [line for line in found["failures"] if "though_it_should_not" in line]
    assert "XPASS(strict)" in strict
    both = [line for line in found["failures"] if "cannot_clean_up" in line]
    assert len(both) == 2
