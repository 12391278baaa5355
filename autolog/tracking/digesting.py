"""Hashes arrays and lists of plain values within a budget, and keeps count of what was covered.

The digest is sha256, which the processor computes (1 to 2 GB/s). Equal values in another layout
in memory give the same digest; another dtype is other data.
"""

from __future__ import annotations

import hashlib
import marshal
import sys
from collections.abc import Iterator, Sequence
from itertools import chain
from typing import Any, Final, cast

from autolog.tracking.sampling import pieces, runs

__all__ = ["BYTES", "VALUES", "Digest", "UnreadableError"]

BYTES: Final = 8_000_000
"""Data up to this size is hashed whole, which takes some 5 ms; of larger data that much is."""

VALUES: Final = 16_384
"""Python objects (strings, rows of a list) that are looked at."""

_PLAIN: Final = frozenset({str, bytes, int, float, bool, complex, type(None)})
_SCALARS: Final = {
    "datetime": {"date", "datetime", "time", "timedelta", "timezone"},
    "decimal": {"Decimal"},
    "fractions": {"Fraction"},
    "pandas": {"NAType", "NaTType", "Period", "Timedelta", "Timestamp"},
    "uuid": {"UUID"},
}
"""Classes whose values say in their `repr` all that they are, by package."""

_AT_ONCE: Final = 1024
_LONGEST: Final = 1 << 16
"""Characters of a string that are hashed, and numbers that rows are taken apart for at once."""

_MARSHAL: Final = 2
"""Later versions write references, which depend on what else holds an object."""


class UnreadableError(Exception):
    """The data cannot be hashed without running code of its class, or without a copy of it all."""


class Digest:
    """The digest of what it was given, in this order; `covered` is the share it has looked at."""

    def __init__(self, scheme: str) -> None:
        self._scheme = scheme
        self._hash = hashlib.sha256(scheme.encode())
        self._seen = 0
        self._total = 0

    @property
    def text(self) -> str:
        """The digest with the scheme it was made by: only those of one scheme are comparable."""
        return f"{self._scheme}:{self._hash.hexdigest()[:32]}"

    @property
    def covered(self) -> float:
        """Share of the values that went into the digest, 1.0 only if all did."""
        if self._seen >= self._total:
            return 1.0
        return min(round(self._seen / self._total, 6), 0.999999)

    def note(self, *facts: object) -> None:
        """Add facts that hold for all values: a shape, a dtype, a column's name."""
        text = "\0".join(map(str, facts))
        self._hash.update(f"{len(text)}\0{text}".encode("utf-8", "surrogatepass"))

    def leave_out(self, values: int) -> None:
        """Count values that are not going to be looked at."""
        self._total += values

    def array(self, array: Any, budget: int = BYTES, values: int = VALUES) -> None:
        """Add an array of any layout and dtype.

        Raises:
            UnreadableError: of Python objects whose class is not known.
        """
        dtype = array.dtype
        self.note(str(dtype) if dtype.names else dtype.str, array.shape)
        self._array(array, budget, values)

    def values(self, values: Sequence[Any], budget: int = VALUES) -> None:
        """Add a list of strings, numbers, and rows of such.

        Raises:
            UnreadableError: it holds objects whose class is not known.
        """
        self.note(len(values))
        self._total += len(values)
        width = len(values[0]) if values and type(values[0]) in (list, tuple) else 1
        step = max(1, _AT_ONCE // max(width, 1))
        for start, stop in runs(len(values), max(1, budget // max(width, 1))):
            for at in range(start, stop, step):
                self._chunk(values[at : min(at + step, stop)])

    def _array(self, array: Any, budget: int, values: int) -> None:
        dtype = array.dtype
        if dtype.names:  # field by field: what lies between fields has no meaning
            share = len(dtype.names)
            for name in dtype.names:
                self._array(array[name], budget // share, values // share)
            return
        self._total += array.size
        if dtype.kind in "OT":
            for piece in pieces(array, min(budget, values * dtype.itemsize)):
                flat = cast("list[Any]", piece.reshape(-1).tolist())
                for at in range(0, len(flat), _AT_ONCE):
                    self._chunk(flat[at : at + _AT_ONCE])
            return
        if dtype.char in "gG":
            raise UnreadableError("long doubles have bytes without a meaning")
        for piece in pieces(array, budget):
            self._seen += piece.size
            if piece.nbytes:
                self._hash.update(_bytes(piece))

    def _chunk(self, chunk: Sequence[Any]) -> None:
        """Add a few values at once: what they are is found out without a loop in Python."""
        self._seen += len(chunk)
        kinds = set(map(type, chunk))
        if kinds <= {list, tuple}:
            if sum(map(len, chunk)) > _LONGEST:
                raise UnreadableError("rows are very long lists")
            kinds = set(map(type, chain.from_iterable(chunk)))
            if not kinds <= _PLAIN:
                _check(kinds)
                chunk = [list(map(_plain, row)) for row in chunk]
        elif not kinds <= _PLAIN:
            _check(kinds)
            chunk = list(map(_plain, chunk))
        if kinds & {str, bytes} and sum(map(sys.getsizeof, chunk)) > _LONGEST:
            chunk = list(self._shortened(chunk))
        self._hash.update(marshal.dumps(list(chunk), _MARSHAL))

    def _shortened(self, chunk: Sequence[Any]) -> Iterator[Any]:
        """Yield what is hashed of long strings: their ends and their length."""
        for one in chunk:
            if type(one) in (str, bytes) and len(one) > _LONGEST:
                self._seen -= 1
                yield one[: _LONGEST // 2]
                yield one[-_LONGEST // 2 :]
                yield len(one)
            else:
                yield one


def _bytes(piece: Any) -> Any:
    """Return the bytes of an array in the order of its indices; no copy if they lie so."""
    import numpy as np

    ordered: Any = np.ascontiguousarray(piece)
    return ordered.reshape(-1).view(np.uint8)


def _check(kinds: set[type]) -> None:
    strange = {kind for kind in kinds - _PLAIN if not _is_scalar(kind)}
    if strange:
        names = ", ".join(sorted(kind.__qualname__ for kind in strange))
        raise UnreadableError(f"it holds objects of class {names}")


def _is_scalar(kind: type) -> bool:
    package = _package(kind)
    if package == "numpy":
        return any(base.__name__ == "generic" for base in kind.__mro__)
    return kind.__name__ in _SCALARS.get(package, ())


def _plain(value: Any) -> Any:
    """Return a number of NumPy as a number, and another scalar as what it says of itself."""
    if type(value) in _PLAIN:
        return value
    return value.item() if hasattr(value, "dtype") else repr(value)


def _package(kind: type) -> str:
    return kind.__module__.partition(".")[0]
