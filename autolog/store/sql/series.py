"""Summaries of metrics, made from appended points when a reader first needs them.

A run is dirty while `tail_no > clean_no`. Folding its new blobs into `series` happens under the
run's lock, so each blob is counted once. Who changes which points count, as an attempt whose
restored step becomes known, has to add one to `tail_no`: numbers of blobs may have gaps.
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping, Sequence
from typing import Any, Final

import numpy as np
from sqlalchemy import Connection, bindparam, select, update

from autolog.store.sql import blob
from autolog.store.sql.changes import Row
from autolog.store.sql.connect import writes
from autolog.store.sql.history import bodies_of
from autolog.store.sql.names import batched, insert
from autolog.store.sql.points import Part, Wanted, read_parts
from autolog.store.sql.schema import metadata
from autolog.store.sql.timeline import apart, current, restored_steps
from autolog.store.sql.values import real

__all__ = ["TIMELINE", "Summaries", "materialise", "record", "summarise"]

_run = metadata.tables["run"]
_tail = metadata.tables["tail"]
_series = metadata.tables["series"]

TIMELINE: Final = -1
"""`attempt` of the row that sums up what counts of several attempts."""

Summaries = dict[tuple[int, int, int, int], Row]
"""Rows of `series` by run, key, context and attempt."""

_BLOBS: Final = 64
"""How many blobs are fetched at once: a server's client would take all of them."""

_KEYS: Final = ("run_id", "key_id", "context_id", "attempt")
_OTHERS: Final = tuple(c.name for c in _series.columns if c.name not in _KEYS)
_EMPTY: Final[Row] = dict.fromkeys(
    (c.name for c in _series.columns if not c.nullable and c.name not in _KEYS), 0
)


def materialise(connection: Connection, run_ids: Sequence[int]) -> None:
    """Bring the series of these runs up to date, in a constant number of statements.

    In a transaction that may not write they stay as they are.
    """
    if not writes(connection):
        return
    dirty: list[Any] = []
    for piece in batched(run_ids):
        query = select(_run.c.id, _run.c.experiment_id, _run.c.tail_no, _run.c.clean_no)
        query = query.where(_run.c.id.in_(piece), _run.c.tail_no > _run.c.clean_no)
        dirty += connection.execute(query.order_by(_run.c.id).with_for_update())
    fresh: Summaries = {}
    for piece in batched([row.id for row in dirty]):
        query = (
            select(_tail.c.run_id, _tail.c.data)
            .join_from(_tail, _run, _run.c.id == _tail.c.run_id)
            .where(_run.c.id.in_(piece), _tail.c.no > _run.c.clean_no)
            .order_by(_tail.c.run_id, _tail.c.no)
            .execution_options(yield_per=_BLOBS)
        )
        for run_id, data in connection.execute(query):
            for block in blob.decode(data):
                summarise(fresh, run_id, block)
    record(connection, {row.id: (row, row.tail_no) for row in dirty}, fresh)


def summarise(into: Summaries, run_id: int, block: blob.Block) -> None:
    """Add the points of a block to summaries."""
    for key_id, summary in _of_block(block):
        place = (run_id, key_id, block.context, block.attempt)
        old = into.get(place)
        into[place] = summary if old is None else _merge(old, summary)


def record(connection: Connection, runs: Mapping[int, tuple[Any, int]], fresh: Summaries) -> None:
    """Merge summaries of blobs that were not counted yet into `series`.

    Args:
        connection: in a transaction that writes and has locked the runs.
        runs: by id: a row with `experiment_id`, `tail_no` and `clean_no`, and the number of the
            last blob that is counted now.
        fresh: the summaries of the blobs in between.
    """
    if not runs:
        return
    known = _existing(connection, [run_id for run_id, (row, _) in runs.items() if row.clean_no])
    before = {place: dict(row) for place, row in known.items()}
    for place, summary in fresh.items():
        known[place] = _merge(known[place], summary) if place in known else summary
    up_to_date = [run_id for run_id, (row, last) in runs.items() if last == row.tail_no]
    bodies = bodies_of(connection, {place[2] for place in known})
    system = apart(bodies)
    known |= _timelines(connection, known, up_to_date, system)
    _show(known, {number for number, body in bodies.items() if body.get("rank")}, system)
    rows = [
        dict(zip(_KEYS, place, strict=True))
        | summary
        | {"experiment_id": runs[place[0]][0].experiment_id}
        for place, summary in sorted(known.items())
        if place not in before or any(before[place][name] != summary[name] for name in summary)
    ]
    if rows:
        statement = insert(connection, _series)
        new = {name: statement.excluded[name] for name in _OTHERS}
        connection.execute(statement.on_conflict_do_update(index_elements=_KEYS, set_=new), rows)
    clean = [{"b_id": run_id, "b_no": last} for run_id, (_, last) in runs.items()]
    done = update(_run).where(_run.c.id == bindparam("b_id"))
    connection.execute(done.values(clean_no=bindparam("b_no")), clean)


