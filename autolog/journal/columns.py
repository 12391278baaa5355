"""METRICS records as columns: one block of NumPy arrays per run, keys, context and attempt."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Any, Final

import msgspec
import numpy as np
from numpy.typing import NDArray

from autolog.journal.alike import rows_of
from autolog.journal.frame import MIN_BODY
from autolog.journal.records import FLAG_EPOCH, METRICS_HEAD, Context

__all__ = ["ID", "Columns", "Definitions", "Points"]

ID: Final = slice(MIN_BODY, MIN_BODY + 14)
"""Where a body names its run, shape, context and attempt."""


class Definitions(msgspec.Struct, kw_only=True):
    """What a reader knows at its position: numbers of the file, and how the files have ended.

    `kept` are earlier segments with damage or without a Close: they are not to be removed.
    `header` is the checksum in the file's header frame: another one is another file's.
    """

    runs: dict[int, str] = {}
    shapes: dict[int, tuple[str, ...]] = {}
    contexts: dict[int, Context] = {}
    closed: bool = False
    ended: bool = False
    kept: list[int] = []
    header: int = 0


@dataclass(frozen=True, slots=True, eq=False)
class Points:
    """Points in the order of their records: `n` records of `k` keys each.

    The identity of a point is (writer, `seq`, index of its key).
    """

    run_uid: str
    keys: tuple[str, ...]
    context: Context
    attempt: int
    seq: NDArray[np.uint64]
    step: NDArray[np.int64]
    epoch: NDArray[np.int32]
    has_epoch: NDArray[np.bool_]
    wall_us: NDArray[np.int64]
    values: NDArray[np.float64]


_Ident = tuple[str, tuple[str, ...], Context, int]


class Columns:
    """Gathers bodies by their 14 bytes of numbers, and turns them into `Points`.

    `open_groups` maps those bytes to (length of a body, append); the reader's loop uses it alone.
    """

    def __init__(self, known: Definitions) -> None:
        self._known = known
        self.open_groups: dict[bytes, tuple[int, Callable[[bytes], None]]] = {}
        self._bodies: dict[bytes, list[bytes]] = {}
        self._parts: dict[_Ident, list[NDArray[Any]]] = {}

    def open(self, key: bytes, length: int) -> str | None:
        """Start a group for the bodies with these numbers; return why not if they make none."""
        run, shape, context = (int.from_bytes(key[i : i + 4], "little") for i in (0, 4, 8))
        keys = self._known.shapes.get(shape)
        if run not in self._known.runs or keys is None:
            return "points whose run or keys were defined in a damaged part"
        if context and context not in self._known.contexts:
            return "points whose context was defined in a damaged part"
        if length != MIN_BODY + METRICS_HEAD.size + 8 * len(keys):
            return "points that do not fit their keys"
        bodies = self._bodies[key] = []
        self.open_groups[key] = (length, bodies.append)
        return None

    def extend(self, key: bytes, rows: Any) -> None:
        """Add rows of records to the group that is open for these numbers."""
        self._bind(key)
        self._parts.setdefault(self._ident(key), []).append(rows)

    def settle(self) -> None:
        """Bind what was gathered to the definitions that hold now, before these change."""
        for key in self._bodies:
            self._bind(key)
        self._bodies.clear()
        self.open_groups.clear()

    def _bind(self, key: bytes) -> None:
        bodies = self._bodies[key]
        if bodies:
            self._parts.setdefault(self._ident(key), []).append(rows_of(bodies))
            bodies.clear()

    def _ident(self, key: bytes) -> _Ident:
        known = self._known
        run, shape, context = (int.from_bytes(key[i : i + 4], "little") for i in (0, 4, 8))
        where = known.contexts[context] if context else Context(id=0)
        attempt = int.from_bytes(key[12:14], "little")
        # The number of a context is of its file and says nothing outside.
        return (
            known.runs[run],
            known.shapes[shape],
            msgspec.structs.replace(where, id=0),
            attempt,
        )

    def points(self) -> Iterator[Points]:
        """Yield all that was gathered."""
        self.settle()
        for (run_uid, keys, context, attempt), parts in self._parts.items():
            yield Points(
                run_uid=run_uid,
                keys=keys,
                context=context,
                attempt=attempt,
                seq=_column(parts, "seq"),
                step=_column(parts, "step"),
                epoch=_column(parts, "epoch"),
                has_epoch=(_column(parts, "flags") & FLAG_EPOCH).astype(bool),
                wall_us=_column(parts, "wall"),
                values=_column(parts, "values"),
            )


def _column(parts: list[NDArray[Any]], name: str) -> Any:
    """Return a copy: columns of packed rows are neither aligned nor contiguous."""
    return np.concatenate([rows[name] for rows in parts])
