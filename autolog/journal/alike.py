"""Takes METRICS records of one shape at once: a loop writes thousands of equal length in a row."""

from __future__ import annotations

from functools import lru_cache
from typing import Any, Final
from zlib import crc32

import numpy as np

from autolog.journal.frame import MIN_BODY, PREFIX
from autolog.journal.records import METRICS_HEAD

__all__ = ["FEW", "records_alike", "rows_of"]

FEW: Final = 16
"""Fewer records than these are taken faster one by one."""

_MANY: Final = 8192
"""How many are looked at before the next are."""

_SAME: Final = ("length", "kind", "run", "shape", "context", "attempt")


@lru_cache(maxsize=256)
def _body(length: int) -> np.dtype[np.void]:
    keys = (length - MIN_BODY - METRICS_HEAD.size) // 8
    return np.dtype(
        [
            ("kind", "u1"), ("flags", "u1"), ("seq", "<u8"), ("run", "<u4"), ("shape", "<u4"),
            ("context", "<u4"), ("attempt", "<u2"), ("step", "<i8"), ("epoch", "<i4"),
            ("wall", "<i8"), ("values", "<f8", (keys,)),
        ]
    )  # fmt: skip


@lru_cache(maxsize=256)
def _frame(length: int) -> np.dtype[np.void]:
    """Return the layout of a frame; its field `body` lies over the fields of the body."""
    fields: Any = _body(length).fields  # type: ignore[reportUnknownMemberType]
    layout = {name: (dtype, PREFIX.size + offset) for name, (dtype, offset) in fields.items()}
    layout |= {"length": ("<u4", 0), "crc": ("<u4", 4), "body": (f"V{length}", PREFIX.size)}
    return np.dtype(
        {
            "names": list(layout),
            "formats": [dtype for dtype, _ in layout.values()],
            "offsets": [offset for _, offset in layout.values()],
            "itemsize": PREFIX.size + length,
        }
    )


def rows_of(bodies: list[bytes]) -> Any:
    """Return the bodies of records of one shape as rows."""
    return np.frombuffer(b"".join(bodies), _body(len(bodies[0])))


def records_alike(data: bytes, start: int) -> Any:
    """Return the records from `start` on that are as the first one is, as rows.

    The first has to be a whole METRICS record whose length fits its shape. Those that follow have
    the same numbers of run, shape, context and attempt, rising sequence numbers and right
    checksums.
    """
    length = PREFIX.unpack_from(data, start)[0]
    count = (len(data) - start) // (PREFIX.size + length)
    rows: Any = np.frombuffer(data, _frame(length), count, start)
    alike = _leading(rows[:FEW])
    while FEW <= alike < count:
        # From the last one on, because its number has to be below the next.
        more = _leading(rows[alike - 1 : alike + _MANY]) - 1
        alike += more
        if more < _MANY:
            break
    return rows[:alike]


def _leading(rows: Any) -> int:
    """Count the rows at the start that are whole, like the first and in order."""
    good: Any = np.ones(len(rows), np.bool_)
    for name in _SAME:
        good &= rows[name] == rows[name][0]
    good[1:] &= rows["seq"][1:] > rows["seq"][:-1]
    alike = _until_false(good)
    checksums = np.fromiter(map(crc32, rows["body"][:alike].tolist()), np.uint32, alike)
    return _until_false(checksums == rows["crc"][:alike])


def _until_false(good: Any) -> int:
    return len(good) if good.all() else int(good.argmin())
