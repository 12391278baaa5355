"""`python -m autolog.compat check` on small projects that are wrong in one place each."""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Iterable
from pathlib import Path
from typing import Any

import pytest

from autolog.compat import check, compiler, tables
from autolog.compat.matrix import load
from autolog.compat.results import Legs, Result, digest_of_tests, path_of, save
from autolog.compat.rows import rows

MATRIX = """\
schema: 1
frameworks:
  toy:
    integration: autolog_toy
    distributions: [packaging]
    modules: [packaging]
    supported: ">=1"
    because: it is so
    logs: {params: all, series: each, evaluations: all, data: shapes, model: native}
    latest_known: "99"
    tested:
      - {version: "22", python: "3.11", tier: commit}
    strategies:
      loop: [{when: ">=2", use: callbacks}]
    quirks:
      - id: toy-forgets
        when: ">=1"
        symptom: it forgets
        guard: reminder
        fails_with: AssertionError
        test: tests/test_toy.py::test_it_remembers
        upstream: null
        since: 0.1.0
"""
GUARDS = 'GUARDS: dict[str, str] = {"reminder": "Reminds.", "callbacks": "Uses callbacks."}\n'
PROJECT = """\
[project]
name = "toy"
[project.entry-points."autolog.integrations"]
toy = "autolog_toy:INTEGRATION"
[tool.pytest.ini_options]
addopts = "-p autolog.testing.quirks --strict-markers"
"""
TEST = """\
import pytest
from autolog.compat.view import resolve

@pytest.mark.quirk("toy-forgets")
def test_it_remembers(guarded):
    import packaging
    assert "reminder" in resolve("toy", packaging).guards
"""


def _places(marks: Iterable[str]) -> str:
    """A page with a place for each table, and none filled."""
    return "".join(f"{tables.begin(mark)}\n{tables.end(mark)}\n" for mark in marks)


