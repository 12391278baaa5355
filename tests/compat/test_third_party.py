"""A matrix that somebody else's integration ships: compiled, resolved, proved and shown."""

from __future__ import annotations

import json
import re
import runpy
import subprocess
import sys
import types
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from autolog.compat import packages
from autolog.compat.__main__ import main
from autolog.compat.view import resolve
from tests.compat.toybox import GUARDS, MATRIX, TEST, environment, write_project

COMPILED = "autolog_toybox/_compat_data.py"


Here = Callable[..., tuple[int, str]]


def run(project: Path, *words: str, cwd: Path | None = None) -> tuple[int, str]:
    """Run a module in a process in which the project is installed."""
    done = subprocess.run(
        [sys.executable, "-m", *words],
        cwd=cwd or project,
        env=environment(project),
        capture_output=True,
        text=True,
    )
    return done.returncode, done.stdout + done.stderr


def change(project: Path, name: str, old: str, new: str) -> None:
    path = project / name
    text = path.read_text()
    assert text.count(old) == 1
    path.write_text(text.replace(old, new))


@pytest.fixture
def source(tmp_path: Path) -> Path:
    """The project as it is before its matrix was compiled."""
    return write_project(tmp_path / "project")


@pytest.fixture
def project(source: Path) -> Path:
    packages.write(packages.find("autolog_toybox", source))
    return source


@pytest.fixture
def here(capsys: pytest.CaptureFixture[str]) -> Iterator[Callable[..., tuple[int, str]]]:
    """Run `python -m autolog.compat` in this process, on a project that it is told the root of."""

    def run(project: Path, command: str, *words: str) -> tuple[int, str]:
        package = () if "--package" in words else ("--package", "autolog_toybox")
        code = main(["--root", str(project), command, *package, *words])
        said = capsys.readouterr()
        return code, said.out + said.err

    yield run
    for name in [name for name in sys.modules if name.startswith("autolog_toybox")]:
        del sys.modules[name]


def test_a_matrix_is_compiled_once_and_compared_from_then_on(here: Here, source: Path) -> None:
    assert here(source, "compile", "--check")[0] == 1
    assert here(source, "compile") == (0, f"wrote {source / COMPILED}\n")
    assert here(source, "compile") == (0, "")
    assert here(source, "compile", "--check")[0] == 0
    assert "compile --package autolog_toybox" in (source / COMPILED).read_text()
    change(source, "autolog_toybox/compat_matrix.yaml", '"2.1.0"\n', '"2.2.0"\n')
    assert here(source, "compile", "--check") == (1, f"{source / COMPILED} is out of date\n")


def test_a_package_may_lie_in_the_src_of_a_project(here: Here, source: Path) -> None:
    (source / "src").mkdir()
    (source / "autolog_toybox").rename(source / "src/autolog_toybox")
    assert here(source, "compile")[0] == 0
    assert (source / "src" / COMPILED).exists()


def test_an_installed_package_needs_no_root(project: Path, tmp_path: Path) -> None:
    words = ("--package", "autolog_toybox")
    assert run(project, "autolog.compat", "compile", "--check", *words, cwd=tmp_path)[0] == 0
    code, said = run(project, "autolog.compat", "check", *words, cwd=tmp_path)
    assert (code, said) == (0, "the matrix of autolog_toybox agrees with the package\n")


def test_a_package_without_a_matrix_is_wrong_usage(here: Here, source: Path) -> None:
    code, said = here(source, "compile", "--package", "nowhere")
    assert (code, "no package nowhere in" in said) == (2, True), said
    (source / "autolog_toybox/compat_matrix.yaml").unlink()
    code, said = here(source, "check")
    assert (code, "autolog_toybox has no compat_matrix.yaml" in said) == (2, True), said


def test_a_matrix_that_breaks_the_schema_is_told_with_its_line(here: Here, source: Path) -> None:
    change(source, "autolog_toybox/compat_matrix.yaml", "guard: last_epoch", "gard: last_epoch")
    code, said = here(source, "compile")
    assert (code, "line 15" in said) == (2, True), said


def test_a_package_that_agrees_has_no_findings(project: Path) -> None:
    words = ("check", "--package", "autolog_toybox", "--tests", "tests")
    expected = "the matrix of autolog_toybox agrees with the package\n"
    assert run(project, "autolog.compat", *words) == (0, expected)


@pytest.mark.parametrize(
    ("name", "old", "new", "finding"),
    [
        ("autolog_toybox/guards.py", "last_epoch", "last", "last_epoch is not registered"),
        ("autolog_toybox/__init__.py", "_compat_data:DATA", "hooks:DATA", "must say compat="),
        ("autolog_toybox/__init__.py", 'name="toybox"', 'name="box"', "declares box"),
        ("autolog_toybox/compat_matrix.yaml", "id: toybox-", "id: box-", "starts with toybox-"),
        (COMPILED, "last_epoch", "last", "compile --package autolog_toybox"),
    ],
)
def test_each_disagreement_is_found(
    here: Here, project: Path, name: str, old: str, new: str, finding: str
) -> None:
    change(project, name, old, new)
    code, said = here(project, "check")
    assert (code, finding in said) == (1, True), said