def _timelines(
    connection: Connection, known: Summaries, run_ids: Sequence[int], system: set[int]
) -> Summaries:
    """Sum up what counts of metrics that a later attempt has gone over again.

    That depends on every point of them, so it is read again; few runs have several attempts.
    """
    restored = restored_steps(connection, run_ids)
    attempts: dict[tuple[int, int], set[int]] = {}
    for run_id, key_id, _, attempt in known:
        if attempt != TIMELINE:
            attempts.setdefault((run_id, key_id), set(restored.get(run_id, ()))).add(attempt)
    keys: dict[int, list[int]] = {run_id: [] for run_id in run_ids}
    for (run_id, key_id), several in attempts.items():
        if len(several) > 1 and run_id in keys:
            keys[run_id].append(key_id)
    found: Summaries = {}
    for run_id, several in keys.items():
        if several:
            for key_id, parts in read_parts(connection, run_id, Wanted(keys=several)):
                for part in current(parts, restored.get(run_id, {}), system):
                    place = (run_id, key_id, part.context, TIMELINE)
                    summary = _of_part(key_id, part)
                    found[place] = _merge(found[place], summary) if place in found else summary
    return found


def _of_part(key_id: int, part: Part) -> Row:
    if not len(part.step):
        return dict.fromkeys(_OTHERS, None) | _EMPTY
    block = blob.Block(
        context=part.context,
        attempt=part.attempt,
        keys=np.array([key_id], np.int64),
        seq=np.zeros(len(part.step), np.int64),
        step=part.step,
        wall_us=part.wall_us,
        values=part.value[:, np.newaxis],
    )
    [(_, summary)] = _of_block(block)
    return summary


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
    if not (a["n"] and b["n"]):
        return a if a["n"] else b
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


def _existing(connection: Connection, run_ids: Sequence[int]) -> Summaries:
    found: Summaries = {}
    for piece in batched(run_ids):
        query = select(_series).where(_series.c.run_id.in_(piece))
        for row in connection.execute(query).mappings():
            summary = {name: row[name] for name in _OTHERS}
            found[tuple(row[name] for name in _KEYS)] = summary  # type: ignore[index]
    return found


def _show(known: Summaries, ranked: set[int], system: set[int]) -> None:
    """Choose the series of each key that listings speak of.

    That is any rather than what was measured of the machine; then the newest attempt; then any
    rather than that of a rank above 0; then the newest point. Where there is a timeline, it stands
    for all attempts of its context.
    """
    newest: dict[tuple[int, int, int], int] = {}
    for *series, attempt in known:
        newest[tuple(series)] = max(attempt, newest.get(tuple(series), attempt))  # type: ignore[index]
    best: dict[tuple[int, int], tuple[Any, Row]] = {}
    for place, row in known.items():
        row["shown"] = False
        run_id, key_id, context_id, attempt = place
        timeline = known.get((run_id, key_id, context_id, TIMELINE))
        if not row["n"] or (timeline is not None and timeline is not row):
            continue
        attempt = newest[run_id, key_id, context_id]
        last = (row["last_us"], row["last_seq"], context_id)
        order = (context_id not in system, attempt, context_id not in ranked, *last)
        if (run_id, key_id) not in best or best[run_id, key_id][0] < order:
            best[run_id, key_id] = (order, row)
    for _, row in best.values():
        row["shown"] = True
