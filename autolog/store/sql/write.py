"""Writes what a batch has changed, in a number of statements that no run or record adds to."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any, Final

from sqlalchemy import Connection, Table, bindparam, select, update

from autolog.store.sql.changes import Changes, Row
from autolog.store.sql.names import batched, insert
from autolog.store.sql.schema import metadata
from autolog.store.sql.values import ParamColumns

__all__ = ["write_changes"]

_run = metadata.tables["run"]
_series = metadata.tables["series"]
_param = metadata.tables["param"]
_span = metadata.tables["span"]

_KEPT: Final = {"id", "uid", "root_uid", "depth", "clean_no", "lifecycle", "deleted_us"}
"""Columns of a run that a batch does not change."""

_MUTABLE: Final = tuple(column.name for column in _run.columns if column.name not in _KEPT)


# Made once: it has as many parameters as a run has columns, and making it took 1 ms.
_SET_RUN: Final = (
    update(_run)
    .where(_run.c.id == bindparam("b_id"))
    .values({name: bindparam(f"b_{name}", type_=_run.c[name].type) for name in _MUTABLE})
)


def write_changes(connection: Connection, changes: Changes) -> None:
    """Write everything but points and the cursor."""
    _write_runs(connection, changes)
    changes.attempts.write(connection)
    _write_params(connection, changes)
    _add(connection, "process", changes.processes)
    tags = [{"run_id": r, "key_id": k, "text": text} for (r, k), text in changes.tags.items()]
    _put(connection, "tag", tags, "text")
    artifacts = changes.artifacts.values()
    _put(connection, "artifact", artifacts, "size", "sha256", "uri")
    models = changes.models.values()
    _put(connection, "model", models, "safe", "size", "paths", "manifest", "wall_us")
    inputs = [{"run_id": r, "dataset_id": d, "role": role} for r, d, role in changes.inputs]
    _add(connection, "run_input", inputs)
    _put(connection, "span", changes.spans.values(), "close_us")
    _close_spans(connection, changes)
    _add(connection, "event", changes.events)


def _write_runs(connection: Connection, changes: Changes) -> None:
    rows: list[Row] = []
    for run in sorted(changes.runs.values(), key=lambda run: run["id"]):
        run["ver"] += 1
        rows.append({"b_id": run["id"]} | {f"b_{name}": run[name] for name in _MUTABLE})
    if rows:
        connection.execute(_SET_RUN, rows)
    moved = [
        {"b_id": run["id"], "b_experiment": run["experiment_id"]}
        for run in changes.runs.values()
        if run["id"] in changes.moved and run["clean_no"]
    ]
    if moved:
        mine = update(_series).where(_series.c.run_id == bindparam("b_id"))
        connection.execute(mine.values(experiment_id=bindparam("b_experiment")), moved)


def _write_params(connection: Connection, changes: Changes) -> None:
    """Insert params; the first value of a key stays, a different later one becomes an event."""
    if not changes.params:
        return
    rows = [
        {"run_id": run_id, "key_id": key_id} | columns._asdict()
        for (run_id, key_id), columns in changes.params.items()
    ]
    statement = insert(connection, _param).on_conflict_do_nothing()
    if connection.execute(statement, rows).rowcount == len(rows):
        return
    uids = {run["id"]: run for run in changes.runs.values()}
    names = changes.names.by_id("param")
    for place, kept in _stored(connection, changes.params):
        given = changes.params[place]
        if kept != given:
            run_id, key_id = place
            changes.conflict(uids[run_id], "param", names[key_id], kept.text, given.text)


def _stored(
    connection: Connection, wanted: Iterable[tuple[int, int]]
) -> Iterable[tuple[tuple[int, int], ParamColumns]]:
    by_run: dict[int, list[int]] = {}
    for run_id, key_id in wanted:
        by_run.setdefault(run_id, []).append(key_id)
    c = _param.c
    for run_id, key_ids in by_run.items():
        for piece in batched(key_ids):
            query = select(c.key_id, c.type, c.json, c.num, c.text)
            query = query.where(c.run_id == run_id, c.key_id.in_(piece))
            for key_id, *columns in connection.execute(query):
                yield (run_id, key_id), ParamColumns(*columns)


def _close_spans(connection: Connection, changes: Changes) -> None:
    if not changes.closed_spans:
        return
    ended = [{"b_span": span, "b_us": us} for span, us in changes.closed_spans.items()]
    mine = update(_span).where(
        _span.c.writer_id == changes.writer["id"], _span.c.span == bindparam("b_span")
    )
    connection.execute(mine.values(close_us=bindparam("b_us")), ended)


def _add(connection: Connection, table: str, rows: Iterable[Row]) -> None:
    rows = list(rows)
    if rows:
        statement = insert(connection, metadata.tables[table]).on_conflict_do_nothing()
        connection.execute(statement, rows)


def _put(connection: Connection, table: str, rows: Iterable[Row], *columns: str) -> None:
    """Insert rows; where one is there, the new values of `columns` replace the old."""
    rows = list(rows)
    if rows:
        target: Table = metadata.tables[table]
        statement: Any = insert(connection, target)
        new = {name: statement.excluded[name] for name in columns}
        keys = [column.name for column in target.primary_key]
        connection.execute(statement.on_conflict_do_update(index_elements=keys, set_=new), rows)
