"""Chooses what of large data is looked at: the same places for the same shape, always.

No random generator is used. Runs of neighbours are spread over the whole, one in each of as many
equal parts, at a place in its part that follows no period: rows that come in turns are all met.
The first run begins at the beginning and the last one ends at the end.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any, Final

__all__ = ["RUNS", "pieces", "runs"]

RUNS: Final = 64
"""Runs that a sample is made of."""

_PIECE: Final = 1 << 18
"""Bytes that are copied at once where memory is not in order."""

_GOLDEN: Final = 0x9E3779B1
"""2**32 divided by the golden ratio: multiples of it spread evenly without a period."""


def runs(length: int, wanted: int, count: int = RUNS) -> Iterator[tuple[int, int]]:
    """Yield `(start, stop)` of at most `count` runs that cover about `wanted` of `length` places.

    If all are wanted, that is one run.
    """
    if wanted >= length:
        if length:
            yield 0, length
        return
    count = max(1, min(count, wanted))
    size = wanted // count
    for number in range(count):
        start, end = number * length // count, (number + 1) * length // count
        room = end - start - size
        if 0 < number < count - 1:
            room = (number * _GOLDEN & 0xFFFFFFFF) * room >> 32
        elif number == 0:
            room = 0
        yield start + room, start + room + size


def pieces(array: Any, wanted: int, count: int = RUNS) -> Iterator[Any]:
    """Yield parts of an array in the order of its indices, whatever its layout in memory.

    Args:
        array: of any number of dimensions.
        wanted: bytes to look at; a smaller array is yielded whole.
        count: runs along its first axis.
    """
    if array.nbytes <= wanted:
        yield from _whole(array)
        return
    rows = array.shape[0]
    width = array.nbytes // rows
    if width * count <= wanted or array.ndim == 1:
        for start, stop in runs(rows, max(1, wanted // width), count):
            yield from _whole(array[start:stop])
        return
    picked = min(rows, count)
    for start, stop in runs(rows, picked, picked):  # wide rows: a sample of each of a few
        for row in array[start:stop]:
            yield from pieces(row, wanted // picked, max(1, count // 8))


def _whole(array: Any) -> Iterator[Any]:
    if array.ndim == 0 or array.flags.c_contiguous:
        yield array
        return
    width = array.nbytes // array.shape[0]
    if width > _PIECE and array.ndim > 1:
        for row in array:
            yield from _whole(row)
        return
    step = max(1, _PIECE // max(1, width))
    for start in range(0, array.shape[0], step):
        yield array[start : start + step]
