"""Summaries of metrics, made from appended points when a reader first needs them.

A run is dirty while `tail_no > clean_no`. Folding its new blobs into `series` happens under the
run's lock, so each blob is counted once.
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Sequence
from typing import Any, Final

import numpy as np
from sqlalchemy import Connection, bindparam, select, update

from autolog.store.sql import blob
from autolog.store.sql.changes import Row
from autolog.store.sql.names import batched, insert
from autolog.store.sql.schema import metadata
from autolog.store.sql.values import from_json, real

__all__ = ["materialise"]

_run = metadata.tables["run"]
_key = metadata.tables["key"]
_tail = metadata.tables["tail"]
_series = metadata.tables["series"]

_Place = tuple[int, int, int, int]
"""run, key, context, attempt."""

_KEYS: Final = ("run_id", "key_id", "context_id", "attempt")
_OTHERS: Final = tuple(c.name for c in _series.columns if c.name not in _KEYS)


def materialise(connection: Connection, run_ids: Sequence[int]) -> None:
    """Bring the series of these runs up to date, in a constant number of statements.

    The transaction must be one that writes.
    """
    dirty: list[Any] = []
    for piece in batched(run_ids):
        query = select(_run.c.id, _run.c.experiment_id, _run.c.tail_no, _run.c.clean_no)
        query = query.where(_run.c.id.in_(piece), _run.c.tail_no > _run.c.clean_no)
        dirty += connection.execute(query.order_by(_run.c.id).with_for_update())
    if not dirty:
        return
    experiments = {row.id: row.experiment_id for row in dirty}
    fresh = _summaries(connection, list(experiments))
    known = _existing(connection, [row.id for row in dirty if row.clean_no])
    shown = {place for place, row in known.items() if row["shown"]}
    for place, summary in fresh.items():
        known[place] = _merge(known[place], summary) if place in known else summary
    _show(known, _ranked(connection, known))
    rows = [
        dict(zip(_KEYS, place, strict=True)) | summary | {"experiment_id": experiments[place[0]]}
        for place, summary in sorted(known.items())
        if place in fresh or summary["shown"] != (place in shown)
    ]
    if rows:
        statement = insert(connection, _series)
        new = {name: statement.excluded[name] for name in _OTHERS}
        connection.execute(statement.on_conflict_do_update(index_elements=_KEYS, set_=new), rows)
    clean = [{"b_id": row.id, "b_no": row.tail_no} for row in dirty]
    done = update(_run).where(_run.c.id == bindparam("b_id"))
    connection.execute(done.values(clean_no=bindparam("b_no")), clean)


def _summaries(connection: Connection, run_ids: Sequence[int]) -> dict[_Place, Row]:
    found: dict[_Place, Row] = {}
    for piece in batched(run_ids):
        query = (
            select(_tail.c.run_id, _tail.c.data)
            .join_from(_tail, _run, _run.c.id == _tail.c.run_id)
            .where(_run.c.id.in_(piece), _tail.c.no > _run.c.clean_no)
            .order_by(_tail.c.run_id, _tail.c.no)
        )
        for run_id, data in connection.execute(query):
            for block in blob.decode(data):
                for key_id, summary in _of_block(block):
                    place = (run_id, key_id, block.context, block.attempt)
                    old = found.get(place)
                    found[place] = summary if old is None else _merge(old, summary)
    return found


def _of_block(block: blob.Block) -> Iterable[tuple[int, Row]]:
    order = np.lexsort((block.seq, block.wall_us, block.step))
    ends: Row = {}
    for name, at in (("first", order[0]), ("last", order[-1])):
        ends[f"{name}_step"] = int(block.step[at])
        ends[f"{name}_us"] = int(block.wall_us[at])
        ends[f"{name}_seq"] = int(block.seq[at])
    values = block.values
    missing = np.isnan(values)
    with np.errstate(invalid="ignore", over="ignore"):
        low: Any = np.fmin.reduce(values, axis=0)  # type: ignore[reportUnknownMemberType]
        high: Any = np.fmax.reduce(values, axis=0)  # type: ignore[reportUnknownMemberType]
        columns = (
            block.keys.tolist(),
            missing.sum(axis=0).tolist(),
            values[order[0]].tolist(),
            values[order[-1]].tolist(),
            low.tolist(),
            high.tolist(),
            np.where(missing, 0.0, values).sum(axis=0).tolist(),
        )
    n = len(block.seq)
    for key_id, nans, first, last, least, most, total in zip(*columns, strict=True):
        yield (
            key_id,
            ends
            | {
                "n": n,
                "nan_count": nans,
                "first_value": real(first),
                "last_value": real(last),
                "min_value": real(least),
                "max_value": real(most),
                "sum_value": real(total),
                "shown": False,
            },
        )


def _merge(a: Row, b: Row) -> Row:
    first = min(a, b, key=lambda row: (row["first_step"], row["first_us"], row["first_seq"]))
    last = max(a, b, key=lambda row: (row["last_step"], row["last_us"], row["last_seq"]))
    merged: Row = {name: value for name, value in first.items() if name.startswith("first")}
    merged |= {name: value for name, value in last.items() if name.startswith("last")}
    totals = a["sum_value"], b["sum_value"]
    return merged | {
        "n": a["n"] + b["n"],
        "nan_count": a["nan_count"] + b["nan_count"],
        "min_value": min(_present(a["min_value"], b["min_value"]), default=None),
        "max_value": max(_present(a["max_value"], b["max_value"]), default=None),
        "sum_value": None if None in totals else real(sum(totals)),
        "shown": False,
    }


def _present(*values: float | None) -> list[float]:
    return [value for value in values if value is not None and not math.isnan(value)]


def _existing(connection: Connection, run_ids: Sequence[int]) -> dict[_Place, Row]:
    found: dict[_Place, Row] = {}
    for piece in batched(run_ids):
        query = select(_series).where(_series.c.run_id.in_(piece))
        for row in connection.execute(query).mappings():
            summary = {name: row[name] for name in _OTHERS}
            found[tuple(row[name] for name in _KEYS)] = summary  # type: ignore[index]
    return found


def _ranked(connection: Connection, places: Iterable[_Place]) -> set[int]:
    """Return the ids of the contexts that belong to one rank of several."""
    ids = {place[2] for place in places}
    ranked: set[int] = set()
    for piece in batched(ids):
        for number, name in connection.execute(
            select(_key.c.id, _key.c.name).where(_key.c.id.in_(piece))
        ):
            if from_json(name).get("rank"):
                ranked.add(number)
    return ranked


def _show(known: dict[_Place, Row], ranked: set[int]) -> None:
    """Choose the series of each key that listings speak of.

    That is the newest attempt; then any rather than that of a rank above 0; then the newest point.
    """
    best: dict[tuple[int, int], tuple[Any, _Place]] = {}
    for place, row in known.items():
        row["shown"] = False
        run_id, key_id, context_id, attempt = place
        order = (attempt, context_id not in ranked, row["last_us"], row["last_seq"], context_id)
        if (run_id, key_id) not in best or best[run_id, key_id][0] < order:
            best[run_id, key_id] = (order, place)
    for _, place in best.values():
        known[place]["shown"] = True
