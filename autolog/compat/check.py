"""Proves that `compat_matrix.yaml`, the guards, the tests and the project agree.

Each rule returns findings, one line each that says what to change. The project is read from the
source tree: nothing of an integration is imported.
"""

from __future__ import annotations

import ast
import builtins
import importlib
import json
import subprocess
import sys
import tempfile
from collections import Counter
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

from packaging.requirements import Requirement
from packaging.specifiers import SpecifierSet
from packaging.version import Version

from autolog.compat import compiler, results, tables
from autolog.compat.data import FrameworkData
from autolog.compat.known import latest_known
from autolog.compat.matrix import Framework, Matrix, Tested, load, to_data
from autolog.compat.rows import rows
from autolog.compat.view import ENGINE, matches

__all__ = ["findings", "of_guards", "of_matrix", "of_tests"]


def findings(root: Path, *, collect: bool = True) -> list[str]:
    """Apply every rule; `collect=False` leaves out those that run pytest.

    Raises:
        MatrixError: the matrix cannot be read.
    """
    matrix = load(root / compiler.SOURCE)
    found = [*of_matrix(matrix), *_projects(root, matrix), *_generated(root)]
    found += [*_row_tests(root, matrix), *results.findings(root, matrix)]
    for name, data in to_data(matrix).items():
        integration = matrix.frameworks[name].integration
        found += of_guards(root / "integrations" / integration, name, data)
    return found + (list(of_tests(root, matrix)) if collect else [])


def of_matrix(matrix: Matrix) -> list[str]:
    """Apply the rules that a matrix has to keep by itself."""
    return [*_ids(matrix), *_versions(matrix), *_co_pins(matrix)]


def _ids(matrix: Matrix) -> Iterator[str]:
    """Rows and quirks have ids of their own; a quirk's has its framework in front."""
    rows_of = Counter(row.id for row in rows(matrix))
    for id_, n in rows_of.items():
        if n > 1:
            yield f"row {id_} is there {n} times: tell them apart by a label"
    count = Counter(quirk.id for one in matrix.frameworks.values() for quirk in one.quirks)
    yield from (f"quirk {id_}: the id is used {n} times" for id_, n in count.items() if n > 1)
    for name, one in matrix.frameworks.items():
        for quirk in one.quirks:
            if not quirk.id.startswith(f"{name.replace('_', '-')}-"):
                yield f"quirk {quirk.id}: an id of {name} starts with {name.replace('_', '-')}-"
            if "." not in quirk.fails_with and not hasattr(builtins, quirk.fails_with):
                yield f"quirk {quirk.id}: fails_with {quirk.fails_with} is no builtin exception"


def _versions(matrix: Matrix) -> Iterator[str]:
    """What is tested is supported and known, and every quirk affects a tested version."""
    for name, one in matrix.frameworks.items():
        supported = SpecifierSet(one.supported)
        for row in one.tested:
            if row.distribution is not None and row.distribution not in one.distributions:
                yield f"{name}: {row.distribution} of {row.version} is not in distributions"
            if Version(row.version) not in supported:
                yield f"{name}: tested {row.version} is outside supported {one.supported}"
        for distribution in one.distributions if isinstance(one.latest_known, dict) else ("",):
            newest = max(_tested_of(distribution, one), default=Version("0"))
            known = latest_known(one.latest_known, distribution)
            if Version(known) < newest:
                yield f"{name}: latest_known {known} is older than tested {newest}"
        versions = [version for row in one.tested for version in _in_row(row, one)]
        for quirk in one.quirks:
            if not any(matches(version, quirk.when) for version in versions):
                yield f"quirk {quirk.id}: no tested version is {quirk.when}; nothing proves it"
        for strategy, cases in one.strategies.items():
            chosen = {
                version: next((case for case in cases if matches(version, case.when)), None)
                for version in versions
            }
            yield from (
                f"strategy {strategy} of {name}: no case is for tested {version}"
                for version, case in chosen.items()
                if case is None
            )
            yield from (
                f"strategy {strategy} of {name}: no tested version takes {case.when}: {case.use}"
                for case in cases
                if case not in chosen.values()
            )


def _tested_of(distribution: str, one: Framework) -> Iterator[Version]:
    for row in one.tested:
        if isinstance(one.latest_known, str) or distribution == _installed_by(row, one):
            yield Version(row.version)


def _installed_by(row: Tested, one: Framework) -> str:
    return row.distribution or one.distributions[0]


def _in_row(row: Tested, one: Framework) -> Iterator[str]:
    """Yield the versions of a row: of a framework with several modules another may stand beside."""
    yield row.version
    for text in row.with_:
        needed = Requirement(text)
        if needed.name in one.distributions:
            yield from (pin.version for pin in needed.specifier if pin.operator == "==")


def _co_pins(matrix: Matrix) -> Iterator[str]:
    """A row has the co-pins of its version, since nobody else would install them."""
    for name, one in matrix.frameworks.items():
        for pin in one.co_pins:
            needed = Requirement(pin.needs).name
            for row in one.tested:
                if matches(row.version, pin.when) and needed not in map(_distribution, row.with_):
                    yield f"{name}: tested {row.version} needs {pin.needs} in `with`"