def test_a_package_without_an_entry_point_is_found(here: Here, project: Path) -> None:
    (project / "pyproject.toml").write_text('[project]\nname = "autolog-toybox"\n')
    code, said = here(project, "check")
    assert (code, "no entry point toybox" in said) == (1, True), said


def test_a_quirk_without_its_test_is_found(project: Path) -> None:
    change(project, "tests/test_toybox_quirks.py", "def test_every_epoch", "def test_each_epoch")
    words = ("check", "--package", "autolog_toybox", "--tests", "tests")
    code, said = run(project, "autolog.compat", *words)
    assert (code, "there is no test tests/test_toybox_quirks.py" in said) == (1, True), said


@pytest.mark.parametrize(
    ("version", "unguard", "guards"),
    [
        ("1.4.0", "", {"last_epoch"}),
        ("1.4.0", "toybox-forgets-the-last-epoch", set()),
        ("2.1.0", "", set()),
    ],
)
def test_its_guards_are_on_for_the_affected_versions(
    project: Path, monkeypatch: pytest.MonkeyPatch, version: str, unguard: str, guards: set[str]
) -> None:
    monkeypatch.setenv("AUTOLOG_UNGUARD", unguard)
    data = runpy.run_path(str(project / COMPILED))["DATA"]
    framework = types.SimpleNamespace(__version__=version)
    assert resolve("toybox", framework, data=data).guards == guards


def test_its_quirks_are_proved_with_the_guard_and_without(project: Path) -> None:
    options = ["-q", "-p", "no:cacheprovider", "-p", "autolog.testing.quirks"]
    code, out = run(project, "pytest", *options, "tests")
    assert (code, "1 passed, 1 xfailed" in out) == (0, True), out


def contract(project: Path, folder: Path) -> tuple[int, str]:
    folder.mkdir()
    words = ("-q", "-p", "autolog.testing.contract", "--autolog-integration", "toybox")
    done = subprocess.run(
        [sys.executable, "-m", "pytest", *words, "-k", "its_matrix or its_quirks"],
        cwd=folder,
        env=environment(project),
        capture_output=True,
        text=True,
    )
    return done.returncode, done.stdout + done.stderr


def test_the_contract_suite_looks_after_the_matrix_and_its_quirks(
    project: Path, tmp_path: Path
) -> None:
    change(project, "toybox.py", "1.4.0", "2.1.0")
    code, out = contract(project, tmp_path / "good")
    assert (code, "2 passed" in out) == (0, True), out
    change(project, "toybox.py", "2.1.0", "1.4.0")
    change(project, "autolog_toybox/hooks.py", "if forgets:", "if False:")
    change(project, "autolog_toybox/compat_matrix.yaml", '"2.1.0"\n', '"2.2.0"\n')
    code, out = contract(project, tmp_path / "bad")
    assert (code, "2 failed" in out) == (1, True), out
    assert "_compat_data.py is out of date" in out
    assert "test_every_epoch_is_recorded[guarded]" in out


def test_an_installed_package_without_its_tests_is_told_apart(
    project: Path, tmp_path: Path
) -> None:
    (project / "tests/test_toybox_quirks.py").unlink()
    code, out = contract(project, tmp_path / "elsewhere")
    assert (code, "1 passed, 1 skipped" in out) == (0, True), out


def test_it_is_listed_and_shown_beside_ours(project: Path) -> None:
    listed = json.loads(run(project, "autolog", "compat", "list", "--json")[1])
    origins = {one["framework"]: one["from"] for one in listed["frameworks"]}
    assert origins["toybox"] == "autolog_toybox._compat_data:DATA"
    assert origins["sklearn"] == "autolog"
    shown = json.loads(run(project, "autolog", "compat", "show", "box", "--json")[1])
    assert shown["quirks"][0]["upstream"] == "https://example.org/toybox/issues/7"
    found = json.loads(run(project, "autolog", "doctor", "--json")[1])
    (toybox,) = [one for one in found["frameworks"] if one["integration"] == "toybox"]
    assert [guard["quirk"] for guard in toybox["guards"]] == ["toybox-forgets-the-last-epoch"]


def test_a_matrix_that_leads_nowhere_is_told_and_the_others_listed(project: Path) -> None:
    (project / COMPILED).unlink()
    code, said = run(project, "autolog", "compat", "list")
    assert code == 1
    assert "integration toybox: autolog_toybox._compat_data:DATA is no matrix of it" in said
    assert "sklearn" in said


def test_the_guide_shows_this_project_and_the_commands_that_are_run_here() -> None:
    root = Path(__file__).parents[2]
    guide = (root / "docs/integrations.md").read_text().partition("### A matrix of your own")[2]
    shown = [part.partition("```")[0] for part in re.split(r"```(?:py|yaml)\n", guide)[1:]]
    assert shown[:2] == [GUARDS, MATRIX]
    assert shown[2].removesuffix(" ...\n") in TEST
    assert re.findall(r"^    (p.*)$", guide.replace("\n    ...", ""), re.MULTILINE)[-4:] == [
        "python -m autolog.compat compile --package autolog_toybox",
        "python -m autolog.compat compile --package autolog_toybox --check",
        "python -m autolog.compat check --package autolog_toybox --tests tests",
        "pytest -p autolog.testing.quirks tests",
    ]
