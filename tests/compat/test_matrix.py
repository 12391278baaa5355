"""The schema of compat_matrix.yaml: what is wrong is named with its line and its key."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

from autolog.compat.matrix import MatrixError, load, to_data
from autolog.errors import SettingsError

ROOT = Path(__file__).parents[2]

GOOD = """\
schema: 1
frameworks:
  toy:
    integration: autolog_toy
    distributions: [toy, toy-cpu]
    modules: [toy]
    supported: ">=1,<3"
    because: it is so
    latest_known: "2.5"
    tested:
      - {version: "1.0", python: "3.10", with: ["numpy<2"], tier: commit}
      - {version: "2.4", python: "3.13", tier: full}
    strategies:
      loop:
        - {when: ">=2", use: callbacks}
        - {when: "<2", use: patches}
    quirks:
      - id: toy-forgets
        when: ">=1,<2"
        symptom: it forgets
        guard: reminder
        fails_with: AssertionError
        test: tests/test_toy.py::test_it_remembers
        upstream: null
        since: 0.1.0
    logs: {params: all, series: each, evaluations: all, data: shapes, model: native}
"""


def written(tmp_path: Path, text: str) -> Path:
    path = tmp_path / "compat_matrix.yaml"
    path.write_text(text, encoding="utf-8")
    return path


def test_a_good_file_is_read_with_every_field(tmp_path: Path) -> None:
    toy = load(written(tmp_path, GOOD)).frameworks["toy"]
    assert toy.distributions == ("toy", "toy-cpu")
    assert toy.tested[0].with_ == ("numpy<2",)
    assert toy.on_unsupported == "warn"
    assert toy.quirks[0].upstream is None


def test_the_run_time_gets_plain_literals_only(tmp_path: Path) -> None:
    data = to_data(load(written(tmp_path, GOOD)))
    assert data["toy"]["strategies"] == {"loop": ((">=2", "callbacks"), ("<2", "patches"))}
    assert eval(repr(data)) == data


@pytest.mark.parametrize(
    ("old", "new", "line", "named"),
    [
        ("schema: 1", "schema: 2", 1, "schema"),
        ("    modules: [toy]\n", "", 3, "frameworks.toy"),
        ("modules: [toy]", "modules: [toy]\n    module: toy", 3, "`module`"),
        ("modules: [toy]", "modules: []", 6, "frameworks.toy.modules"),
        ('latest_known: "2.5"', "latest_known: 2.5", 9, "frameworks.toy.latest_known"),
        (
            'latest_known: "2.5"',
            'latest_known: {toy: "new", toy-cpu: "1"}',
            9,
            "latest_known.toy: 'new' is no",
        ),
        ('latest_known: "2.5"', 'latest_known: {toi: "2"}', 9, "must name each of toy, toy-cpu"),
        ('latest_known: "2.5"', 'latest_known: "newest"', 9, "'newest' is no version"),
        ('">=1,<3"', '"1 to 3"', 7, "'1 to 3' is no version specifier"),
        ('"3.13", tier: full', '"3.13", tier: weekly', 12, "frameworks.toy.tested[1].tier"),
        ('"3.13", tier: full', '"py313", tier: full', 12, "frameworks.toy.tested[1].python"),
        ('"3.13", tier: full', '"3.13", tier: full, extra: 1', 12, "`extra`"),
        ('{when: "<2", use', '{when: "two", use', 16, "strategies.loop[1].when"),
        ("use: patches", "uses: patches", 16, "frameworks.toy.strategies.loop[1]"),
        ("id: toy-forgets", "id: Toy_Forgets", 18, "frameworks.toy.quirks[0].id"),
        ("guard: reminder", "guard: [reminder]", 21, "frameworks.toy.quirks[0].guard"),
        ("        upstream: null\n", "", 18, "upstream"),
        ("modules: [toy]", "modules: [toy]\n    modules: [toy]", 7, "is given twice"),
        ("schema: 1", "- schema", 1, "YAML"),
    ],
)
def test_what_is_wrong_is_named_with_its_line_and_key(
    tmp_path: Path, old: str, new: str, line: int, named: str
) -> None:
    assert GOOD.count(old) == 1
    path = written(tmp_path, GOOD.replace(old, new))
    with pytest.raises(MatrixError) as caught:
        load(path)
    assert str(caught.value).startswith(str(path))
    assert f"line {line}" in str(caught.value)
    assert named in str(caught.value)


@pytest.mark.parametrize("text", ["", "[]", "schema: 1\nframeworks: []", "a: b: c", "\t"])
def test_a_file_that_is_no_matrix_is_an_error(tmp_path: Path, text: str) -> None:
    with pytest.raises(SettingsError, match=r"compat_matrix\.yaml"):
        load(written(tmp_path, text))


def test_a_missing_file_is_an_error_that_names_it(tmp_path: Path) -> None:
    with pytest.raises(SettingsError, match=r"nowhere\.yaml cannot be read"):
        load(tmp_path / "nowhere.yaml")


def test_without_pyyaml_the_error_says_what_to_install(tmp_path: Path) -> None:
    path = written(tmp_path, GOOD)
    program = f"""
