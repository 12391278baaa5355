"""Sealed points as bytes, codec 1: what `axis.data` and `chunk.data` hold.

    axis    = epochs u8, ints(step), ints(wall_us), [mask], [ints(epoch)]     little endian
    ints    = first i64, least i64, width u8, size u32, zlib(planes)
    mask    = which points have an epoch, one bit each, if only some do (epochs == 2)
    values  = zlib(the 8 byte planes of float64)

`planes` are the differences between neighbours, less the smallest of them (`least`), as unsigned
integers of `width` bytes, all lowest bytes first; equal differences have width 0 and no planes.
Differences wrap around 64 bits, so every int64 is kept; floats are kept bit for bit. The number
of points stands in the row, and so does the codec.

Byte planes put the sign and exponent bytes of neighbours side by side, where zlib finds them
alike; XOR or differences of neighbouring floats gained 2 % on random walks and lost 20 % on
values that were float32. A point of jittered time and random walk costs 8 bytes.
"""

from __future__ import annotations

import struct
import zlib
from dataclasses import dataclass
from typing import Any, Final

import numpy as np
from numpy.typing import NDArray

from autolog.errors import StoreError

__all__ = ["CODEC", "Axis", "check_codec", "decode_axis", "decode_steps", "decode_values",
           "encode_axis", "encode_values"]  # fmt: skip

CODEC: Final = 1

_LEVEL: Final = 1
_INTS: Final = struct.Struct("<qqBI")
_MASK: Final = (1 << 64) - 1
_NONE, _ALL, _SOME = range(3)


@dataclass(frozen=True, slots=True)
class Axis:
    """Where the points of one or several series lie, one entry per point.

    `has_epoch` None means that every point has an epoch, and `epoch` None that none has.
    """

    step: NDArray[np.int64]
    wall_us: NDArray[np.int64]
    epoch: NDArray[np.int64] | None = None
    has_epoch: NDArray[np.bool_] | None = None


def check_codec(codec: int) -> None:
    """Raise a StoreError for a codec that this autolog does not know."""
    if codec != CODEC:
        raise StoreError(
            f"points in codec {codec} were sealed by a newer autolog."
            " Run: pip install -U autolog-ml"
        )


def encode_axis(axis: Axis) -> bytes:
    """Write an axis."""
    epochs = _NONE if axis.epoch is None else _ALL if axis.has_epoch is None else _SOME
    parts = [bytes([epochs]), _pack(axis.step), _pack(axis.wall_us)]
    if axis.epoch is not None:
        if axis.has_epoch is not None:
            parts.append(np.packbits(axis.has_epoch).tobytes())
        parts.append(_pack(axis.epoch))
    return b"".join(parts)


def decode_axis(data: bytes, n: int) -> Axis:
    """Read the `n` points of an axis."""
    step, at = _unpack(data, 1, n)
    wall_us, at = _unpack(data, at, n)
    mask = epoch = None
    if data[0] == _SOME:
        size = (n + 7) // 8
        mask = np.unpackbits(np.frombuffer(data, np.uint8, size, at), count=n).astype(np.bool_)
        at += size
    if data[0]:
        epoch, at = _unpack(data, at, n)
    return Axis(step, wall_us, epoch, mask)


def decode_steps(data: bytes, n: int) -> NDArray[np.int64]:
    """Read the steps of an axis alone."""
    return _unpack(data, 1, n)[0]


def encode_values(values: NDArray[np.float64]) -> bytes:
    """Write one value per point."""
    return _compress(np.ascontiguousarray(values, "<f8"), 8)


def decode_values(data: bytes, n: int) -> NDArray[np.float64]:
    """Read the values of `n` points."""
    return _decompress(data, 8, n).view("<f8")


def _pack(column: NDArray[np.int64]) -> bytes:
    first = int(column[0])
    if len(column) == 1:
        return _INTS.pack(first, 0, 0, 0)
    gaps = np.diff(column.astype(np.uint64))
    least = int(gaps.astype(np.int64).min())
    gaps -= np.uint64(least & _MASK)
    width = (int(gaps.max()).bit_length() + 7) // 8
    if not width:
        return _INTS.pack(first, least, 0, 0)
    packed = _compress(gaps.astype("<u8", copy=False), width)
    return _INTS.pack(first, least, width, len(packed)) + packed


def _unpack(data: bytes, at: int, n: int) -> tuple[NDArray[np.int64], int]:
    first, least, width, size = _INTS.unpack_from(data, at)
    at += _INTS.size
    column = np.full(n, least & _MASK, np.uint64)
    column[0] = first & _MASK
    if width:
        column[1:] += _decompress(memoryview(data)[at : at + size], width, n - 1)
    return np.cumsum(column, dtype=np.uint64).astype(np.int64), at + size


def _compress(words: Any, width: int) -> bytes:
    """Write the lowest `width` bytes of words of 8, all the lowest first."""
    return zlib.compress(words.view("u1").reshape(-1, 8)[:, :width].T.tobytes(), _LEVEL)


def _decompress(data: bytes | memoryview, width: int, n: int) -> Any:
    """Read `n` words as unsigned integers."""
    planes: Any = np.frombuffer(zlib.decompress(data, bufsize=width * n), "u1")
    words: Any = np.empty((n, 8), "u1") if width == 8 else np.zeros((n, 8), "u1")
    words[:, :width] = planes.reshape(width, n).T
    return words.reshape(-1).view("<u8")
