"""Appended points as bytes, version 1: what `tail.data` holds.

    blob    = version u8, blocks u32, block*           little endian throughout
    block   = context i64, attempt u32, n u32, k u32, epochs u8,
              keys[k], seq[n], step[n], wall_us[n], [mask], [epoch[n]],
              values f64[k][n]                         one column per key
    ints    = base i64, width u8, (value - base) as unsigned integers of that width
    mask    = which points have an epoch, one bit each, if only some do (epochs == 2)

Keys and contexts are ids of the `key` table. Differences wrap around 64 bits, so every int64 is
kept. A point costs 16 bytes alone, 10 among five keys.
"""

from __future__ import annotations

import struct
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any, Final

import numpy as np
from numpy.typing import NDArray

from autolog.errors import StoreError

__all__ = ["Block", "decode", "encode"]

VERSION: Final = 1

_TOP: Final = struct.Struct("<BI")
_HEAD: Final = struct.Struct("<qIIIB")
_INTS: Final = struct.Struct("<qB")
_MASK: Final = (1 << 64) - 1
_UNSIGNED: Final[dict[int, Any]] = {1: "u1", 2: "<u2", 4: "<u4", 8: "<u8"}


@dataclass(frozen=True, slots=True)
class Block:
    """`n` records of the same `k` keys, context and attempt.

    `values` is float64[n, k]; `has_epoch` None means that every point has one, and `epoch` None
    that none has.
    """

    context: int
    attempt: int
    keys: NDArray[np.int64]
    seq: NDArray[np.int64]
    step: NDArray[np.int64]
    wall_us: NDArray[np.int64]
    values: NDArray[np.float64]
    epoch: NDArray[np.int64] | None = None
    has_epoch: NDArray[np.bool_] | None = None


def encode(blocks: list[Block]) -> bytes:
    """Write blocks as one blob."""
    parts: list[bytes] = [_TOP.pack(VERSION, len(blocks))]
    for block in blocks:
        n, k = block.values.shape
        epochs = 0 if block.epoch is None else 1 if block.has_epoch is None else 2
        parts.append(_HEAD.pack(block.context, block.attempt, n, k, epochs))
        for column in (block.keys, block.seq, block.step, block.wall_us):
            parts += _pack(column)
        if block.has_epoch is not None and epochs:
            parts.append(np.packbits(block.has_epoch).tobytes())
        if block.epoch is not None:
            parts += _pack(block.epoch)
        parts.append(np.ascontiguousarray(np.transpose(block.values), "<f8").tobytes())
    return b"".join(parts)


def decode(data: bytes) -> Iterator[Block]:
    """Read the blocks of a blob.

    Raises:
        StoreError: the blob has a version that this autolog does not know.
    """
    version, count = _TOP.unpack_from(data)
    if version != VERSION:
        raise StoreError(
            f"points of version {version} were written by a newer autolog."
            " Run: pip install -U autolog-ml"
        )
    at = _TOP.size
    for _ in range(count):
        context, attempt, n, k, epochs = _HEAD.unpack_from(data, at)
        at += _HEAD.size
        keys, at = _unpack(data, at, k)
        seq, at = _unpack(data, at, n)
        step, at = _unpack(data, at, n)
        wall_us, at = _unpack(data, at, n)
        mask = epoch = None
        if epochs == 2:
            size = (n + 7) // 8
            mask = np.unpackbits(np.frombuffer(data, np.uint8, size, at), count=n).astype(np.bool_)
            at += size
        if epochs:
            epoch, at = _unpack(data, at, n)
        values: Any = np.frombuffer(data, "<f8", n * k, at)
        at += 8 * n * k
        yield Block(context, attempt, keys, seq, step, wall_us, values.reshape(k, n).T, epoch, mask)


def _pack(column: NDArray[np.int64]) -> list[bytes]:
    if not len(column):
        return [_INTS.pack(0, 0)]
    base = int(column.min())
    offsets = column.astype(np.uint64) - np.uint64(base & _MASK)
    top = int(offsets.max())
    if not top:
        return [_INTS.pack(base, 0)]
    width = next(w for w in _UNSIGNED if top < 1 << 8 * w)
    return [_INTS.pack(base, width), offsets.astype(_UNSIGNED[width]).tobytes()]


def _unpack(data: bytes, at: int, n: int) -> tuple[NDArray[np.int64], int]:
    base, width = _INTS.unpack_from(data, at)
    at += _INTS.size
    if not width:
        return np.full(n, base, np.int64), at
    offsets = np.frombuffer(data, _UNSIGNED[width], n, at).astype(np.uint64)
    offsets += np.uint64(base & _MASK)
    return offsets.astype(np.int64), at + n * width
