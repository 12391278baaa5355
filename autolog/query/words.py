"""How text compares: patterns, and the one rule by which case is ignored.

Databases lower text by their locale, or only its ASCII letters, and Python's `lower` looks at the
letters around. Here each character is lowered on its own, to the one character that Unicode
gives: a rule that SQL can follow with `translate`.
"""

from __future__ import annotations

import functools
import re
import sys
from collections.abc import Callable

__all__ = ["is_like", "lower_pairs", "lowered"]


def is_like(text: str, pattern: str, *, ignore_case: bool = False) -> bool:
    """Whether a text fits a pattern: `%` is any text, `_` any character, nothing is escaped."""
    if ignore_case:
        text, pattern = lowered(text), lowered(pattern)
    return _compiled(pattern)(text)


def lowered(text: str) -> str:
    """Lower each character that has one lower form."""
    return text.lower() if text.isascii() else text.translate(_table())


@functools.cache
def lower_pairs() -> tuple[str, str]:
    """Return all characters beyond ASCII that are lowered, and what to, in the same order."""
    pairs = [(char, char.lower()) for char in map(chr, range(128, sys.maxunicode + 1))]
    pairs = [(upper, lower) for upper, lower in pairs if upper != lower and len(lower) == 1]
    return "".join(upper for upper, _ in pairs), "".join(lower for _, lower in pairs)


@functools.cache
def _table() -> dict[int, str | int]:
    ascii_pairs = {code: chr(code).lower() for code in range(128)}
    return {**ascii_pairs, **str.maketrans(*lower_pairs())}


@functools.lru_cache(maxsize=64)
def _compiled(pattern: str) -> Callable[[str], bool]:
    """Return a test that takes linear time: a regular expression of several `.*` does not."""
    pieces = [
        re.compile("".join("." if char == "_" else re.escape(char) for char in piece), re.DOTALL)
        for piece in pattern.split("%")
    ]
    if len(pieces) == 1:
        return lambda text: pieces[0].fullmatch(text) is not None
    first, *middle, last = pieces
    width = len(pattern.rpartition("%")[2])

    def fits(text: str) -> bool:
        start = first.match(text)
        if start is None:
            return False
        at = start.end()
        for piece in middle:
            found = piece.search(text, at)
            if found is None:
                return False
            at = found.end()
        return at <= len(text) - width and last.match(text, len(text) - width) is not None

    return fits
