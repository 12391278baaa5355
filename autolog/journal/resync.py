"""Finding the next whole record after damage."""

from __future__ import annotations

from typing import Any, Final
from zlib import crc32

import numpy as np

from autolog.journal.frame import FRAME, MAX_BODY, MIN_BODY, PREFIX

__all__ = ["find_frame"]

_WINDOW: Final = 1 << 18
_LAST_TYPE: Final = 127
_SLACK: Final = 1 << 20
"""How far `seq` may jump beyond one record per lost byte."""


def find_frame(data: bytes, start: int, after: int) -> int | None:
    """Return the offset of the first whole record in `data[start:]`, or None.

    A record counts if its length fits, its sequence number lies shortly above `after` (0: above
    it) and its checksum is right; all but the last is tested for every byte offset at once.
    """
    limit = len(data) - FRAME.size + 1
    for low in range(start, limit, _WINDOW):
        count = min(_WINDOW, limit - low)
        length: Any = np.ndarray((count,), "<u4", data, low, (1,)).astype(np.int64)
        kind: Any = np.ndarray((count,), "u1", data, low + 8, (1,))
        seq: Any = np.ndarray((count,), "<u8", data, low + 10, (1,))
        offset: Any = np.arange(low, low + count, dtype=np.int64)
        fits: Any = (length >= MIN_BODY) & (length <= MAX_BODY)
        fits &= offset + PREFIX.size + length <= len(data)
        fits &= (kind > 0) & (kind <= _LAST_TYPE)
        fits &= seq > np.uint64(after)
        if after:
            fits &= seq <= np.uint64(after + _SLACK) + (offset - start).astype(np.uint64)
        plausible: Any = np.flatnonzero(fits)
        for found in plausible.tolist():
            begin = low + found
            size, crc = PREFIX.unpack_from(data, begin)
            if crc32(data[begin + PREFIX.size : begin + PREFIX.size + size]) == crc:
                return begin
    return None
