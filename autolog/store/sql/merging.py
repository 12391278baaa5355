"""Points that come from elsewhere: which of them are new, and how they are appended.

Between stores a point has no writer that would name it. Two points of a metric are the same if
they agree in context, attempt, step, epoch, time and the bits of their value; as a run may have
logged the same thing twice, what is compared is how often it is there.
"""

from __future__ import annotations

import hashlib
from dataclasses import dataclass
from typing import Any, Final

import numpy as np
from numpy.typing import NDArray
from sqlalchemy import Connection

from autolog.store.portrait import Points
from autolog.store.sql import blob
from autolog.store.sql.changes import Row
from autolog.store.sql.names import Names
from autolog.store.sql.schema import metadata

__all__ = ["Appended", "missing"]

_tail = metadata.tables["tail"]

_BLOCK: Final = 1 << 14
_BLOB: Final = 1 << 16
"""Points of a block and values of a blob, so that a reader holds little at once."""

_Ints = NDArray[np.int64]


def missing(have: Points | None, come: Points, names: Names) -> _Ints:
    """Return the positions in `come` of the points that `have` lacks."""
    if have is None:
        return np.arange(len(come), dtype=np.int64)
    columns = [
        np.concatenate(pair)
        for pair in zip(_columns(have, names), _columns(come, names), strict=True)
    ]
    new = np.arange(len(have) + len(come)) >= len(have)
    order = np.lexsort((new, *columns))
    begins = np.ones(len(order), np.bool_)
    begins[1:] = False
    for column in columns:
        ordered = column[order]
        begins[1:] |= ordered[1:] != ordered[:-1]
    starts = np.flatnonzero(begins)
    group = np.cumsum(begins) - 1
    new = new[order]
    there = np.add.reduceat((~new).astype(np.int64), starts)[group]  # of each point's equals
    number = np.arange(len(order)) - starts[group] - there
    return np.sort(order[new & (number >= there)] - len(have))


@dataclass(frozen=True, slots=True)
class _Place:
    """Where the points of a block stand."""

    seq: _Ints
    step: _Ints
    wall_us: _Ints
    epoch: NDArray[np.float64]

    def digest(self) -> bytes:
        digest = hashlib.blake2b(digest_size=16)
        for column in (self.seq, self.step, self.wall_us, self.epoch):
            digest.update(column.tobytes())
        return digest.digest()

    def block(
        self, attempt: int, context: int, keys: list[int], values: list[NDArray[np.float64]]
    ) -> blob.Block:
        has_epoch = ~np.isnan(self.epoch)
        some, every = bool(has_epoch.any()), bool(has_epoch.all())
        return blob.Block(
            context=context,
            attempt=attempt,
            keys=np.array(keys, np.int64),
            seq=self.seq,
            step=self.step,
            wall_us=self.wall_us,
            values=np.stack(values, axis=1),
            epoch=np.where(has_epoch, self.epoch, 0).astype(np.int64) if some else None,
            has_epoch=None if every or not some else has_epoch,
        )


class Appended:
    """Appends points to a run in the open transaction, as the fold would.

    Metrics that were logged together have the same steps and times: as long as they come one
    after the other and are small, they share one block.
    """

    def __init__(self, connection: Connection, names: Names, carrier: Row, run: Row) -> None:
        self.count = 0
        self.longest = 0
        self._connection = connection
        self._names = names
        self._carrier = carrier
        self._run = run
        self._blocks: dict[
            tuple[int, int, bytes], tuple[_Place, list[int], list[NDArray[np.float64]]]
        ] = {}
        self._waiting = 0

    def add(self, metric: str, points: Points, positions: _Ints) -> None:
        """Append those points of a metric."""
        if not len(positions):
            return
        key = self._names.key("metric", metric)
        contexts = _context_ids(points, self._names)[positions]
        attempts = points.attempt[positions]
        for attempt, context in sorted(set(zip(attempts.tolist(), contexts.tolist(), strict=True))):
            chosen = positions[(attempts == attempt) & (contexts == context)]
            for start in range(0, len(chosen), _BLOCK):
                piece = chosen[start : start + _BLOCK]
                self._block(key, attempt, context, points, piece)
        self.count += len(positions)
        self.longest = max(self.longest, len(points))
        self._run["last_us"] = max(self._run["last_us"], int(points.timestamp[positions].max()))

    def _block(self, key: int, attempt: int, context: int, points: Points, piece: _Ints) -> None:
        place = _Place(
            seq=self._carrier["last_seq"] + 1 + piece,
            step=points.step[piece],
            wall_us=points.timestamp[piece],
            epoch=points.epoch[piece],
        )
        known = self._blocks.setdefault((attempt, context, place.digest()), (place, [], []))
        known[1].append(key)
        known[2].append(points.value[piece])
        self._waiting += len(piece)
        if self._waiting >= _BLOB:
            self.flush()

    def flush(self) -> None:
        """Write what waits as one blob."""
        if not self._blocks:
            return
        blocks = [
            place.block(attempt, context, keys, values)
            for (attempt, context, _), (place, keys, values) in self._blocks.items()
        ]
        self._run["tail_no"] += 1
        self._run["tail_n"] += self._waiting
        row = {
            "run_id": self._run["id"],
            "no": self._run["tail_no"],
            "writer_id": self._carrier["id"],
            "seq": min(int(block.seq.min()) for block in blocks),
            "n": self._waiting,
            "data": blob.encode(blocks),
        }
        self._connection.execute(_tail.insert(), row)
        self._blocks.clear()
        self._waiting = 0


def _columns(points: Points, names: Names) -> list[_Ints]:
    floats: Any = (points.value, points.epoch)
    bits = [column.view(np.int64) for column in floats]
    contexts = _context_ids(points, names)
    return [points.step, points.timestamp, *bits, points.attempt, contexts]


def _context_ids(points: Points, names: Names) -> _Ints:
    """Return the id of each point's context."""
    used, places = np.unique(points.context, return_inverse=True)
    numbers: list[int] = used.tolist()
    ids = [names.context(points.contexts[number]) for number in numbers]
    return np.array(ids, np.int64)[places]
