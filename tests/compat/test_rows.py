"""What a row of the matrix is made of."""

from __future__ import annotations

from pathlib import Path

import pytest

from autolog.compat.matrix import Matrix, load
from autolog.compat.rows import Row, rows

MATRIX = """\
schema: 1
frameworks:
  toy:
    integration: autolog_toy
    distributions: [toy, toy-cpu]
    modules: [toy]
    supported: ">=1"
    because: it is so
    latest_known: "2"
    tested:
      - {version: "1", python: "3.10", with: ["numpy<2"], tier: full}
      - {version: "2", python: "3.12", distribution: toy-cpu, tier: commit, label: gpu,
         env: {TOY: "1"}}
    quirks:
      - id: toy-forgets
        when: ">=1"
        symptom: it forgets
        guard: reminder
        fails_with: AssertionError
        test: tests/test_toy.py::test_it_remembers
        upstream: null
        since: 0.1.0
    logs: {params: all, series: each, evaluations: all, data: shapes, model: native}
environments:
  bare: {python: "3.13", tier: commit, tests: [tests/matrix/test_bare.py]}
"""


def read(tmp_path: Path, text: str = MATRIX) -> Matrix:
    path = tmp_path / "compat_matrix.yaml"
    path.write_text(text)
    return load(path)


def test_the_full_tier_is_every_row_and_the_commit_tier_some(tmp_path: Path) -> None:
    matrix = read(tmp_path)
    assert [row.id for row in rows(matrix)] == ["toy-1-py3.10", "toy-2-py3.12-gpu", "bare"]
    assert [row.id for row in rows(matrix, "commit")] == ["toy-2-py3.12-gpu", "bare"]


def test_rows_of_one_framework_are_chosen_by_its_name(tmp_path: Path) -> None:
    matrix = read(tmp_path)
    assert [row.id for row in rows(matrix, framework="bare")] == ["bare"]
    assert len(rows(matrix, framework="toy")) == 2
    assert rows(matrix, framework="no_such") == []


def test_a_row_installs_its_distribution_and_what_goes_with_it(tmp_path: Path) -> None:
    old, new, bare = rows(read(tmp_path))
    assert old.requirements == ("toy==1", "numpy<2")
    assert new.requirements == ("toy-cpu==2",)
    assert new.env == (("TOY", "1"),)
    assert (bare.requirements, bare.quirks) == ((), ())
    assert old.quirks == new.quirks == ("toy-forgets",)


def digest(tmp_path: Path, old: str, new: str) -> tuple[Row, Row]:
    assert MATRIX.count(old) == 1
    return rows(read(tmp_path))[0], rows(read(tmp_path, MATRIX.replace(old, new)))[0]


@pytest.mark.parametrize(
    ("old", "new"),
    [
        ('"numpy<2"', '"numpy<3"'),
        ('python: "3.10"', 'python: "3.11"'),
        ('when: ">=1"', 'when: ">=1.1"'),
        ("guard: reminder", "guard: bell"),
        ("fails_with: AssertionError", "fails_with: ValueError"),
        ("id: toy-forgets", "id: toy-loses"),
    ],
)
def test_what_a_result_depends_on_is_in_the_digest(tmp_path: Path, old: str, new: str) -> None:
    before, after = digest(tmp_path, old, new)
    assert before.digest != after.digest


@pytest.mark.parametrize(
    ("old", "new"),
    [
        ("symptom: it forgets", "symptom: it loses what it was told"),
        ("upstream: null", "upstream: https://example.org/1"),
        ('latest_known: "2"', 'latest_known: "3"'),
    ],
)
def test_words_about_a_row_do_not_ask_for_another_run(tmp_path: Path, old: str, new: str) -> None:
    before, after = digest(tmp_path, old, new)
    assert before.digest == after.digest