def _distribution(requirement: str) -> str:
    return Requirement(requirement).name


def of_guards(folder: Path, name: str, one: FrameworkData) -> Iterator[str]:
    """Every guard and strategy is registered in the integration, and every registered one used.

    Args:
        folder: the integration's package; its `guards.py` holds `GUARDS`.
        name: the framework's.
        one: what the matrix says of it.
    """
    path = folder / "guards.py"
    shown = f"{folder.name}/{path.name}"
    used = {q["guard"]: f"quirk {q['id']}" for q in one["quirks"] if q["guard"] != ENGINE}
    used |= {use: f"strategy {s}" for s, cases in one["strategies"].items() for _, use in cases}
    registered = _registered(path)
    if registered is None:
        if used:
            yield f"{name}: {shown} must hold GUARDS, a literal dict of names"
        return
    for guard in used.keys() - registered:
        yield f"{used[guard]}: {guard} is not registered in {shown}"
    for guard in registered - used.keys():
        yield f"{name}: guard {guard} of {shown} is used by no quirk or strategy"


def _registered(path: Path) -> set[str] | None:
    try:
        return _literal_names(path)
    except (OSError, SyntaxError, ValueError, TypeError):  # none there, or no literal
        return None


def _literal_names(path: Path) -> set[str] | None:
    for node in ast.parse(path.read_text(encoding="utf-8")).body:
        target = node.target if isinstance(node, ast.AnnAssign) else None
        if isinstance(node, ast.Assign) and len(node.targets) == 1:
            target = node.targets[0]
        if isinstance(target, ast.Name) and target.id == "GUARDS":
            assert isinstance(node, (ast.Assign, ast.AnnAssign))
            assert node.value is not None
            value: Any = ast.literal_eval(node.value)
            return set(value)
    return None


def _projects(root: Path, matrix: Matrix) -> Iterator[str]:
    """Entry points, frameworks of the file, and folders under integrations/ are the same."""
    toml: Any = importlib.import_module("tomllib" if sys.version_info >= (3, 11) else "tomli")
    project: Any = toml.loads((root / "pyproject.toml").read_text(encoding="utf-8"))
    groups: dict[str, dict[str, str]] = project.get("project", {}).get("entry-points", {})
    points = groups.get("autolog.integrations", {})
    packages = {name: target.partition(":")[0] for name, target in points.items()}
    declared = {name: one.integration for name, one in matrix.frameworks.items()}
    for name in sorted(packages.keys() | declared.keys()):
        if packages.get(name) != declared.get(name):
            yield (
                f"{name}: the entry point is {packages.get(name)}, "
                f"compat_matrix.yaml says {declared.get(name)}"
            )
    folders = {path.parent.name for path in root.glob("integrations/*/__init__.py")}
    for folder in sorted(folders ^ set(packages.values())):
        yield f"integrations/{folder} and the entry points of pyproject.toml do not agree"


def _row_tests(root: Path, matrix: Matrix) -> Iterator[str]:
    """Every row has tests, and what is said to be logged by default has some of its own."""
    for name, one in matrix.environments.items():
        for pattern in one.tests:
            if not any(root.glob(pattern)):
                yield f"environment {name}: there is no {pattern}"
    for name in matrix.frameworks:
        path = f"tests/matrix/test_{name}_logged.py"
        if not (root / path).exists():
            yield f"{name}: there is no {path}; nothing proves what `logs` says"


def _generated(root: Path) -> Iterator[str]:
    """The generated files are those of this matrix, and every table has its place."""
    for path in compiler.stale(root):
        yield f"{path.relative_to(root)} is out of date: run python -m autolog.compat compile"
    yield from tables.missing(root)


def of_tests(root: Path, matrix: Matrix, paths: Sequence[str] = ()) -> Iterator[str]:
    """Every quirk's test exists and carries its mark, and every mark is in the file.

    Args:
        root: where pytest starts, and what the names of tests in the file begin at.
        matrix: the file.
        paths: where the tests are, by default what pytest's configuration says.
    """
    with tempfile.TemporaryDirectory() as folder:
        report = Path(folder) / "quirks.json"
        command = [sys.executable, "-m", "pytest", "--collect-only", "-q", "-m", "quirk"]
        plugins = ["-p", "no:cacheprovider", "-p", "autolog.testing.quirks"]
        options = [*plugins, f"--rootdir={root}", f"--quirks-report={report}", *paths]
        done = subprocess.run(  # noqa: S603
            [*command, *options], cwd=root, capture_output=True, text=True, check=False
        )
        if not report.exists() or done.returncode not in (0, 5):
            last = "\n".join((done.stdout + done.stderr).strip().splitlines()[-15:])
            yield f"pytest could not collect the tests of the quirks:\n{last}"
            return
        marked: list[list[str]] = json.loads(report.read_text())
    pairs = {(id_, test) for id_, test in marked}
    declared = {(q.id, q.test) for one in matrix.frameworks.values() for q in one.quirks}
    for id_, test in sorted(declared - pairs):
        yield f'quirk {id_}: there is no test {test} with @pytest.mark.quirk("{id_}")'
    for id_, test in sorted(pairs - declared):
        yield f'{test}: @pytest.mark.quirk("{id_}") is not what compat_matrix.yaml says of it'
