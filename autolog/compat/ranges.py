"""Compares plain releases with version specifiers, without the cost of importing `packaging`.

A training waits for this, and `packaging` takes 10 ms to import. Versions are compared by their
base release alone (`2.13.0+cpu` and `2.13.0rc1` are 2.13.0), for which PEP 440's order is that of
tuples of numbers. Whatever is not that plain, a version or a specifier, is left to `packaging`.
"""

from __future__ import annotations

import operator
import re
from collections.abc import Callable
from functools import lru_cache
from typing import Any, Final

__all__ = ["Release", "contains", "release_of"]

Release = tuple[int, ...]

_PLAIN: Final = re.compile(r"(\d+(?:\.\d+)*)(?:\+[A-Za-z0-9.]+)?")
_CLAUSE: Final = re.compile(r"\s*(>=|<=|==|!=|>|<)\s*(\d+(?:\.\d+)*)\s*")
_SERIES: Final = re.compile(r"\s*(==|!=)\s*(\d+(?:\.\d+)*)\.\*\s*")
_OPERATORS: Final[dict[str, Callable[[Any, Any], bool]]] = {
    ">=": operator.ge,
    "<=": operator.le,
    "==": operator.eq,
    "!=": operator.ne,
    ">": operator.gt,
    "<": operator.lt,
}


@lru_cache(maxsize=64)
def release_of(version: str) -> Release | None:
    """Return the release that a version belongs to, or None if PEP 440 cannot read it."""
    plain = _PLAIN.fullmatch(version)
    try:
        if plain is not None:
            return _numbers(plain[1])
        from packaging.version import Version

        return _numbers(".".join(map(str, Version(version).release)))
    except ValueError:  # InvalidVersion is one, and so is a number of thousands of digits
        return None


def contains(specifier: str, release: Release) -> bool:
    """Whether a release is inside a PEP 440 specifier, `">=1.2,<2"`."""
    for clause in specifier.split(","):
        series = _SERIES.fullmatch(clause)
        if series is not None:
            if _is_of(release, series[2]) != (series[1] == "=="):
                return False
            continue
        simple = _CLAUSE.fullmatch(clause)
        if simple is None:
            return _asked_elsewhere(specifier, release)
        if not _OPERATORS[simple[1]](release, _numbers(simple[2])):
            return False
    return True


def _is_of(release: Release, series: str) -> bool:
    """Whether a release is one of a series: 3.7.1 of 3.7."""
    prefix = tuple(int(part) for part in series.split("."))
    return (*release, *(0,) * len(prefix))[: len(prefix)] == prefix


def _numbers(text: str) -> Release:
    """Return the numbers without trailing zeros: 1.0 and 1 are the same release."""
    numbers = [int(part) for part in text.split(".")]
    while len(numbers) > 1 and numbers[-1] == 0:
        numbers.pop()
    return tuple(numbers)


def _asked_elsewhere(specifier: str, release: Release) -> bool:
    from packaging.specifiers import SpecifierSet

    return ".".join(map(str, release)) in SpecifierSet(specifier)
