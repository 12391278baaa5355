"""Seals points: takes appended blobs of a run, and leaves sorted and compressed chunks.

Metrics of one context and attempt that occur in the same blocks share an axis. A seal happens in
one transaction under the run's lock, with the summaries of what was not counted yet: a point is
either in the tail or in one chunk.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Any, Final

import numpy as np
from numpy.typing import NDArray
from sqlalchemy import Connection, delete, func, or_, select, update

from autolog.entities import Kind
from autolog.store.sql import blob, joining, sealed
from autolog.store.sql.changes import Row
from autolog.store.sql.groups import Group, groups_of, part_of
from autolog.store.sql.schema import metadata
from autolog.store.sql.series import Summaries, record, summarise
from autolog.store.sql.values import real

__all__ = ["LARGE", "MAX_VALUES", "seal", "worth_sealing"]

MAX_VALUES: Final = 1 << 20
"""About so many values are sealed in one transaction: 20 MB of blobs, 100 MB of memory."""

LARGE: Final = 4096
"""How many values in its tail make a run large. The index `ix_run_unsealed` finds those."""

_RUNS: Final = 100
"""How many runs are chosen at once."""

_BLOBS: Final = 4096
"""How many blobs are sealed in one transaction."""

_THINNEST: Final = 64
"""How many points a series should have before it is worth a chunk."""

_run = metadata.tables["run"]
_tail = metadata.tables["tail"]
_series = metadata.tables["series"]
_axis = metadata.tables["axis"]
_chunk = metadata.tables["chunk"]


def long_tails() -> Any:
    """Select the ids of runs whose tail is worth sealing."""
    series = select(func.count()).where(_series.c.run_id == _run.c.id).scalar_subquery()
    return select(_run.c.id).where(
        _run.c.tail_n >= LARGE,
        _run.c.kind != Kind.RANK.value,  # it is going to be moved
        or_(_run.c.tail_n >= MAX_VALUES, _run.c.tail_n >= _THINNEST * series),
    )


def worth_sealing(connection: Connection) -> list[int]:
    """Return the runs whose tail is large, the largest first."""
    query = long_tails().order_by(_run.c.tail_n.desc()).limit(_RUNS)
    return list(connection.execute(query).scalars())


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
    ).where(_run.c.id == run_id, _run.c.kind != Kind.RANK.value)
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
    groups = list(groups_of(blocks))
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


def _write(connection: Connection, run_id: int, groups: Sequence[Group]) -> None:
    next_id: int = connection.execute(
        select(func.coalesce(func.max(_axis.c.id), 0) + 1).where(_axis.c.run_id == run_id)
    ).scalar_one()
    axes: list[Row] = []
    chunks: list[Row] = []
    for group in joining.with_small_chunks(connection, run_id, groups):
        for start in range(0, len(group.axis.step), joining.CHUNK_POINTS):
            piece = slice(start, start + joining.CHUNK_POINTS)
            axes.append(_axis_row(run_id, next_id, group, part_of(group.axis, piece)))
            chunks += _chunk_rows(run_id, next_id, group, group.values[:, piece])
            next_id += 1
    connection.execute(_axis.insert(), axes)
    connection.execute(_chunk.insert(), chunks)


def _axis_row(run_id: int, number: int, group: Group, axis: sealed.Axis) -> Row:
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
    run_id: int, axis_id: int, group: Group, values: NDArray[np.float64]
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
