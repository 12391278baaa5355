"""Histories of metrics: their points in the order of step, then time, then arrival."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any, Literal

import numpy as np
from numpy.typing import NDArray
from sqlalchemy import Connection, select

from autolog.store.points import History
from autolog.store.sql.names import batched
from autolog.store.sql.points import Part, Wanted, read_parts
from autolog.store.sql.schema import metadata
from autolog.store.sql.timeline import apart, current, restored_steps
from autolog.store.sql.values import from_json

__all__ = ["Attempt", "Context", "bodies_of", "fitting", "read_histories", "read_history"]

_key = metadata.tables["key"]
_chunk = metadata.tables["chunk"]

Attempt = int | Literal["all"] | None
"""One attempt; all of them; or, None, what counts of all of them."""

Context = str | Mapping[str, Any] | None
"""A phase, or entries that a context must have."""


def read_history(
    connection: Connection,
    run_id: int,
    key_id: int,
    *,
    context: Context = None,
    attempt: Attempt = None,
    steps: tuple[int, int] | None = None,
) -> History | None:
    """Return the points of a metric; None if the run has none of it at all."""
    parts, bodies = _choose(connection, run_id, key_id, context, attempt, steps)
    if not bodies:
        return None
    restored = restored_steps(connection, [run_id]).get(run_id, {})
    return _join(_of_attempt(parts, attempt, restored, bodies), bodies, steps)


def _choose(
    connection: Connection,
    run_id: int,
    key_id: int,
    context: Context,
    attempt: Attempt,
    steps: tuple[int, int] | None,
) -> tuple[list[Part], dict[int, dict[str, Any]]]:
    """Read the parts of a metric that fit, and the contexts of all that there are."""
    contexts = None
    if context is not None:
        query = select(_chunk.c.context_id).where(
            _chunk.c.run_id == run_id, _chunk.c.key_id == key_id
        )
        found = set(connection.execute(query.distinct()).scalars())
        contexts = sorted(fitting(bodies_of(connection, found), context))
    number = attempt if isinstance(attempt, int) else None
    wanted = Wanted(keys=[key_id], contexts=contexts, attempt=number, steps=steps)
    parts = [part for _, some in read_parts(connection, run_id, wanted) for part in some]
    bodies = bodies_of(connection, {part.context for part in parts})
    chosen = fitting(bodies, context)
    return [part for part in parts if part.context in chosen], bodies


def read_histories(
    connection: Connection, run_id: int, keys: Mapping[int, str], attempt: Attempt = None
) -> Iterator[tuple[str, History]]:
    """Yield name and history of these metrics, one at a time."""
    restored = restored_steps(connection, [run_id]).get(run_id, {})
    bodies: dict[int, dict[str, Any]] = {}
    number = attempt if isinstance(attempt, int) else None
    wanted = Wanted(keys=list(keys), attempt=number)
    for key_id, parts in read_parts(connection, run_id, wanted):
        missing = {part.context for part in parts} - bodies.keys()
        if missing:
            bodies |= bodies_of(connection, missing)
        yield keys[key_id], _join(_of_attempt(parts, attempt, restored, bodies), bodies, None)


def _of_attempt(
    parts: list[Part],
    attempt: Attempt,
    restored: Mapping[int, int],
    bodies: Mapping[int, dict[str, Any]],
) -> list[Part]:
    if attempt is None:
        return current(parts, restored, apart(bodies))
    return parts if attempt == "all" else [part for part in parts if part.attempt == attempt]


def bodies_of(connection: Connection, ids: set[int]) -> dict[int, dict[str, Any]]:
    """Return contexts by id."""
    found: dict[int, dict[str, Any]] = {}
    for piece in batched(sorted(ids)):
        query = select(_key.c.id, _key.c.name).where(_key.c.id.in_(piece))
        found |= {row.id: from_json(row.name) for row in connection.execute(query)}
    return found


def fitting(bodies: Mapping[int, dict[str, Any]], context: Context) -> set[int]:
    """Return the ids of the contexts that have all that is asked for."""
    wanted = {"phase": context} if isinstance(context, str) else context or {}
    return {
        number
        for number, body in bodies.items()
        if all(body.get(name) == value for name, value in wanted.items())
    }


def _join(
    parts: list[Part], bodies: Mapping[int, dict[str, Any]], steps: tuple[int, int] | None
) -> History:
    # Equal times of several series have no order of arrival that outlives a seal.
    parts = sorted(parts, key=lambda part: (part.attempt, part.context))
    lengths = [len(part.step) for part in parts]
    step = _cat([part.step for part in parts], np.int64)
    wall_us = _cat([part.wall_us for part in parts], np.int64)
    numbers = sorted({part.context for part in parts})
    index = np.array([numbers.index(part.context) for part in parts], np.intp)
    columns: list[NDArray[Any]] = [
        step,
        _cat([part.value for part in parts], np.float64),
        wall_us,
        _cat([_epochs(part) for part in parts], np.float64),
        np.repeat(np.array([part.attempt for part in parts], np.int64), lengths),
        np.repeat(index, lengths),
    ]
    chosen: NDArray[Any] | None = None
    if steps is not None:
        chosen = np.flatnonzero((step >= steps[0]) & (step <= steps[1]))
        step, wall_us = step[chosen], wall_us[chosen]
    if not _ordered(step, wall_us):
        order = np.lexsort((wall_us, step))
        chosen = order if chosen is None else chosen[order]
    if chosen is not None:
        columns = [column[chosen] for column in columns]
    return History(*columns, contexts=tuple(bodies[number] for number in numbers))


def _ordered(step: NDArray[np.int64], wall_us: NDArray[np.int64]) -> bool:
    later = step[1:] > step[:-1]
    return bool(later.all()) or bool(
        (later | ((step[1:] == step[:-1]) & (wall_us[1:] >= wall_us[:-1]))).all()
    )


def _epochs(part: Part) -> NDArray[np.float64]:
    return np.full(len(part.step), np.nan) if part.epoch is None else part.epoch


def _cat(parts: list[NDArray[Any]], dtype: Any) -> NDArray[Any]:
    return np.concatenate(parts) if parts else np.empty(0, dtype)