import sys
sys.modules["yaml"] = None
from pathlib import Path
from autolog.compat.matrix import MatrixError, load
try:
    load(Path({str(path)!r}))
except MatrixError as error:
    print(error)
"""
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True)
    assert "pip install PyYAML" in done.stdout


def run(*words: str, root: Path = ROOT) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, "-m", "autolog.compat", *words]
    return subprocess.run(command, cwd=root, capture_output=True, text=True, env={**os.environ})


def test_the_committed_module_is_compiled_from_the_committed_file() -> None:
    done = run("compile", "--check")
    assert (done.returncode, done.stdout) == (0, "the generated files are up to date\n")


def test_compile_writes_the_module_and_the_table_between_the_markers(tmp_path: Path) -> None:
    written(tmp_path, GOOD)
    (tmp_path / "autolog").mkdir()
    (tmp_path / "README.md").write_text("# A\n<!-- compat:begin -->\n<!-- compat:end -->\nZ\n")
    assert run("compile", "--check", root=tmp_path).returncode == 1
    assert run("compile", root=tmp_path).returncode == 0
    assert run("compile", "--check", root=tmp_path).returncode == 0
    readme = (tmp_path / "README.md").read_text()
    assert "| toy (`toy`) | >=1, <3 | 1.0, 2.4 | 3.10, 3.13 |\n<!-- compat:end -->\nZ" in readme
    namespace: dict[str, object] = {}
    exec((tmp_path / "autolog/_compat_data.py").read_text(), namespace)
    assert namespace["DATA"] == to_data(load(tmp_path / "compat_matrix.yaml"))


def test_a_file_that_cannot_be_read_ends_with_code_2(tmp_path: Path) -> None:
    written(tmp_path, "schema: 7")
    done = run("compile", root=tmp_path)
    assert (done.returncode, done.stdout.count("\n")) == (2, 1)
    assert run("compile", "--root", str(tmp_path / "nowhere")).returncode == 2


def laughing() -> str:
    """A short file whose aliases, written out, would fill the memory."""
    levels = (f"a{n}: &a{n} [{', '.join([f'*a{n - 1}'] * 9)}]\n" for n in range(1, 9))
    return "schema: 1\nframeworks: {}\na0: &a0 [x]\n" + "".join(levels)


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("schema: 1\nframeworks: &a\n  x: *a\n", "its aliases make too much of it"),
        (laughing(), "its aliases make too much of it"),
        ("[" * 50_000, "nested too deeply"),
        (GOOD.replace("it is so", "2020-99-99"), "is not valid YAML: month"),
        (GOOD.replace("it is so", "!!int many"), "is not valid YAML: invalid literal"),
        (GOOD + "\0", "is not valid YAML: unacceptable character"),
        ("# " + "x" * 2_000_000, "is larger than"),
    ],
)
def test_whatever_a_file_holds_is_an_error_of_the_matrix(
    tmp_path: Path, text: str, said: str
) -> None:
    with pytest.raises(MatrixError, match=said):
        load(written(tmp_path, text))


def test_what_is_no_file_is_not_read(tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "pipe.yaml")
    for place in (tmp_path, tmp_path / "pipe.yaml"):
        with pytest.raises(MatrixError, match="it is no file"):
            load(place)
    with pytest.raises(MatrixError, match="No such file"):
        load(tmp_path / "nowhere.yaml")
    with pytest.raises(MatrixError, match="null byte"):
        load(Path("a\0b"))


@pytest.mark.parametrize("start", ["", "\ufeff"])
def test_marks_and_ends_of_lines_of_windows_are_read(tmp_path: Path, start: str) -> None:
    path = tmp_path / "compat_matrix.yaml"
    path.write_bytes((start + GOOD.replace("\n", "\r\n")).encode())
    assert load(path).frameworks["toy"].latest_known == "2.5"
