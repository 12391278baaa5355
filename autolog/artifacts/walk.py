"""Pickles an object in one walk: each part of it is asked for its state once.

A pickle of protocol 5 hands large buffers over as they are, so the walk keeps them by reference:
nothing of an array is copied, and the size is known before a byte is written. Only what is not a
buffer (and arrays that do not lie in one piece) takes memory; where that grows it is spilled to
the file that it would end in anyway.

Classes and functions of `__main__`, local ones and lambdas cannot be imported by another process:
they travel by value, through cloudpickle. The first walk stops at the first object of such a kind,
before its own code is asked, and a second one takes its place.
"""

from __future__ import annotations

import pickle
import types
from collections.abc import Callable
from typing import Any, Final

__all__ = ["PROTOCOL", "Sink", "walk"]

PROTOCOL: Final = 5

_KEPT: Final = 4 << 20
"""Bytes made by the walk itself that are kept in memory."""


class Sink:
    """Takes what a pickler writes, and counts it.

    Args:
        limit: bytes above which nothing is kept any more; the walk goes on to learn the size.
        spill: takes the pieces once they take too much memory, and everything after them.
    """

    def __init__(self, limit: int, spill: Callable[[Any], object]) -> None:
        self.size = 0
        self.pieces: list[Any] = []
        self._limit = limit
        self._spill = spill
        self._made = 0
        self._spilled = False

    @property
    def too_large(self) -> bool:
        """Whether more than the limit was written."""
        return self.size > self._limit

    def write(self, data: Any) -> int:
        """Keep a piece: bytes that the pickler made, or a buffer of the object itself."""
        borrowed = type(data) is pickle.PickleBuffer
        piece = data.raw() if borrowed else data
        size = len(piece)
        self.size += size
        if self.size > self._limit:
            self.pieces.clear()
            return size
        if not borrowed:
            self._made += size
        self.pieces.append(piece)
        if self._spilled or self._made > _KEPT:
            self._spilled = True
            self.flush()
        return size

    def whole(self) -> bytes | None:
        """Return everything, if it is all in memory and was made by the walk itself."""
        if self._spilled or self.size != self._made:
            return None
        return b"".join(self.pieces)

    def flush(self) -> None:
        """Hand over all that is kept."""
        pieces, self.pieces = self.pieces, []
        if len(pieces) > 1 and all(type(piece) is bytes for piece in pieces):
            pieces = [b"".join(pieces)]
        for piece in pieces:
            self._spill(piece)


class _ByValueError(Exception):
    """Something must travel by value."""


class _ByReference(pickle.Pickler):
    """A pickler that stops at what another process could not import."""

    def __init__(self, sink: Sink) -> None:
        super().__init__(sink, PROTOCOL)
        self._seen: set[type] = set()

    def reducer_override(self, obj: object) -> Any:
        kind = type(obj)
        if kind not in self._seen:
            if _is_local(kind):
                raise _ByValueError
            self._seen.add(kind)
        if isinstance(obj, (type, types.FunctionType)) and _is_local(obj):
            raise _ByValueError
        return NotImplemented


def walk(model: Any, sink: Callable[[], Sink]) -> tuple[Sink, bool]:
    """Pickle a model into a new sink; return the sink, and whether code travels inside.

    Whatever pickling raises is raised.
    """
    if not _is_local(type(model)):
        target = sink()
        try:
            _ByReference(target).dump(model)
            return target, False
        except (_ByValueError, pickle.PicklingError, AttributeError, TypeError):
            pass  # cloudpickle takes it, or explains why not
    import cloudpickle

    target = sink()
    pickler: Any = cloudpickle.Pickler(target, PROTOCOL)
    pickler.dump(model)
    return target, True


def _is_local(kind: Any) -> bool:
    """Whether another process would not find a class or function under its name."""
    return kind.__module__ == "__main__" or "<" in kind.__qualname__
