"""Reads the points of metrics as they are stored: sealed chunks first, then the tail.

Both are read in one transaction, which has to see one state of the database: between them a seal
may move points from one to the other.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from itertools import groupby
from typing import Any, Final

import numpy as np
from numpy.typing import NDArray
from sqlalchemy import ColumnElement, Connection, and_, case, null, select

from autolog.errors import UsageError
from autolog.store.sql import blob, sealed
from autolog.store.sql.names import batched
from autolog.store.sql.schema import metadata

__all__ = ["Part", "Wanted", "chunk_rows", "read_parts", "read_values", "tail_parts"]

_tail = metadata.tables["tail"]
_axis = metadata.tables["axis"]
_chunk = metadata.tables["chunk"]

_ROWS: Final = 256
"""How many chunks are fetched at once (8 MB)."""

_AXES: Final = 512
"""How many decoded axes are kept (50 MB)."""


@dataclass(frozen=True, slots=True)
class Part:
    """Points of one metric, context and attempt, in the order of their arrival at equal times.

    `first_step` is the smallest step of what was stored together, whether or not it was read.
    `epoch` is NaN for points without one, and None if no point has one.
    """

    context: int
    attempt: int
    first_step: int
    step: NDArray[np.int64]
    wall_us: NDArray[np.int64]
    value: NDArray[np.float64]
    epoch: NDArray[np.float64] | None


@dataclass(frozen=True, slots=True, kw_only=True)
class Wanted:
    """Which points of a run to read; None is no limit, `steps` are inclusive, `points` can be off.

    Of the chunks of other contexts, attempts and steps parts without points remain, for their
    `first_step`; what is not sealed is read whole, and so is a chunk that lies across a limit.
    """

    keys: Sequence[int] | None = None
    contexts: Sequence[int] | None = None
    attempt: int | None = None
    steps: tuple[int, int] | None = None
    points: bool = True

    def __post_init__(self) -> None:
        steps: Any = self.steps
        if steps is None:
            return
        if not isinstance(steps, (tuple, list)) or len(steps) != 2:  # type: ignore[reportUnknownArgumentType]
            raise UsageError(f"steps is a pair, the first and the last step, not {steps!r}")


def read_parts(
    connection: Connection, run_id: int, wanted: Wanted
) -> Iterator[tuple[int, list[Part]]]:
    """Yield key and parts of each metric, one metric at a time.

    Parts of one context and attempt come in the order of arrival.
    """
    tails = tail_parts(connection, run_id, wanted.keys)
    axes = _Axes(connection, run_id)
    rows = chunk_rows(connection, run_id, wanted)
    for key_id, group in groupby(rows, key=lambda row: row.key_id):
        chunks = list(group)
        axes.load(row.axis_id for row in chunks if row.data is not None)
        parts = [_of_chunk(row, axes) for row in chunks]
        yield key_id, parts + tails.pop(key_id, [])
    yield from tails.items()


def chunk_rows(connection: Connection, run_id: int, wanted: Wanted) -> Iterable[Any]:
    """Yield the chunks by key, each with the extent of its axis; `data` is None if not wanted."""
    fits: list[ColumnElement[bool]] = []
    if wanted.steps is not None:
        low, high = wanted.steps
        fits += [_axis.c.step_min <= high, _axis.c.step_max >= low]
    if wanted.contexts is not None:
        fits.append(_chunk.c.context_id.in_(wanted.contexts))
    if wanted.attempt is not None:
        fits.append(_chunk.c.attempt == wanted.attempt)
    data = case((and_(*fits), _chunk.c.data)) if fits else _chunk.c.data
    if not wanted.points:
        data = null()
    others = [column for column in _chunk.c if column.name != "data"]
    query = (
        select(*others, _axis.c.step_min, _axis.c.step_max, data.label("data"))
        .join_from(
            _chunk,
            _axis,
            (_axis.c.run_id == _chunk.c.run_id) & (_axis.c.id == _chunk.c.axis_id),
        )
        .where(_chunk.c.run_id == run_id)
        .order_by(_chunk.c.key_id, _chunk.c.axis_id)
        .execution_options(yield_per=_ROWS)
    )
    if wanted.keys is None:
        yield from connection.execute(query)
        return
    for piece in batched(sorted(wanted.keys)):
        yield from connection.execute(query.where(_chunk.c.key_id.in_(piece)))


def read_values(
    connection: Connection, run_id: int, key_id: int, axis_ids: Sequence[int]
) -> dict[int, tuple[NDArray[np.int64], NDArray[np.float64]]]:
    """Return steps and values of chunks of a metric, by axis, without their times."""
    found: dict[int, tuple[NDArray[np.int64], NDArray[np.float64]]] = {}
    at = (_axis.c.run_id == _chunk.c.run_id) & (_axis.c.id == _chunk.c.axis_id)
    query = (
        select(_axis.c.id, _axis.c.n, _axis.c.codec, _axis.c.data, _chunk.c.codec, _chunk.c.data)
        .join_from(_chunk, _axis, at)
        .where(_chunk.c.run_id == run_id, _chunk.c.key_id == key_id)
    )
    for piece in batched(axis_ids):
        rows = connection.execute(query.where(_chunk.c.axis_id.in_(piece)))
        for number, n, codec, places, own, data in rows:
            sealed.check_codec(codec)
            sealed.check_codec(own)
            found[number] = sealed.decode_steps(places, n), sealed.decode_values(data, n)
    return found


class _Axes:
    """Decoded axes of a run, which several series may share."""

    def __init__(self, connection: Connection, run_id: int) -> None:
        self._connection = connection
        self._run_id = run_id
        self._kept: dict[int, tuple[sealed.Axis, NDArray[np.float64] | None]] = {}

    def load(self, ids: Iterable[int]) -> None:
        """Read those that are not at hand."""
        missing = [number for number in ids if number not in self._kept]
        if len(self._kept) + len(missing) > _AXES:
            self._kept.clear()
        for piece in batched(missing):
            query = select(_axis.c.id, _axis.c.n, _axis.c.codec, _axis.c.data)
            query = query.where(_axis.c.run_id == self._run_id, _axis.c.id.in_(piece))
            for number, n, codec, data in self._connection.execute(query):
                sealed.check_codec(codec)
                axis = sealed.decode_axis(data, n)
                self._kept[number] = (axis, _epochs(axis))

    def __getitem__(self, number: int) -> tuple[sealed.Axis, NDArray[np.float64] | None]:
        """Return an axis that was loaded, and the epochs of its points."""
        return self._kept[number]


def _of_chunk(row: Any, axes: _Axes) -> Part:
    if row.data is None:
        nothing = np.empty(0, np.int64)
        none = np.empty(0, np.float64)
        return Part(row.context_id, row.attempt, row.step_min, nothing, nothing, none, None)
    sealed.check_codec(row.codec)
    axis, epoch = axes[row.axis_id]
    return Part(
        context=row.context_id,
        attempt=row.attempt,
        first_step=row.step_min,
        step=axis.step,
        wall_us=axis.wall_us,
        value=sealed.decode_values(row.data, row.n),
        epoch=epoch,
    )


def tail_parts(
    connection: Connection, run_id: int, keys: Sequence[int] | None
) -> dict[int, list[Part]]:
    """Read what is not sealed yet of these metrics, or of all."""
    query = select(_tail.c.data).where(_tail.c.run_id == run_id).order_by(_tail.c.no)
    wanted = None if keys is None else np.array(keys, np.int64)
    found: dict[int, list[Part]] = defaultdict(list)
    for data in connection.execute(query).scalars():
        several: dict[tuple[int, int, int], list[tuple[Part, NDArray[np.int64]]]] = {}
        for block in blob.decode(data):
            chosen = slice(None) if wanted is None else np.isin(block.keys, wanted)
            epoch = _epochs(block)
            first = int(block.step.min())
            place = (block.context, block.attempt, first, block.step, block.wall_us)
            columns: Any = np.transpose(block.values)[chosen]
            for key_id, column in zip(block.keys[chosen].tolist(), columns, strict=True):
                series = several.setdefault((key_id, block.context, block.attempt), [])
                series.append((Part(*place, column, epoch), block.seq))
        for (key_id, _, _), parts in several.items():
            found[key_id].append(parts[0][0] if len(parts) == 1 else _woven(parts))
    return found


def _woven(parts: list[tuple[Part, NDArray[np.int64]]]) -> Part:
    """Join parts of one blob in the order of their records."""
    order = np.argsort(np.concatenate([seq for _, seq in parts]), kind="stable")
    some = parts[0][0]
    epochs = [_or_none(part.epoch, len(part.step)) for part, _ in parts]
    return Part(
        context=some.context,
        attempt=some.attempt,
        first_step=min(part.first_step for part, _ in parts),
        step=np.concatenate([part.step for part, _ in parts])[order],
        wall_us=np.concatenate([part.wall_us for part, _ in parts])[order],
        value=np.concatenate([part.value for part, _ in parts])[order],
        epoch=np.concatenate(epochs)[order],
    )


def _or_none(epoch: NDArray[np.float64] | None, n: int) -> NDArray[np.float64]:
    return np.full(n, np.nan) if epoch is None else epoch


def _epochs(of: blob.Block | sealed.Axis) -> NDArray[np.float64] | None:
    if of.epoch is None:
        return None
    epochs = of.epoch.astype(np.float64)
    return epochs if of.has_epoch is None else np.where(of.has_epoch, epochs, np.nan)
