"""Writes the tables of the documentation that say what `compat_matrix.yaml` says.

Each table stands between two markers of its name, `<!-- ranges:begin -->` and the same with `end`;
what is around them is written by hand.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Final

import msgspec
from packaging.version import Version

from autolog.compat.known import in_words
from autolog.compat.matrix import Matrix
from autolog.compat.rows import rows
from autolog.compat.view import ENGINE

__all__ = ["PAGES", "begin", "end", "generated", "missing"]


def generated(root: Path, matrix: Matrix) -> dict[Path, str]:
    """Return the text that each page should have; one that lacks markers is left out."""
    files: dict[Path, str] = {}
    for name, tables in PAGES.items():
        text = _read(root / name)
        if all(_has(text, marker) for marker in tables):
            for marker, table in tables.items():
                before, rest = text.split(begin(marker), 1)
                after = rest.split(end(marker), 1)[1]
                text = f"{before}{begin(marker)}\n{table(matrix)}{end(marker)}{after}"
            files[root / name] = text
    return files


def missing(root: Path) -> Iterator[str]:
    """Yield a line for each table that a page has no place for."""
    for name, tables in PAGES.items():
        text = _read(root / name)
        for marker in tables:
            if not _has(text, marker):
                yield f"{name} has no table: write {begin(marker)} and {end(marker)} into it"


def begin(marker: str) -> str:
    """Return the line above a table."""
    return f"<!-- {marker}:begin -->"


def end(marker: str) -> str:
    """Return the line below a table."""
    return f"<!-- {marker}:end -->"


def _supported(matrix: Matrix) -> str:
    """README's: what is supported, and what CI runs."""
    found: list[Sequence[str]] = []
    for name, one in matrix.frameworks.items():
        versions = sorted({row.version for row in one.tested}, key=Version)
        pythons = sorted({row.python for row in one.tested}, key=Version)
        title = f"{one.distributions[0]} (`{name}`)"
        found.append((title, _spaced(one.supported), ", ".join(versions), ", ".join(pythons)))
    return _table(("framework", "supported", "tested", "Python"), found)


def _ranges(matrix: Matrix) -> str:
    return _table(
        ("framework", "supported", "why it begins there", "outside of it", "latest known"),
        [
            (
                f"`{name}`",
                _spaced(one.supported),
                one.because,
                one.on_unsupported,
                in_words(one.latest_known),
            )
            for name, one in matrix.frameworks.items()
        ],
    )


def _tested(matrix: Matrix) -> str:
    found: list[Sequence[str]] = []
    for row in rows(matrix):
        installed = [f"`{one}`" for one in row.requirements]
        installed += [f"`{name}={value}`" for name, value in row.env]
        found.append((f"`{row.id}`", row.python, " ".join(installed) or "nothing", row.tier))
    return _table(("row", "Python", "installed beside autolog", "tier"), found)


def _co_pins(matrix: Matrix) -> str:
    return _table(
        ("framework", "versions", "need", "because"),
        [
            (f"`{name}`", _spaced(pin.when), f"`{pin.needs}`", pin.because)
            for name, one in matrix.frameworks.items()
            for pin in one.co_pins
        ],
    )


def _quirks(matrix: Matrix) -> str:
    found: list[Sequence[str]] = []
    for one in matrix.frameworks.values():
        for quirk in one.quirks:
            guard = quirk.guard if quirk.guard == ENGINE else f"`{quirk.guard}`"
            link = _link(quirk.upstream) if quirk.upstream else ""
            found.append((f"`{quirk.id}`", _spaced(quirk.when), quirk.symptom, guard, link))
    return _table(("quirk", "versions", "what happens without the guard", "guard", "issue"), found)


_TOPICS: Final = ("params", "series", "evaluations", "data", "model", "more")


def _logs(matrix: Matrix) -> str:
    found: list[Sequence[str]] = []
    for name, one in matrix.frameworks.items():
        said = msgspec.structs.asdict(one.logs)
        found.append((f"`{name}`", *(said[topic] or "" for topic in _TOPICS)))
    return _table(("framework", *_TOPICS), found)


PAGES: Final[Mapping[str, Mapping[str, Callable[[Matrix], str]]]] = {
    "README.md": {"compat": _supported},
    "docs/compatibility.md": {
        "ranges": _ranges,
        "tested": _tested,
        "co-pins": _co_pins,
        "quirks": _quirks,
        "logs": _logs,
    },
    "docs/frameworks.md": {"logs": _logs},
}
"""The tables of each page, by their markers."""


def _table(head: Sequence[str], body: Sequence[Sequence[str]]) -> str:
    lines = [head, ["---"] * len(head), *body]
    return "".join(f"| {' | '.join(map(_cell, line))} |\n" for line in lines)


def _cell(text: str) -> str:
    """Keep a text to one cell, and `__name__` from becoming a bold "name"."""
    plain = " ".join(text.split()).replace("|", "\\|")
    return re.sub(r"(?<![`\w])__\w+__(?![`\w])", r"`\g<0>`", plain)


def _spaced(specifier: str) -> str:
    return specifier.replace(",", ", ")


def _link(url: str) -> str:
    found = re.fullmatch(r"https://github\.com/[\w.-]+/([\w.-]+)/(?:issues|pull)/(\d+)", url)
    return f"[{found[1]} {found[2]}]({url})" if found else f"[upstream]({url})"


def _has(text: str, marker: str) -> bool:
    return end(marker) in text.partition(begin(marker))[2]


def _read(path: Path) -> str:
    return path.read_text(encoding="utf-8") if path.exists() else ""
