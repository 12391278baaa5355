"""Errors that point: what is wrong, the line it stands in, and a caret below the place."""

from __future__ import annotations

import difflib
import unicodedata
from collections.abc import Iterable
from typing import Final

from autolog.errors import QueryError

__all__ = ["error_at", "near"]

_WIDTH: Final = 100
"""Characters of a line that are shown around the place."""

_WIDE: Final = frozenset("WF")


def error_at(text: str, at: int, problem: str) -> QueryError:
    """Return an error that shows the place `at` of a text."""
    start = text.rfind("\n", 0, at) + 1
    end = text.find("\n", at)
    line = text[start : end if end >= 0 else len(text)]
    column = at - start
    if len(line) > _WIDTH:
        cut = max(0, min(column - _WIDTH // 2, len(line) - _WIDTH))
        line, column = line[cut : cut + _WIDTH], column - cut
    # The caret stands below its character only if each one is a column wide, or two.
    shown = "".join(char if char.isprintable() else "\N{REPLACEMENT CHARACTER}" for char in line)
    return QueryError(f"{problem}\n  {shown}\n  {' ' * _columns(shown[:column])}^")


def near(word: str, names: Iterable[str]) -> str:
    """Return a question that names what may have been meant, or nothing."""
    close = difflib.get_close_matches(word, list(names), n=3, cutoff=0.6)
    return f" Did you mean {' or '.join(close)}?" if close else ""


def _columns(text: str) -> int:
    return sum(
        0 if unicodedata.combining(char) else 1 + (unicodedata.east_asian_width(char) in _WIDE)
        for char in text
    )
