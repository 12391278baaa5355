"""Runs as listings show them, each stored ready to read and made anew when its run has changed.

A page of runs is one query; only the stale documents among them are put together again, all at
once, in the transaction that also brings their metrics up to date.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Sequence
from typing import Any, Final, TypeVar

import msgspec
from sqlalchemy import ColumnElement, Connection, select

from autolog.entities import Run
from autolog.store.sql.connect import Database, writes
from autolog.store.sql.history import bodies_of
from autolog.store.sql.names import batched, insert
from autolog.store.sql.recipes import settle
from autolog.store.sql.schema import metadata
from autolog.store.sql.series import materialise
from autolog.store.sql.timeline import apart
from autolog.store.sql.tree import child_counts
from autolog.store.sql.values import from_json, param_value, to_json

__all__ = ["NO_EXPERIMENT", "document_columns", "finished", "load"]

_run = metadata.tables["run"]
_doc = metadata.tables["run_doc"]
_experiment = metadata.tables["experiment"]
_key = metadata.tables["key"]
_param = metadata.tables["param"]
_tag = metadata.tables["tag"]
_series = metadata.tables["series"]
_event = metadata.tables["event"]

_FORM: Final = 3
"""Changes with what a document holds; older ones are made anew."""

NO_EXPERIMENT: Final = "Default"
"""What a run is shown under while its RunOpen has not come."""


_MADE_AT_ONCE: Final = 1000
"""Runs whose documents one transaction makes anew."""

_T = TypeVar("_T")


class _Document(msgspec.Struct, array_like=True, frozen=True, omit_defaults=True):
    run: Run
    params: str | None = None
    """JSON of params with an integer beyond 64 bits, which msgpack has not."""


_encode = msgspec.msgpack.Encoder().encode
_decode = msgspec.msgpack.Decoder(_Document).decode


def document_columns() -> tuple[Any, ...]:
    """Return the columns that `finished` reads: of `run`, and of `run_doc` joined to it."""
    columns = (_run.c.id, _run.c.ver, _run.c.tail_no, _run.c.clean_no)
    return (*columns, _doc.c.ver.label("doc_ver"), _doc.c.form, _doc.c.data)


def load(
    database: Database, *conditions: ColumnElement[bool], limit: int | None = None
) -> list[Run]:
    """Return the runs that fulfil conditions on the table `run`, newest first."""
    joined = _run.outerjoin(_doc, _doc.c.run_id == _run.c.id)
    query = select(*document_columns()).select_from(joined).where(*conditions)
    query = query.order_by(_run.c.start_us.desc(), _run.c.uid.desc()).limit(limit)
    with database.read() as connection:
        rows = connection.execute(query).all()
    return finished(database, rows)


def finished(database: Database, rows: Sequence[Any]) -> list[Run]:
    """Return the runs of rows with `document_columns`, in their order."""
    stale = [row.id for row in rows if not _is_fresh(row)]
    made: dict[int, bytes] = {}
    for piece in batched(stale, _MADE_AT_ONCE):
        made |= database.transact(lambda connection, ids=piece: _made(connection, ids))
    # A run that was deleted in between has neither.
    found = [made.get(row.id) or row.data for row in rows]
    return [_read(data) for data in found if data is not None]


def _is_fresh(row: Any) -> bool:
    return row.doc_ver == row.ver and row.form == _FORM and row.tail_no == row.clean_no


def _read(data: bytes) -> Run:
    document = _decode(data)
    if document.params is None:
        return document.run
    return msgspec.structs.replace(document.run, params=from_json(document.params))


def _made(connection: Connection, run_ids: Sequence[int]) -> dict[int, bytes]:
    if writes(connection):
        # A document says which state of the run it shows: nobody may change the run meanwhile.
        for piece in batched(sorted(run_ids)):
            query = select(_run.c.id).where(_run.c.id.in_(piece)).order_by(_run.c.id)
            connection.execute(query.with_for_update())
        materialise(connection, run_ids)
    return _make(connection, run_ids)


def _make(connection: Connection, run_ids: Sequence[int]) -> dict[int, bytes]:
    params: dict[int, dict[str, Any]] = defaultdict(dict)
    for run_id, name, json_text, text in _named(connection, _param, run_ids, "json", "text"):
        params[run_id][name] = param_value(json_text, text)
    tags: dict[int, dict[str, str]] = defaultdict(dict)
    for run_id, name, text in _named(connection, _tag, run_ids, "text"):
        tags[run_id][name] = text
    metrics: dict[int, dict[str, float]] = defaultdict(dict)
    for run_id, name, value in _shown(connection, run_ids):
        metrics[run_id][name] = float("nan") if value is None else value
    errors = _logging_errors(connection, run_ids)
    if writes(connection):
        settle(connection, run_ids, params, tags)
    children = child_counts(connection, run_ids)
    rows: list[dict[str, Any]] = []
    for piece in batched(run_ids):
        query = select(_run, _experiment.c.name.label("experiment"))
        joined = _run.outerjoin(_experiment, _experiment.c.id == _run.c.experiment_id)
        found = connection.execute(query.select_from(joined).where(_run.c.id.in_(piece)))
        for row in found:
            run = _entity(row, _sorted(metrics[row.id]), _sorted(tags[row.id]), errors[row.id])
            run = msgspec.structs.replace(run, children=children.get(row.id, 0))
            data = _written(run, _sorted(params[row.id]))
            rows.append({"run_id": row.id, "ver": row.ver, "form": _FORM, "data": data})
    if rows and writes(connection):
        statement = insert(connection, _doc)
        new = {name: statement.excluded[name] for name in ("ver", "form", "data")}
        connection.execute(
            statement.on_conflict_do_update(index_elements=["run_id"], set_=new), rows
        )
    return {row["run_id"]: row["data"] for row in rows}


def _written(run: Run, params: dict[str, Any]) -> bytes:
    try:
        return _encode(_Document(msgspec.structs.replace(run, params=params)))
    except OverflowError:
        return _encode(_Document(run, to_json(params)))


def _sorted(values: dict[str, _T]) -> dict[str, _T]:
    """Order by name here: the databases do not agree on how text is ordered."""
    return dict(sorted(values.items()))


def _entity(row: Any, metrics: dict[str, float], tags: dict[str, str], errors: list[str]) -> Run:
    return Run(
        run_id=row.uid,
        name=row.name,
        kind=row.kind,
        status=row.status,
        experiment=row.experiment or NO_EXPERIMENT,
        user=row.user_name,
        host=row.host,
        source=row.source,
        commit=row.commit_id,
        dirty=row.dirty,
        parent_id=row.parent_uid,
        root_id=row.root_uid,
        depth=row.depth,
        start_time=row.start_us // 1000,
        end_time=None if row.end_us is None else row.end_us // 1000,
        metrics=metrics,
        tags=tags,
        logging_errors=errors,
        recipe=row.recipe,
    )


def _named(
    connection: Connection, table: Any, run_ids: Sequence[int], *columns: str
) -> Iterable[Any]:
    """Yield (run id, name of the key, columns...) of a table that is keyed by run and key."""
    names: dict[int, str] = {}
    for piece in batched(run_ids):
        query = select(table.c.run_id, table.c.key_id, *(table.c[name] for name in columns))
        rows = connection.execute(query.where(table.c.run_id.in_(piece))).all()
        unknown = {key_id for _, key_id, *_ in rows} - names.keys()
        for keys in batched(unknown):
            named = select(_key.c.id, _key.c.name).where(_key.c.id.in_(keys))
            names.update((number, name) for number, name in connection.execute(named))
        for run_id, key_id, *values in rows:
            yield run_id, names[key_id], *values


def _shown(connection: Connection, run_ids: Sequence[int]) -> list[tuple[int, str, float | None]]:
    """Return run, name and last value of each metric, without those of the machine."""
    rows = _named(connection, _series, run_ids, "last_value", "shown", "context_id")
    found = [row for row in rows if row[3]]
    perhaps = {context for _, name, _, _, context in found if name.startswith("system/")}
    system = apart(bodies_of(connection, perhaps))
    return [(run, name, value) for run, name, value, _, at in found if at not in system]


def _logging_errors(connection: Connection, run_ids: Sequence[int]) -> dict[int, list[str]]:
    errors: dict[int, list[str]] = defaultdict(list)
    for piece in batched(run_ids):
        query = select(_event.c.run_id, _event.c.data).where(
            _event.c.run_id.in_(piece), _event.c.kind.in_(("logging_error", "dropped"))
        )
        for run_id, data in connection.execute(query.order_by(_event.c.id)):
            body = from_json(data)
            errors[run_id].append(str(body.get("message", body)))
    return errors
