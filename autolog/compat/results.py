"""What a row of the matrix has shown: a small file for each, kept with the project.

`python -m autolog.compat check` compares them with the matrix: a row without a result, or with one
of another row, was not tested.
"""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import msgspec

from autolog.compat.matrix import Matrix
from autolog.compat.rows import Row, rows

__all__ = ["FOLDER", "Legs", "Result", "findings", "load", "path_of", "save"]

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
        source: digest of the code and the tests that ran.
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
    """Return where the result of a row lies."""
    return root / FOLDER / f"{row}.json"


def load(path: Path) -> Result | None:
    """Read a result; None if there is none or it cannot be read."""
    try:
        return msgspec.json.decode(path.read_bytes(), type=Result)
    except (OSError, msgspec.DecodeError):
        return None


def save(root: Path, result: Result) -> Path:
    """Write a result to its place, replacing the one before."""
    path = path_of(root, result.row)
    path.parent.mkdir(parents=True, exist_ok=True)
    plain: Any = msgspec.to_builtins(result)
    text = msgspec.json.format(msgspec.json.encode(plain, order="sorted"), indent=2)
    path.write_bytes(text + b"\n")
    return path


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
        elif not found.passed:
            yield f"row {row.id}: failed on {found.ran}: {'; '.join(found.failures)}"
        else:
            proved |= {name for name, legs in found.quirks.items() if legs.proved}
    for path in sorted(set((root / FOLDER).glob("*.json")) - known):
        yield f"{path.relative_to(root)} is the result of no row; delete it"
    for one in matrix.frameworks.values():
        for quirk in one.quirks:
            if quirk.id not in proved:
                yield f"quirk {quirk.id}: the result of no row proves it"
