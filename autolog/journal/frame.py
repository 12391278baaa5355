"""One record as bytes: `length u32 | crc32 u32 | type u8 | flags u8 | seq u64 | payload`.

Little endian; `length` counts what follows the checksum, which covers the same bytes.
"""

from __future__ import annotations

import struct
from typing import Final, NamedTuple
from zlib import crc32

__all__ = ["BODY", "FRAME", "MAX_BODY", "MIN_BODY", "PREFIX", "Frame", "decode", "encode"]

PREFIX: Final = struct.Struct("<II")
"""length, crc32."""

BODY: Final = struct.Struct("<BBQ")
"""type, flags, seq: the start of what the checksum covers."""

FRAME: Final = struct.Struct("<IIBBQ")
"""PREFIX and BODY at once, for readers."""

MIN_BODY: Final = BODY.size

MAX_BODY: Final = 1 << 26
"""No record is longer (64 MiB), so a damaged length is seen without reading that far."""


class Frame(NamedTuple):
    """A whole record whose checksum is right; `end` is where the next one starts."""

    kind: int
    flags: int
    seq: int
    payload: bytes
    end: int


def encode(kind: int, flags: int, seq: int, payload: bytes) -> bytes:
    """Return the frame of one record."""
    body = BODY.pack(kind, flags, seq) + payload
    return PREFIX.pack(len(body), crc32(body)) + body


def decode(data: bytes, offset: int = 0) -> Frame | None:
    """Return the frame at `offset`, or None if it is not whole or its checksum is wrong."""
    if len(data) - offset < FRAME.size:
        return None
    length, crc, kind, flags, seq = FRAME.unpack_from(data, offset)
    start, end = offset + PREFIX.size, offset + PREFIX.size + length
    if not MIN_BODY <= length <= MAX_BODY or end > len(data) or crc32(data[start:end]) != crc:
        return None
    return Frame(kind, flags, seq, data[start + MIN_BODY : end], end)
