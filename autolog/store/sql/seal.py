"""Seals points: takes appended blobs of a run, and leaves sorted and compressed chunks.

Metrics of one context and attempt that occur in the same blocks share an axis. A seal happens in
one transaction under the run's lock, with the summaries of what was not counted yet: a point is
either in the tail or in one chunk.

Chunks smaller than 4096 points are joined eight at a time, when seven of about the same size are
there before what is sealed next: a point of a chunk of 64 is rewritten twice until it rests.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Final

import numpy as np
from numpy.typing import NDArray
from sqlalchemy import Connection, delete, func, or_, select, update

from autolog.store.sql import blob, sealed
from autolog.store.sql.changes import Row
from autolog.store.sql.names import batched
from autolog.store.sql.schema import metadata
from autolog.store.sql.series import Summaries, record, summarise
from autolog.store.sql.values import real

__all__ = ["LARGE", "MAX_VALUES", "seal", "worth_sealing"]

MAX_VALUES: Final = 1 << 20
"""About so many values are sealed in one transaction: 20 MB of blobs, 100 MB of memory."""

LARGE: Final = 4096
"""How many values in its tail make a run large. The index `ix_run_unsealed` finds those."""

_POINTS: Final = 4096
"""Points of a full chunk."""

_FAN: Final = 8
"""How many chunks of about the same size become one."""

_RUNS: Final = 100
"""How many runs are chosen at once."""

_BLOBS: Final = 4096
"""How many blobs are sealed in one transaction."""

_MERGED_GROUPS: Final = 64
"""In a run with more groups of metrics than these, small chunks stay as they are."""

_THINNEST: Final = 64
"""How many points a series should have before it is worth a chunk."""

_run = metadata.tables["run"]
_tail = metadata.tables["tail"]
_series = metadata.tables["series"]
_axis = metadata.tables["axis"]
_chunk = metadata.tables["chunk"]


def worth_sealing(connection: Connection) -> list[int]:
    """Return the runs whose tail is large, the largest first."""
    series = select(func.count()).where(_series.c.run_id == _run.c.id).scalar_subquery()
    query = select(_run.c.id).where(
        _run.c.tail_n >= LARGE,
        or_(_run.c.tail_n >= MAX_VALUES, _run.c.tail_n >= _THINNEST * series),
    )
    return list(connection.execute(query.order_by(_run.c.tail_n.desc()).limit(_RUNS)).scalars())


def seal(
    connection: Connection, run_id: int, limit: int = MAX_VALUES, thinnest: int = _THINNEST
) -> int:
    """Seal the oldest blobs of a run: about `limit` values, at least one blob.

    The transaction must be one that writes. If series have fewer points than `thinnest` they are
    only counted, which tells `worth_sealing` how many series there are.

    Returns:
        How many values were sealed; 0 if there are none.
    """
    query = select(
        _run.c.id, _run.c.experiment_id, _run.c.tail_no, _run.c.clean_no, _run.c.tail_n
    ).where(_run.c.id == run_id)
    run = connection.execute(query.with_for_update()).first()
    last, values = (0, 0) if run is None else _oldest(connection, run_id, limit)
    if run is None or not values:
        return 0
    mine = (_tail.c.run_id == run_id) & (_tail.c.no <= last)
    fresh: Summaries = {}
    blocks: list[tuple[int, blob.Block]] = []
    query = select(_tail.c.no, _tail.c.data).where(mine).order_by(_tail.c.no)
    for no, data in connection.execute(query):
        for block in blob.decode(data):
            blocks.append((no, block))
            if no > run.clean_no:
                summarise(fresh, run_id, block)
    if last > run.clean_no:
        record(connection, {run_id: (run, last)}, fresh)
    groups = list(_groups(blocks))
    if run.tail_n < min(thinnest * sum(len(group.keys) for group in groups), MAX_VALUES):
        return 0
    _write(connection, run_id, groups)
    connection.execute(delete(_tail).where(mine))
    left = update(_run).where(_run.c.id == run_id)
    connection.execute(left.values(tail_n=run.tail_n - values))
    return values


def _oldest(connection: Connection, run_id: int, limit: int) -> tuple[int, int]:
    """Return the number of the last blob to take, and how many values there are up to it."""
    query = select(_tail.c.no, _tail.c.n).where(_tail.c.run_id == run_id)
    last = values = 0
    for no, n in connection.execute(query.order_by(_tail.c.no).limit(_BLOBS)):
        if values and values + n > limit:
            break
        last, values = no, values + n
    return last, values


@dataclass(slots=True)
class _Group:
    """Points of several metrics at the same places: `values` has one row per key."""

    context: int
    attempt: int
    keys: list[int]
    axis: sealed.Axis
    values: NDArray[np.float64]


def _groups(blocks: Iterable[tuple[int, blob.Block]]) -> Iterator[_Group]:
    """Put blocks together whose keys occur in the same ones, each group in order."""
    by_place: dict[tuple[int, int], dict[bytes, list[tuple[int, blob.Block]]]] = {}
    for no, block in blocks:
        shapes = by_place.setdefault((block.context, block.attempt), {})
        shapes.setdefault(block.keys.tobytes(), []).append((no, block))
    for (context, attempt), shapes in by_place.items():
        columns: dict[int, list[tuple[bytes, int]]] = defaultdict(list)
        for shape, several in shapes.items():
            for column, key_id in enumerate(several[0][1].keys.tolist()):
                columns[key_id].append((shape, column))
        alike: dict[tuple[bytes, ...], list[int]] = defaultdict(list)
        for key_id, where in columns.items():
            alike[tuple(shape for shape, _ in where)].append(key_id)
        for names, keys in alike.items():
            parts = [
                (no, block, [columns[key_id][at][1] for key_id in keys])
                for at, shape in enumerate(names)
                for no, block in shapes[shape]
            ]
            yield _joined(context, attempt, keys, parts)


def _joined(
    context: int, attempt: int, keys: list[int], parts: Sequence[tuple[int, blob.Block, list[int]]]
) -> _Group:
    blocks = [block for _, block, _ in parts]
    axis = sealed.Axis(
        np.concatenate([block.step for block in blocks]),
        np.concatenate([block.wall_us for block in blocks]),
        *_epochs([(len(block.seq), block.epoch, block.has_epoch) for block in blocks]),
    )
    group = _Group(
        context,
        attempt,
        keys,
        axis,
        np.concatenate(
            [np.transpose(block.values)[columns] for _, block, columns in parts], axis=1
        ),
    )
    arrival = np.repeat([no for no, _, _ in parts], [len(block.seq) for block in blocks])
    seq = np.concatenate([block.seq for block in blocks])
    return _ordered(group, (seq, arrival))


def _ordered(group: _Group, arrival: tuple[NDArray[np.int64], ...]) -> _Group:
    """Sort a group by step, time and `arrival` (as `np.lexsort` takes it: the last counts most)."""
    axis = group.axis
    order = np.lexsort((*arrival, axis.wall_us, axis.step))
    if (order[1:] > order[:-1]).all():
        return group
    group.axis = _at(axis, order)
    group.values = group.values[:, order]
    return group


def _at(axis: sealed.Axis, where: slice | NDArray[np.intp]) -> sealed.Axis:
    epoch, has_epoch = axis.epoch, axis.has_epoch
    if has_epoch is not None:
        has_epoch = has_epoch[where]
        if not has_epoch.any():
            epoch = has_epoch = None
        elif has_epoch.all():
            has_epoch = None
    return sealed.Axis(
        axis.step[where], axis.wall_us[where], None if epoch is None else epoch[where], has_epoch
    )


def _epochs(
    parts: Sequence[tuple[int, NDArray[np.int64] | None, NDArray[np.bool_] | None]],
) -> tuple[NDArray[np.int64] | None, NDArray[np.bool_] | None]:
    """Join epochs, each of so many points."""
    if all(epoch is None for _, epoch, _ in parts):
        return None, None
    joined = np.concatenate(
        [np.zeros(n, np.int64) if epoch is None else epoch for n, epoch, _ in parts]
    )
    if all(epoch is not None and mask is None for _, epoch, mask in parts):
        return joined, None
    return joined, np.concatenate(
        [np.full(n, epoch is not None) if mask is None else mask for n, epoch, mask in parts]
    )


def _write(connection: Connection, run_id: int, groups: Sequence[_Group]) -> None:
    next_id: int = connection.execute(
        select(func.coalesce(func.max(_axis.c.id), 0) + 1).where(_axis.c.run_id == run_id)
    ).scalar_one()
    axes: list[Row] = []
    chunks: list[Row] = []
    for group in groups:
        if len(groups) <= _MERGED_GROUPS:
            group = _with_small(connection, run_id, group)
        for start in range(0, len(group.axis.step), _POINTS):
            piece = slice(start, start + _POINTS)
            axes.append(_axis_row(run_id, next_id, group, _at(group.axis, piece)))
            chunks += _chunk_rows(run_id, next_id, group, group.values[:, piece])
            next_id += 1
    connection.execute(_axis.insert(), axes)
    connection.execute(_chunk.insert(), chunks)


def _axis_row(run_id: int, number: int, group: _Group, axis: sealed.Axis) -> Row:
    return {
        "run_id": run_id,
        "id": number,
        "n": len(axis.step),
        "shared": len(group.keys),
        "step_min": int(axis.step[0]),
        "step_max": int(axis.step[-1]),
        "us_min": int(axis.wall_us.min()),
        "us_max": int(axis.wall_us.max()),
        "codec": sealed.CODEC,
        "data": sealed.encode_axis(axis),
    }


def _chunk_rows(
    run_id: int, axis_id: int, group: _Group, values: NDArray[np.float64]
) -> Iterator[Row]:
    nans: Any = np.isnan(values).sum(axis=1)
    with np.errstate(invalid="ignore"):
        low: Any = np.fmin.reduce(values, axis=1)  # type: ignore[reportUnknownMemberType]
        high: Any = np.fmax.reduce(values, axis=1)  # type: ignore[reportUnknownMemberType]
    for key_id, column, nan, least, most in zip(
        group.keys, values, nans.tolist(), low.tolist(), high.tolist(), strict=True
    ):
        yield {
            "run_id": run_id,
            "key_id": key_id,
            "context_id": group.context,
            "attempt": group.attempt,
            "axis_id": axis_id,
            "n": len(column),
            "nan_count": nan,
            "first_value": real(float(column[0])),
            "last_value": real(float(column[-1])),
            "min_value": real(least),
            "max_value": real(most),
            "codec": sealed.CODEC,
            "data": sealed.encode_values(column),
        }


def _with_small(connection: Connection, run_id: int, group: _Group) -> _Group:
    """Take the last small chunks of a group out of the database and put its points behind them."""
    series = (
        (_chunk.c.run_id == run_id)
        & (_chunk.c.context_id == group.context)
        & (_chunk.c.attempt == group.attempt)
    )
    at = (_axis.c.run_id == _chunk.c.run_id) & (_axis.c.id == _chunk.c.axis_id)
    query = (
        select(_axis.c.id, _axis.c.n, _axis.c.shared)
        .join_from(_chunk, _axis, at)
        .where(series, _chunk.c.key_id == group.keys[0])
        .order_by(_axis.c.id.desc())
    )
    found = connection.execute(query.limit(_FAN * _tier(_POINTS))).all()
    sizes = [row.n if row.shared == len(group.keys) else _POINTS for row in found]
    many = _mergeable(sizes, len(group.axis.step))
    ids = sorted(row.id for row in found[:many])
    if not ids:
        return group
    columns: dict[int, dict[int, Any]] = defaultdict(dict)
    for piece in batched(group.keys):
        query = select(_chunk.c.key_id, _chunk.c.axis_id, _chunk.c.n, _chunk.c.codec, _chunk.c.data)
        rows = connection.execute(
            query.where(series, _chunk.c.key_id.in_(piece), _chunk.c.axis_id >= ids[0])
        )
        for row in rows:
            columns[row.axis_id][row.key_id] = row
    # Only what all of these metrics have, and they alone, can move: an axis that others share
    # has to stay, and what came in between has to stay in between.
    if sorted(columns) != ids or any(len(some) < len(group.keys) for some in columns.values()):
        return group
    old = [_read(connection, run_id, number, group, columns[number]) for number in ids]
    connection.execute(
        delete(_chunk).where(series, _chunk.c.key_id.in_(group.keys), _chunk.c.axis_id.in_(ids))
    )
    connection.execute(delete(_axis).where(_axis.c.run_id == run_id, _axis.c.id.in_(ids)))
    parts = [*old, (group.axis, group.values)]
    axis = sealed.Axis(
        np.concatenate([axis.step for axis, _ in parts]),
        np.concatenate([axis.wall_us for axis, _ in parts]),
        *_epochs([(len(axis.step), axis.epoch, axis.has_epoch) for axis, _ in parts]),
    )
    values = np.concatenate([values for _, values in parts], axis=1)
    return _ordered(_Group(group.context, group.attempt, group.keys, axis, values), ())


def _read(
    connection: Connection, run_id: int, number: int, group: _Group, rows: Mapping[int, Any]
) -> tuple[sealed.Axis, NDArray[np.float64]]:
    query = select(_axis.c.codec, _axis.c.n, _axis.c.data)
    row = connection.execute(query.where(_axis.c.run_id == run_id, _axis.c.id == number)).one()
    for codec in {row.codec, *(one.codec for one in rows.values())}:
        sealed.check_codec(codec)
    values = [sealed.decode_values(rows[key].data, row.n) for key in group.keys]
    return sealed.decode_axis(row.data, row.n), np.stack(values)


def _mergeable(sizes: Sequence[int], new: int) -> int:
    """Return how many chunks, the newest first, to join with `new` points."""
    taken = 0
    while True:
        tier = _tier(new)
        alike = taken
        while alike < len(sizes) and sizes[alike] < _POINTS and _tier(sizes[alike]) <= tier:
            alike += 1
        if alike - taken < _FAN - 1:
            return taken
        new += sum(sizes[taken:alike])
        taken = alike


def _tier(n: int) -> int:
    return (n.bit_length() - 1) // 3
