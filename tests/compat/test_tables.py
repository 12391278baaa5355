"""The tables of the documentation, made from a matrix."""

from __future__ import annotations

from pathlib import Path

import pytest

from autolog.compat import tables
from autolog.compat.matrix import Matrix, load

ROOT = Path(__file__).parents[2]

ISSUE = "https://github.com/tin/toy/issues/7"
MATRIX = f"""\
schema: 1
frameworks:
  toy:
    integration: autolog_toy
    distributions: [toy, toy-cpu]
    modules: [toy]
    supported: ">=1,<3"
    because: 1 | 2 are what __all__ of them use
    on_unsupported: skip
    latest_known: "2.10"
    logs: {{params: all, series: each, evaluations: "`score`", data: shapes, model: native}}
    tested:
      - {{version: "2.10", python: "3.11", with: ["tin<2"], env: {{TOY: fast}}, tier: commit}}
      - {{version: "2.9", python: "3.10", distribution: toy-cpu, label: cpu, tier: full}}
    co_pins:
      - {{when: "<2.10", needs: "tin<2", because: it bends}}
    quirks:
      - id: toy-forgets
        when: ">=1,<2.10"
        symptom: it
          forgets
        guard: reminder
        fails_with: AssertionError
        test: tests/test_toy.py::test_it_remembers
        upstream: {ISSUE}
        since: 0.1.0
      - id: toy-rusts
        when: ">=1"
        symptom: it rusts
        guard: engine
        fails_with: AssertionError
        test: tests/test_toy.py::test_it_shines
        upstream: null
        since: 0.1.0
environments:
  nothing: {{python: "3.13", tier: commit, tests: [tests/test_nothing.py]}}
"""


@pytest.fixture
def matrix(tmp_path: Path) -> Matrix:
    path = tmp_path / "compat_matrix.yaml"
    path.write_text(MATRIX)
    return load(path)


def table(root: Path, matrix: Matrix, page: str, marker: str) -> list[str]:
    """Generate a table into a page; give its lines below the head."""
    for name, marks in tables.PAGES.items():
        (root / name).parent.mkdir(exist_ok=True)
        places = "".join(f"{tables.begin(one)}\nold\n{tables.end(one)}\n" for one in marks)
        (root / name).write_text(f"before\n{places}after\n")
    text = tables.generated(root, matrix)[root / page]
    assert text.startswith("before\n")
    assert text.endswith("after\n")
    lines = text.partition(tables.begin(marker))[2].partition(tables.end(marker))[0].splitlines()
    assert lines[2].startswith("| --- |")
    return lines[3:]


@pytest.mark.parametrize(
    ("page", "marker", "expected"),
    [
        ("README.md", "compat", ["| toy (`toy`) | >=1, <3 | 2.9, 2.10 | 3.10, 3.11 |"]),
        (
            "docs/compatibility.md",
            "ranges",
            ["| `toy` | >=1, <3 | 1 \\| 2 are what `__all__` of them use | skip | 2.10 |"],
        ),
        (
            "docs/compatibility.md",
            "tested",
            [
                "| `toy-2.10-py3.11` | 3.11 | `toy==2.10` `tin<2` `TOY=fast` | commit |",
                "| `toy-2.9-py3.10-cpu` | 3.10 | `toy-cpu==2.9` | full |",
                "| `nothing` | 3.13 | nothing | commit |",
            ],
        ),
        ("docs/compatibility.md", "co-pins", ["| `toy` | <2.10 | `tin<2` | it bends |"]),
        (
            "docs/compatibility.md",
            "quirks",
            [
                f"| `toy-forgets` | >=1, <2.10 | it forgets | `reminder` | [toy 7]({ISSUE}) |",
                "| `toy-rusts` | >=1 | it rusts | engine |  |",
            ],
        ),
        ("docs/frameworks.md", "logs", ["| `toy` | all | each | `score` | shapes | native |  |"]),
    ],
)
def test_each_table_says_what_the_matrix_says(
    tmp_path: Path, matrix: Matrix, page: str, marker: str, expected: list[str]
) -> None:
    assert table(tmp_path, matrix, page, marker) == expected


def test_a_page_that_lacks_a_place_is_left_alone_and_named(tmp_path: Path, matrix: Matrix) -> None:
    (tmp_path / "README.md").write_text(f"{tables.end('compat')}\n{tables.begin('compat')}\n")
    assert tables.generated(tmp_path, matrix) == {}
    found = list(tables.missing(tmp_path))
    assert len(found) == sum(map(len, tables.PAGES.values()))
    assert found[0].startswith("README.md has no table")


def test_each_place_of_the_projects_pages_stands_once() -> None:
    for name, marks in tables.PAGES.items():
        text = (ROOT / name).read_text()
        for mark in marks:
            assert (text.count(tables.begin(mark)), text.count(tables.end(mark))) == (1, 1)