@pytest.fixture
def project(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A project in which everything agrees."""
    for name, text in {
        "compat_matrix.yaml": MATRIX,
        "pyproject.toml": PROJECT,
        **{name: _places(marks) for name, marks in tables.PAGES.items()},
        "autolog/placeholder.txt": "",
        "integrations/autolog_toy/__init__.py": "",
        "integrations/autolog_toy/guards.py": GUARDS,
        "tests/test_toy.py": TEST,
        "tests/matrix/test_toy_logged.py": "",
    }.items():
        path = tmp_path / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text)
    compiler.write(tmp_path)
    record(tmp_path)
    monkeypatch.setenv("AUTOLOG_COMPAT_MATRIX", str(tmp_path / "compat_matrix.yaml"))
    return tmp_path


def record(project: Path, **changed: Any) -> None:
    """Keep results as if every row had been run as it stands."""
    for row in rows(load(project / "compat_matrix.yaml")):
        legs = {name: Legs(guarded="passed", unguarded="xfailed") for name in row.quirks}
        given: dict[str, Any] = {
            "digest": row.digest,
            "tested_by": digest_of_tests(row, project),
            "passed": True,
            "python": f"{row.python}.1",
            "installed": {"packaging": "22.0", "numpy": "1.26.4"},
            "tests": {"passed": 1, "xfailed": 1},
            "quirks": legs,
        }
        found = Result(row=row.id, source="1", ran="2026-01-31", **{**given, **changed})
        save(path_of(project, row.id), found)


def change(project: Path, name: str, old: str, new: str) -> None:
    path = project / name
    text = path.read_text()
    assert text.count(old) == 1
    path.write_text(text.replace(old, new))
    if name == "compat_matrix.yaml":
        compiler.write(project)
        record(project)


def test_a_project_that_agrees_has_no_findings(project: Path) -> None:
    assert check.findings(project) == []


@pytest.mark.parametrize(
    ("name", "old", "new", "finding"),
    [
        ("compat_matrix.yaml", "id: toy-forgets", "id: forgets", "starts with toy-"),
        ("compat_matrix.yaml", "fails_with: AssertionError", "fails_with: Oops", "Oops"),
        ("compat_matrix.yaml", 'supported: ">=1"', 'supported: ">=23"', "tested 22 is outside"),
        ("compat_matrix.yaml", 'latest_known: "99"', 'latest_known: "21"', "older than tested 22"),
        (
            "compat_matrix.yaml",
            'latest_known: "99"',
            'latest_known: {packaging: "21"}',
            "latest_known 21 is older than tested 22",
        ),
        ("compat_matrix.yaml", 'when: ">=1"', 'when: "<1.1"', "nothing proves it"),
        (
            "compat_matrix.yaml",
            "    quirks:",
            "    co_pins: [{when: '>=1', needs: numpy<2, because: so}]\n    quirks:",
            "tested 22 needs numpy<2 in `with`",
        ),
        ("compat_matrix.yaml", "guard: reminder", "guard: bell", "bell is not registered"),
        ("compat_matrix.yaml", "use: callbacks", "use: hooks", "hooks is not registered"),
        ("compat_matrix.yaml", '{when: ">=2"', '{when: "<2"', "no case is for tested 22"),
        (
            "compat_matrix.yaml",
            "use: callbacks}]",
            'use: callbacks}, {when: ">=1", use: callbacks}]',
            "no tested version takes >=1: callbacks",
        ),
        ("compat_matrix.yaml", "use: callbacks", "use: reminder", "guard callbacks"),
        ("compat_matrix.yaml", "integration: autolog_toy", "integration: toy", "entry point"),
        ("integrations/autolog_toy/guards.py", "GUARDS:", "OTHERS:", "must hold GUARDS"),
        ("integrations/autolog_toy/guards.py", "{", "dict({", "must hold GUARDS"),
        ("pyproject.toml", '."autolog.integrations"]', ".others]", "toy: the entry point is None"),
        ("pyproject.toml", 'toy = "autolog_toy', 'game = "autolog_toy', "game: the entry point"),
        ("README.md", "framework", "rahmenwerk", "README.md is out of date"),
        ("README.md", tables.end("compat"), "", "README.md has no table"),
        ("docs/compatibility.md", "it is so", "it was so", "compatibility.md is out of date"),
        ("docs/compatibility.md", tables.begin("quirks"), "", "compatibility.md has no table"),
        ("docs/frameworks.md", "shapes", "values", "frameworks.md is out of date"),
        ("autolog/_compat_data.py", "SHA256", "SHA1", "_compat_data.py is out of date"),
    ],
)
def test_each_disagreement_is_found(
    project: Path, name: str, old: str, new: str, finding: str
) -> None:
    change(project, name, old, new)
    found = check.findings(project, collect=False)
    assert any(finding in line for line in found), found


ROW = "toy-22-py3.11"


def test_a_row_whose_result_is_deleted_is_found(project: Path) -> None:
    path_of(project, ROW).unlink()
    found = check.findings(project, collect=False)
    assert any(f"row {ROW}: there is no result" in line for line in found), found
    assert "quirk toy-forgets: the result of no row proves it" in found


@pytest.mark.parametrize(
    ("changed", "finding"),
    [
        ({"digest": "0"}, f"row {ROW}: the row or its quirks changed since it was run"),
        ({"passed": False, "failures": ["it broke"]}, f"row {ROW}: failed on 2026-01-31: it broke"),
        ({"failures": ["it broke"]}, f"row {ROW}: failed on 2026-01-31: it broke"),
        ({"tests": {"passed": 9, "failed": 1}}, "failed on 2026-01-31: tests failed; run python"),
        ({"tests": {"skipped": 9}}, f"row {ROW}: failed on 2026-01-31: no test passed"),
        ({"tested_by": "0"}, f"row {ROW}: its tests changed since it was run"),
        ({"python": "3.10.1"}, f"row {ROW}: Python 3.10.1 ran, not 3.11"),
        ({"installed": {"packaging": "23"}}, "packaging 23 is installed, not packaging==22"),
        ({"installed": {}}, "packaging None is installed, not packaging==22"),
        ({"quirks": {}}, "quirk toy-forgets: the result of no row proves it"),
        (
            {"quirks": {"toy-forgets": Legs(guarded="passed", unguarded="passed")}},
            "quirk toy-forgets: the result of no row proves it",
        ),
    ],
)
def test_a_result_that_proves_less_than_its_row_is_found(
    project: Path, changed: dict[str, Any], finding: str
) -> None:
    record(project, **changed)
    found = check.findings(project, collect=False)
    assert any(finding in line for line in found), found


def test_a_file_that_the_tests_use_belongs_to_what_was_run(project: Path) -> None:
    beside = project / "tests/matrix/used_by_it.py"
    beside.write_text("")
    found = check.findings(project, collect=False)
    assert any(f"row {ROW}: its tests changed since it was run" in line for line in found), found


def test_the_ends_of_lines_in_a_checkout_change_nothing(project: Path) -> None:
    path = project / "tests/matrix/test_toy_logged.py"
    path.write_bytes(b"one = 1\n")
    record(project)
    path.write_bytes(b"one = 1\r\n")
    assert check.findings(project, collect=False) == []


def test_a_result_that_cannot_be_read_is_as_good_as_none(project: Path) -> None:
    path_of(project, ROW).write_text("{")
    found = check.findings(project, collect=False)
    assert any(f"row {ROW}: there is no result" in line for line in found), found


def test_a_row_that_changed_after_it_was_run_is_found(project: Path) -> None:
    path = project / "compat_matrix.yaml"
    path.write_text(MATRIX.replace('python: "3.11"', 'python: "3.11", with: [numpy]'))
    found = check.findings(project, collect=False)
    assert any("changed since it was run" in line for line in found), found


def test_a_result_of_no_row_is_found(project: Path) -> None:
    path_of(project, ROW).rename(path_of(project, "toy-21-py3.11"))
    found = check.findings(project, collect=False)
    assert any("toy-21-py3.11.json is the result of no row" in line for line in found), found


def test_a_quirk_id_used_twice_is_found(project: Path) -> None:
    path = project / "compat_matrix.yaml"
    quirk = MATRIX[MATRIX.index("      - id") :]
    path.write_text(MATRIX + quirk)
    assert "quirk toy-forgets: the id is used 2 times" in check.findings(project, collect=False)


def test_two_rows_of_one_id_are_found(project: Path) -> None:
    path = project / "compat_matrix.yaml"
    row = '      - {version: "22", python: "3.11", tier: commit}\n'
    path.write_text(MATRIX.replace(row, row + row.replace("}", ", with: [numpy]}")))
    found = check.findings(project, collect=False)
    assert any(f"row {ROW} is there 2 times" in line for line in found), found


def test_defaults_that_no_test_proves_are_found(project: Path) -> None:
    (project / "tests/matrix/test_toy_logged.py").unlink()
    found = check.findings(project, collect=False)
    assert any("nothing proves what `logs` says" in line for line in found), found


def test_a_folder_without_an_entry_point_is_found(project: Path) -> None:
    (project / "integrations/autolog_extra").mkdir()
    (project / "integrations/autolog_extra/__init__.py").touch()
    assert any("autolog_extra" in line for line in check.findings(project, collect=False))


@pytest.mark.parametrize(
    ("old", "new", "finding"),
    [
        (
            "def test_it_remembers",
            "def test_renamed",
            "there is no test tests/test_toy",
        ),
        ('@pytest.mark.quirk("toy-forgets")\n', "", "there is no test"),
        ('"toy-forgets"', '"toy-unknown"', "'toy-unknown' is not in compat_matrix.yaml"),
        ("import pytest\n", "import pytest, nowhere\n", "could not collect"),
    ],
)
def test_tests_and_quirks_that_do_not_agree_are_found(
    project: Path, old: str, new: str, finding: str
) -> None:
    change(project, "tests/test_toy.py", old, new)
    found = check.findings(project)
    assert any(finding in line for line in found), found


def test_a_second_test_of_a_quirk_is_found(project: Path) -> None:
    path = project / "tests/test_toy.py"
    path.write_text(TEST + TEST.replace("test_it_remembers", "test_again"))
    (finding,) = check.findings(project)
    assert finding.startswith("tests/test_toy.py::test_again")


def run_tests(project: Path) -> tuple[int, str]:
    command = [sys.executable, "-m", "pytest", "-q", "-rxX", "-p", "no:cacheprovider"]
    done = subprocess.run(command, cwd=project, capture_output=True, text=True)
    return done.returncode, done.stdout


def test_a_needed_guard_passes_with_it_and_fails_without(project: Path) -> None:
    code, out = run_tests(project)
    assert (code, "1 passed, 1 xfailed" in out) == (0, True), out


def test_a_guard_that_nobody_needs_turns_the_build_red(project: Path) -> None:
    (project / "tests/test_toy.py").write_text(
        TEST.replace('"reminder" in resolve("toy", packaging).guards', "True")
    )
    code, out = run_tests(project)
    assert code == 1
    assert "XPASS(strict)" in out


def test_a_failure_of_another_kind_is_no_proof(project: Path) -> None:
    (project / "tests/test_toy.py").write_text(TEST + "    1 / guarded\n")
    change(project, "tests/test_toy.py", "assert", "x =")
    code, out = run_tests(project)
    assert code == 1
    assert "ZeroDivisionError" in out


def test_where_no_version_is_affected_both_legs_must_pass(project: Path) -> None:
    change(project, "compat_matrix.yaml", 'when: ">=1"', 'when: "<1.1"')
    code, out = run_tests(project)
    assert (code, "2 failed" in out) == (1, True), out


def test_a_framework_that_is_not_installed_skips_its_quirks(project: Path) -> None:
    change(project, "compat_matrix.yaml", "modules: [packaging]", "modules: [no_such_module]")
    code, out = run_tests(project)
    assert (code, "2 skipped" in out) == (0, True), out
