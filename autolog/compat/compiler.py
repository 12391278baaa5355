"""Writes what is generated from `compat_matrix.yaml`: the run-time module, tables, workflows."""

from __future__ import annotations

import hashlib
from pathlib import Path
from typing import cast

from autolog.compat import tables, workflows
from autolog.compat.matrix import load, to_data

__all__ = ["SOURCE", "generated", "module", "stale", "write"]

SOURCE = "compat_matrix.yaml"
MODULE = "autolog/_compat_data.py"

_HEADER = '''\
"""Generated from compat_matrix.yaml by `python -m autolog.compat {command}`; do not edit."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from autolog.compat.data import MatrixData

SHA256 = "{digest}"

DATA: MatrixData = '''


def generated(root: Path) -> dict[Path, str]:
    """Return the text that each generated file should have.

    A page of the documentation is left out while it lacks markers; `check` reports that.

    Raises:
        MatrixError: the matrix cannot be read.
    """
    matrix = load(root / SOURCE)
    files = {root / MODULE: module(root / SOURCE)}
    files |= workflows.generated(root, matrix)
    files |= tables.generated(root, matrix)
    return files


def module(source: Path, command: str = "compile") -> str:
    """Return the text of the run-time module of a matrix, which `command` writes.

    Raises:
        MatrixError: the matrix cannot be read.
    """
    digest = hashlib.sha256(source.read_bytes()).hexdigest()
    literal = _literal(to_data(load(source)))
    return _HEADER.format(command=command, digest=digest) + literal + "\n"


def stale(root: Path) -> list[Path]:
    """Name the generated files that do not have the text they should have."""
    return [path for path, text in generated(root).items() if _read(path) != text]


def write(root: Path) -> list[Path]:
    """Bring every generated file up to date; return those that were not."""
    changed = stale(root)
    for path in changed:
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(generated(root)[path], encoding="utf-8", newline="\n")
    return changed


def _literal(value: object, indent: str = "") -> str:
    """Write plain data one item a line, as the formatter would leave it."""
    inner = indent + "    "
    if isinstance(value, dict) and value:
        items = cast("dict[object, object]", value).items()
        lines = [f"{inner}{_literal(key)}: {_literal(one, inner)},\n" for key, one in items]
        return "{\n" + "".join(lines) + indent + "}"
    if isinstance(value, tuple) and value:
        parts = [_literal(one, inner) for one in cast("tuple[object, ...]", value)]
        if len(parts) == 1 and "\n" not in parts[0]:
            return f"({parts[0]},)"
        lines = [f"{inner}{part},\n" for part in parts]
        return "(\n" + "".join(lines) + indent + ")"
    if isinstance(value, str) and not {'"', "'"} & set(value):
        return f'"{repr(value)[1:-1]}"'
    return repr(cast("object", value))


def _read(path: Path) -> str | None:
    return path.read_text(encoding="utf-8") if path.exists() else None
