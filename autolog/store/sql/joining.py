"""Joins small chunks with what is sealed behind them.

Chunks smaller than 4096 points are joined eight at a time, when seven of about the same size are
there before the new one: a point of a chunk of 64 is rewritten twice until it rests.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Sequence
from typing import Any, Final

import numpy as np
from numpy.typing import NDArray
from sqlalchemy import Connection, delete, func, select

from autolog.store.sql import sealed
from autolog.store.sql.groups import Group, behind
from autolog.store.sql.names import batched
from autolog.store.sql.schema import metadata

__all__ = ["CHUNK_POINTS", "with_small_chunks"]

CHUNK_POINTS: Final = 4096
"""Points of a full chunk."""

_FAN: Final = 8
"""How many chunks of about the same size become one."""

_JOINED: Final = 256
"""How many groups of metrics one seal joins with their small chunks; the next one goes on."""

_axis = metadata.tables["axis"]
_chunk = metadata.tables["chunk"]


def with_small_chunks(connection: Connection, run_id: int, groups: Sequence[Group]) -> list[Group]:
    """Take small chunks out of the database and put the points of their groups behind them.

    The ids of new axes have to be above those of all that was there before.
    """
    last = _last_axes(connection, run_id, groups)
    answer: list[Group] = []
    joined = 0
    for group in groups:
        axes = last.get((group.keys[0], group.context, group.attempt), [])
        sizes = [n if shared == len(group.keys) else CHUNK_POINTS for _, n, shared in axes]
        many = _mergeable(sizes, len(group.axis.step)) if joined < _JOINED else 0
        ids = sorted(number for number, _, _ in axes[:many])
        joined += bool(ids)
        answer.append(_with(connection, run_id, group, ids) if ids else group)
    return answer


def _last_axes(
    connection: Connection, run_id: int, groups: Sequence[Group]
) -> dict[tuple[int, int, int], list[tuple[int, int, int]]]:
    """Return id, size and number of series of the last axes, the newest first.

    By key, context and attempt of the first series of each group: where the others have more
    or other axes, `_with` will see it.
    """
    series = (_chunk.c.key_id, _chunk.c.context_id, _chunk.c.attempt)
    back = func.row_number().over(partition_by=series, order_by=_chunk.c.axis_id.desc())
    found: dict[tuple[int, int, int], list[tuple[int, int, int]]] = defaultdict(list)
    for piece in batched(sorted({group.keys[0] for group in groups})):
        ranked = (
            select(*series, _chunk.c.run_id, _chunk.c.axis_id, back.label("back"))
            .where(_chunk.c.run_id == run_id, _chunk.c.key_id.in_(piece))
            .subquery()
        )
        query = (
            select(
                ranked.c.key_id, ranked.c.context_id, ranked.c.attempt,
                _axis.c.id, _axis.c.n, _axis.c.shared,
            )
            .join_from(
                ranked,
                _axis,
                (_axis.c.run_id == ranked.c.run_id) & (_axis.c.id == ranked.c.axis_id),
            )
            .where(ranked.c.back <= _FAN * _tier(CHUNK_POINTS))
            .order_by(ranked.c.back)
        )  # fmt: skip
        for *place, number, n, shared in connection.execute(query):
            found[place[0], place[1], place[2]].append((number, n, shared))
    return found


def _with(connection: Connection, run_id: int, group: Group, ids: Sequence[int]) -> Group:
    """Join a group with the chunks on these axes, its last ones, if they are its alone."""
    series = (
        (_chunk.c.run_id == run_id)
        & (_chunk.c.context_id == group.context)
        & (_chunk.c.attempt == group.attempt)
        & (_chunk.c.axis_id >= ids[0])
    )
    columns: dict[int, dict[int, NDArray[np.float64]]] = defaultdict(dict)
    for piece in batched(group.keys):
        query = select(_chunk.c.key_id, _chunk.c.axis_id, _chunk.c.n, _chunk.c.codec, _chunk.c.data)
        for row in connection.execute(query.where(series, _chunk.c.key_id.in_(piece))):
            sealed.check_codec(row.codec)
            columns[row.axis_id][row.key_id] = sealed.decode_values(row.data, row.n)
    # Only what all of these metrics have, and they alone, can move: an axis that others share
    # has to stay, and what came in between has to stay in between.
    if sorted(columns) != ids or any(len(some) < len(group.keys) for some in columns.values()):
        return group
    mine = (_axis.c.run_id == run_id) & _axis.c.id.in_(ids)
    query = select(_axis.c.id, _axis.c.n, _axis.c.codec, _axis.c.data).where(mine)
    old: list[tuple[sealed.Axis, NDArray[np.float64]]] = []
    for row in connection.execute(query.order_by(_axis.c.id)):
        sealed.check_codec(row.codec)
        values: Any = np.stack([columns[row.id][key_id] for key_id in group.keys])
        old.append((sealed.decode_axis(row.data, row.n), values))
    for piece in batched(group.keys):
        connection.execute(delete(_chunk).where(series, _chunk.c.key_id.in_(piece)))
    connection.execute(delete(_axis).where(mine))
    return behind(old, group)


def _mergeable(sizes: Sequence[int], new: int) -> int:
    """Return how many chunks, the newest first, to join with `new` points."""
    taken = 0
    while True:
        tier = _tier(new)
        alike = taken
        while alike < len(sizes) and sizes[alike] < CHUNK_POINTS and _tier(sizes[alike]) <= tier:
            alike += 1
        if alike - taken < _FAN - 1:
            return taken
        new += sum(sizes[taken:alike])
        taken = alike


def _tier(n: int) -> int:
    return (n.bit_length() - 1) // 3
