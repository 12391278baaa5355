"""What a row of the matrix has shown: a small file for each, kept with the project.

`python -m autolog.compat check` compares them with the matrix: a row without a result, or with one
of another row, was not tested.
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import msgspec
from packaging.requirements import Requirement

from autolog.compat.matrix import Matrix
from autolog.compat.rows import Row, rows

__all__ = [
    "FOLDER",
    "Legs",
    "Result",
    "findings",
    "keep",
    "load",
    "mismatches",
    "path_of",
    "save",
    "files_of",
    "content",
    "digest_of_tests",
]

FOLDER = "tests/matrix/results"


class Legs(msgspec.Struct, frozen=True, kw_only=True):
    """The outcomes of a quirk's test: passed, failed, skipped, xfailed or xpassed."""

    guarded: str | None = None
    unguarded: str | None = None

    @property
    def proved(self) -> bool:
        """Whether the guard was needed, and was enough."""
        return (self.guarded, self.unguarded) == ("passed", "xfailed")


class Result(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """One run of a row.

    Args:
        row: its id.
        digest: what the file said of the row (`Row.digest`) when it ran.
        tested_by: digest of the files that its tests are in.
        source: digest of all code and tests at that time.
        ran: the day, in UTC.
        passed: everything was installed, at least one test ran and none failed.
        python: the interpreter's version.
        installed: versions of what the row asked for, and of NumPy.
        seconds: `install` (0 if the environment was there) and `test`, by the wall clock.
        tests: how many passed, xfailed, skipped, failed.
        quirks: by id.
        failures: a line each: tests that failed, or why nothing ran.
    """

    row: str
    digest: str
    tested_by: str
    source: str
    ran: str
    passed: bool
    python: str | None = None
    installed: dict[str, str] = {}
    seconds: dict[str, int] = {}
    tests: dict[str, int] = {}
    quirks: dict[str, Legs] = {}
    failures: list[str] = []

    def is_of(self, row: Row) -> bool:
        """Whether the row is still what it was when this was found."""
        return (self.row, self.digest) == (row.id, row.digest)


def path_of(root: Path, row: str) -> Path:
    """Return where the result of a row is kept."""
    return root / FOLDER / f"{row}.json"


def load(path: Path) -> Result | None:
    """Read a result; None if there is none or it cannot be read."""
    try:
        return msgspec.json.decode(path.read_bytes(), type=Result)
    except (OSError, msgspec.DecodeError):
        return None


def save(path: Path, result: Result) -> None:
    """Write a result."""
    path.parent.mkdir(parents=True, exist_ok=True)
    plain: Any = msgspec.to_builtins(result)
    text = msgspec.json.format(msgspec.json.encode(plain, order="sorted"), indent=2)
    path.write_bytes(text + b"\n")


def keep(root: Path, result: Result) -> None:
    """Write a result to its place with the project, unless what is there says the same.

    Then the day, the seconds and the code stay those of the run that showed it first.
    """
    path = path_of(root, result.row)
    before = load(path)
    if before is not None:
        same = msgspec.structs.replace(
            before, ran=result.ran, source=result.source, seconds=result.seconds
        )
        if same == result:
            return
    save(path, result)


def digest_of_tests(row: Row, root: Path) -> str:
    """Return a digest over the files of a row's tests, and those beside them that they use."""
    digest = hashlib.sha256()
    tests = files_of(row, root)
    beside = {one for path in tests for one in path.parent.glob("*.py")}
    used = {path for path in beside if not path.name.startswith("test_")}
    for path in sorted({*tests, *used}):
        digest.update(f"{path.relative_to(root).as_posix()}\0".encode())
        digest.update(content(path))
    return digest.hexdigest()[:16]


def content(path: Path) -> bytes:
    """Return what is in a text file, whatever ends its lines in this checkout."""
    return path.read_bytes().replace(b"\r\n", b"\n")


def files_of(row: Row, root: Path) -> list[Path]:
    """List the files that the tests of a row are in."""
    return sorted(path for pattern in row.tests for path in root.glob(pattern))


def mismatches(row: Row, python: str | None, installed: Mapping[str, str]) -> list[str]:
    """Say what of an environment is not what the row asks for."""
    found: list[str] = []
    if python is None or not f"{python}.".startswith(f"{row.python}."):
        found.append(f"Python {python} ran, not {row.python}")
    for text in row.requirements:
        wanted = Requirement(text)
        version = installed.get(wanted.name)
        if version is None or not wanted.specifier.contains(version, prereleases=True):
            found.append(f"{wanted.name} {version} is installed, not {text}")
    return found


def _failures(found: Result) -> str | None:
    """Say what failed, whatever the result says of itself; None if nothing did."""
    if found.failures or found.tests.get("failed"):
        return "; ".join(found.failures) or "tests failed"
    return None if found.passed and found.tests.get("passed") else "no test passed"


def findings(root: Path, matrix: Matrix) -> Iterator[str]:
    """Say which rows did not pass as they stand, and which quirks no row has proved."""
    proved: set[str] = set()
    known: set[Path] = set()
    for row in rows(matrix):
        path = path_of(root, row.id)
        known.add(path)
        found = load(path)
        run = f"run python -m autolog.compat matrix --row {row.id}"
        if found is None:
            yield f"row {row.id}: there is no result in {FOLDER}; {run}"
        elif not found.is_of(row):
            yield f"row {row.id}: the row or its quirks changed since it was run; {run}"
        elif found.tested_by != digest_of_tests(row, root):
            yield f"row {row.id}: its tests changed since it was run; {run}"
        elif failures := _failures(found):
            yield f"row {row.id}: failed on {found.ran}: {failures}; {run}"
        elif wrong := mismatches(row, found.python, found.installed):
            yield f"row {row.id}: {'; '.join(wrong)}; {run}"
        else:
            proved |= {name for name, legs in found.quirks.items() if legs.proved}
    for path in sorted(set((root / FOLDER).glob("*.json")) - known):
        yield f"{path.relative_to(root)} is the result of no row; delete it"
    for one in matrix.frameworks.values():
        for quirk in one.quirks:
            if quirk.id not in proved:
                yield f"quirk {quirk.id}: the result of no row proves it"
