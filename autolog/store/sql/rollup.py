"""What the runs below a run came to: how many in which state, and how each metric spread."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Sequence
from typing import Any, Literal

import numpy as np
from numpy.typing import NDArray
from sqlalchemy import ColumnElement, Connection, and_, func, select

from autolog.entities import Phase
from autolog.store.answers import Rollup, Spread
from autolog.store.sql import tree
from autolog.store.sql.schema import metadata
from autolog.store.sql.series import materialise

__all__ = ["roll_up", "spreads"]

_run = metadata.tables["run"]
_key = metadata.tables["key"]
_series = metadata.tables["series"]


def roll_up(
    connection: Connection,
    uid: str,
    metrics: Iterable[str] | None,
    depth: Literal["children", "all"],
) -> Rollup:
    """Sum up the active runs below a run. The transaction must be one that writes."""
    of = tree.is_below(uid) if depth == "all" else _run.c.parent_uid == uid
    chosen = and_(of, _run.c.lifecycle == "active")
    counts = select(_run.c.status, _run.c.kind, func.count()).where(chosen)
    status: Counter[str] = Counter()
    kind: Counter[str] = Counter()
    for of_status, of_kind, n in connection.execute(counts.group_by(_run.c.status, _run.c.kind)):
        status[of_status] += n
        kind[of_kind] += n
    return Rollup(
        runs=status.total(),
        status=dict(status.most_common()),
        kind=dict(kind.most_common()),
        metrics=spreads(connection, chosen, metrics),
    )


def spreads(
    connection: Connection, chosen: ColumnElement[bool], metrics: Iterable[str] | None = None
) -> dict[str, Spread]:
    """Return how the last value of each metric spreads over the runs that a condition chooses.

    NaN counts as no value. The transaction must be one that writes.
    """
    dirty = select(_run.c.id).where(chosen, _run.c.tail_no > _run.c.clean_no)
    materialise(connection, list(connection.execute(dirty).scalars()))
    query = (
        select(_key.c.name, _run.c.uid, _run.c.name.label("run"), _series.c.last_value)
        .join_from(_series, _key, _key.c.id == _series.c.key_id)
        .join(_run, _run.c.id == _series.c.run_id)
        .where(chosen, _series.c.shown, _series.c.last_value.is_not(None))
    )
    if metrics is not None:
        query = query.where(_key.c.name.in_(list(metrics)))
    else:
        query = query.where(_series.c.context_id.not_in(_system_contexts()))
    values: dict[str, list[tuple[str, str, float]]] = {}
    for name, uid, run, value in connection.execute(query.order_by(_run.c.start_us, _run.c.id)):
        values.setdefault(name, []).append((uid, run, value))
    return {name: _spread(values[name]) for name in sorted(values)}


def _system_contexts() -> Any:
    """Select the contexts of what was measured of the machine: it is no result."""
    written = f'%"phase":"{Phase.SYSTEM.value}"%'
    return select(_key.c.id).where(_key.c.kind == "context", _key.c.name.like(written))


def _spread(found: Sequence[tuple[str, str, float]]) -> Spread:
    numbers: NDArray[np.float64] = np.array([value for _, _, value in found])
    low, high = found[int(numbers.argmin())], found[int(numbers.argmax())]
    with np.errstate(invalid="ignore", over="ignore"):
        return Spread(
            n=len(found),
            mean=float(numbers.mean()),
            std=float(numbers.std(ddof=1)) if len(found) > 1 else None,
            min=low[2],
            min_run=low[0],
            min_name=low[1],
            max=high[2],
            max_run=high[0],
            max_name=high[1],
        )
