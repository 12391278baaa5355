"""Writes what is generated from `compat_matrix.yaml`: the run-time module and README's table."""

from __future__ import annotations

import hashlib
import pprint
from pathlib import Path

from packaging.version import Version

from autolog.compat.matrix import Matrix, load, to_data

__all__ = ["BEGIN", "END", "SOURCE", "generated", "stale", "write"]

SOURCE = "compat_matrix.yaml"
MODULE = "autolog/_compat_data.py"
README = "README.md"
BEGIN = "<!-- compat:begin -->"
END = "<!-- compat:end -->"

_HEADER = '''\
"""Generated from compat_matrix.yaml by `python -m autolog.compat compile`; do not edit."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from autolog.compat.data import MatrixData

SHA256 = "{digest}"

DATA: MatrixData = '''


def generated(root: Path) -> dict[Path, str]:
    """Return the text that each generated file should have.

    README is left out while it has no markers; `check` reports that.

    Raises:
        MatrixError: the matrix cannot be read.
    """
    matrix = load(root / SOURCE)
    digest = hashlib.sha256((root / SOURCE).read_bytes()).hexdigest()
    literal = pprint.pformat(to_data(matrix), width=98, sort_dicts=False)
    files = {root / MODULE: _HEADER.format(digest=digest) + literal + "\n"}
    readme = root / README
    text = readme.read_text(encoding="utf-8") if readme.exists() else ""
    if BEGIN in text and END in text:
        before, after = text.split(BEGIN, 1)[0], text.split(END, 1)[1]
        files[readme] = f"{before}{BEGIN}\n{table(matrix)}{END}{after}"
    return files


def stale(root: Path) -> list[Path]:
    """Name the generated files that do not have the text they should have."""
    return [path for path, text in generated(root).items() if _read(path) != text]


def write(root: Path) -> list[Path]:
    """Bring every generated file up to date; return those that were not."""
    changed = stale(root)
    for path in changed:
        path.write_text(generated(root)[path], encoding="utf-8", newline="\n")
    return changed


def table(matrix: Matrix) -> str:
    """Return README's table: what is supported, and what CI runs."""
    rows = ["| framework | supported | tested in CI | Python |", "| --- | --- | --- | --- |"]
    for name, one in matrix.frameworks.items():
        versions = sorted({row.version for row in one.tested}, key=Version)
        pythons = sorted({row.python for row in one.tested}, key=Version)
        supported = one.supported.replace(",", ", ")
        rows.append(
            f"| {one.distributions[0]} (`{name}`) | {supported} | {', '.join(versions)} "
            f"| {', '.join(pythons)} |"
        )
    return "\n".join(rows) + "\n"


def _read(path: Path) -> str | None:
    return path.read_text(encoding="utf-8") if path.exists() else None
