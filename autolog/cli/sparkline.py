"""A series of numbers as one line of text."""

from __future__ import annotations

import math
from collections.abc import Sequence
from itertools import pairwise
from typing import Final

__all__ = ["sparkline"]

_BLOCKS: Final = "▁▂▃▄▅▆▇█"
_UNUSUAL: Final = "\N{MULTIPLICATION SIGN}↑↓"
_ASCII: Final = "_.-:=+*#"


def sparkline(values: Sequence[float], width: int, *, ascii_only: bool = False) -> str:
    """Draw values from the lowest to the highest level, at most `width` characters.

    More values than characters are averaged in groups of (almost) equal length. A group that
    holds a NaN or an infinity shows that instead, so that a diverging loss is seen. A series of
    equal values is a line in the middle.

    Args:
        values: in the order to be drawn.
        width: how many characters there are, 1 or more.
        ascii_only: draw with ASCII characters for a terminal that has no blocks: `x` is
            NaN then, `^` and `v` are infinities, instead of a cross and arrows.
    """
    groups = _groups(values, width)
    finite = [group for group in groups if math.isfinite(group)]
    low, high = (min(finite), max(finite)) if finite else (0.0, 0.0)
    levels = _ASCII if ascii_only else _BLOCKS
    marks = "x^v" if ascii_only else _UNUSUAL
    return "".join(_character(group, low, high, levels, marks) for group in groups)


def _groups(values: Sequence[float], width: int) -> list[float]:
    many = len(values)
    if many <= width:
        return [float(value) for value in values]
    edges = [many * i // width for i in range(width + 1)]
    return [_mean(values[start:stop]) for start, stop in pairwise(edges)]


def _mean(values: Sequence[float]) -> float:
    strange = [value for value in values if not math.isfinite(value)]
    if not strange:
        many = len(values)
        mean = sum(value / many for value in values)  # their sum may be beyond a float
        return min(max(mean, min(values)), max(values))  # as rounding may be
    return next((value for value in strange if math.isnan(value)), strange[0])


def _character(given: float, low: float, high: float, levels: str, marks: str) -> str:
    if math.isnan(given):
        return marks[0]
    if math.isinf(given):
        return marks[1] if given > 0 else marks[2]
    if low == high:
        return levels[len(levels) // 2 - 1]
    # Halved, because the distance between two floats may be beyond a float.
    part = (given / 2 - low / 2) / (high / 2 - low / 2)
    return levels[min(int(part * len(levels)), len(levels) - 1)]
