"""Takes everything of a run out of the database, in one state of it."""

from __future__ import annotations

import contextlib
import hashlib
from collections.abc import Generator, Iterable, Mapping, Sequence
from typing import Any, Final

from sqlalchemy import Connection, select

from autolog.entities import Artifact
from autolog.ids import new_id
from autolog.store.portrait import (
    Attempt,
    Happening,
    Input,
    Points,
    Portrait,
    SavedModel,
    State,
    Witness,
)
from autolog.store.sql.connect import Database
from autolog.store.sql.find import find_run
from autolog.store.sql.history import read_history
from autolog.store.sql.names import insert
from autolog.store.sql.schema import metadata
from autolog.store.sql.series import materialise
from autolog.store.sql.values import from_json, param_value

__all__ = [
    "ATTEMPT_FIELDS",
    "FIELDS",
    "WITNESS_FIELDS",
    "every_point",
    "identity",
    "portray",
    "take_out",
]

_meta = metadata.tables["meta"]
_run = metadata.tables["run"]
_experiment = metadata.tables["experiment"]
_writer = metadata.tables["writer"]
_process = metadata.tables["process"]
_key = metadata.tables["key"]
_param = metadata.tables["param"]
_tag = metadata.tables["tag"]
_event = metadata.tables["event"]
_artifact = metadata.tables["artifact"]
_model = metadata.tables["model"]
_dataset = metadata.tables["dataset"]
_input = metadata.tables["run_input"]
_attempt = metadata.tables["attempt"]
_series = metadata.tables["series"]

_ELSEWHERE: Final = ("experiment", "origin", "owner")
"""Fields of a state that are ids in the run's row."""

FIELDS: Final = {
    field: {"user": "user_name", "commit": "commit_id", "parent": "parent_uid"}.get(field, field)
    for field in State.__struct_fields__
    if field not in _ELSEWHERE
}
"""Columns of `run` by the fields of a state that they hold."""

WITNESS_FIELDS: Final = tuple(
    field for field in Witness.__struct_fields__ if field not in ("records", "events")
)
"""Fields of a witness that are columns of `writer` of the same name."""

ATTEMPT_FIELDS: Final = tuple(field for field in Attempt.__struct_fields__ if field != "writer")
"""Fields of an attempt that are columns of `attempt` of the same name."""


def identity(database: Database) -> str:
    """Return the id that tells this store from every other; made when it is first asked for.

    A guest, who can keep none, derives it from the oldest run.
    """
    query = select(_meta.c.value).where(_meta.c.key == "store")
    with database.read() as connection:
        known = connection.execute(query).scalar()
    if known is None and not database.may_write:
        first = select(_run.c.uid).order_by(_run.c.id).limit(1)
        with database.read() as connection:
            text = f"the store that begins with {connection.execute(first).scalar()}"
        return hashlib.sha256(text.encode()).hexdigest()[:32]
    if known is None:
        with database.write() as connection:
            row = {"key": "store", "value": new_id()}
            connection.execute(insert(connection, _meta).on_conflict_do_nothing(), row)
            known = connection.execute(query).scalar_one()
    return str(known)


@contextlib.contextmanager
def take_out(database: Database, ref: str) -> Generator[Portrait]:
    """Hold one state of the database, and the portrait of a run in it."""
    source = identity(database)
    while True:
        with database.read() as connection:
            row = find_run(connection, ref)
            if row.tail_no == row.clean_no:  # its series, and so its contexts, are known
                yield portray(connection, row, source)
                return
        with database.write() as connection:
            materialise(connection, [row.id])


def portray(connection: Connection, row: Any, source: str) -> Portrait:
    """Put together the portrait of a run from its row; points are read when they are asked for."""
    attempts = _rows_of_attempts(connection, row.id)
    writers = {row.origin_id, row.owner_id, *(attempt["writer_id"] for attempt in attempts)}
    known = sorted(number for number in writers if number is not None)
    witnesses = {number: _witness(connection, number) for number in known}
    experiment = select(_experiment.c.name).where(_experiment.c.id == row.experiment_id)
    origin, owner = witnesses.get(row.origin_id), witnesses.get(row.owner_id)
    state = State(
        **{field: row._mapping[column] for field, column in FIELDS.items()},  # noqa: SLF001
        origin=origin and origin.uid,
        owner=owner and owner.uid,
        experiment=connection.execute(experiment).scalar(),
    )
    params = _named(connection, _param, row.id, "json", "text")
    metrics = _series_of(connection, row.id, _series.c.key_id)
    contexts = _series_of(connection, row.id, _series.c.context_id)
    return Portrait(
        uid=row.uid,
        source=source,
        ver=row.ver,
        state=state,
        params={name: param_value(json, text) for name, json, text in params},
        tags=dict(_named(connection, _tag, row.id, "text")),
        events=_happenings(connection, _event.c.run_id == row.id),
        artifacts=_artifacts(connection, row.id),
        models=_models(connection, row.id),
        inputs=_inputs(connection, row.id),
        attempts=[_attempt_of(attempt, witnesses) for attempt in attempts],
        witnesses=list(witnesses.values()),
        contexts=[from_json(name) for name in contexts],
        metrics=metrics,
        points=_points(connection, row.id, metrics),
    )


def _points(
    connection: Connection, run_id: int, metrics: Iterable[str]
) -> Iterable[tuple[str, Points]]:
    for name in metrics:
        points = every_point(connection, run_id, name)
        if points is not None:
            yield name, points


def every_point(connection: Connection, run_id: int, metric: str) -> Points | None:
    """Return the points of all attempts and contexts; None if the run has no such metric."""
    key = select(_key.c.id).where(_key.c.kind == "metric", _key.c.name == metric)
    number = connection.execute(key).scalar()
    if number is None:
        return None
    history = read_history(connection, run_id, number, attempt="all")
    if history is None:
        return None
    return Points(
        step=history.step,
        value=history.value,
        timestamp=history.timestamp,
        epoch=history.epoch,
        attempt=history.attempt,
        context=history.context_index,
        contexts=list(history.contexts),
    )


def _series_of(connection: Connection, run_id: int, column: Any) -> list[str]:
    query = select(_key.c.name).distinct().join_from(_series, _key, _key.c.id == column)
    return sorted(connection.execute(query.where(_series.c.run_id == run_id)).scalars())


def _named(connection: Connection, table: Any, run_id: int, *columns: str) -> list[Any]:
    """Return (name of the key, columns...) of a table that is keyed by run and key, by name."""
    query = (
        select(_key.c.name, *(table.c[name] for name in columns))
        .join_from(table, _key, _key.c.id == table.c.key_id)
        .where(table.c.run_id == run_id)
    )
    return sorted(map(tuple, connection.execute(query)))


def _happenings(connection: Connection, which: Any) -> list[Happening]:
    query = select(_event.c.wall_us, _event.c.kind, _event.c.data).where(which)
    ordered = query.order_by(_event.c.wall_us, _event.c.id)
    return [Happening(*row) for row in connection.execute(ordered)]


def _artifacts(connection: Connection, run_id: int) -> list[Artifact]:
    query = select(_artifact.c.path, _artifact.c.size, _artifact.c.sha256, _artifact.c.uri)
    rows = connection.execute(query.where(_artifact.c.run_id == run_id))
    return sorted(
        (
            Artifact(path=path, size=size, sha256=sha256, uri=uri)
            for path, size, sha256, uri in rows
        ),
        key=lambda artifact: artifact.path,
    )


def _models(connection: Connection, run_id: int) -> list[SavedModel]:
    rows = connection.execute(select(_model).where(_model.c.run_id == run_id))
    models = [
        SavedModel(
            name=row.name,
            format=row.format,
            safe=row.safe,
            size=row.size,
            paths=from_json(row.paths),
            manifest=from_json(row.manifest),
            wall_us=row.wall_us,
        )
        for row in rows
    ]
    return sorted(models, key=lambda model: (model.name, model.format))


def _inputs(connection: Connection, run_id: int) -> list[Input]:
    query = (
        select(_input.c.role, _dataset.c.name, _dataset.c.profile)
        .join_from(_input, _dataset, _dataset.c.id == _input.c.dataset_id)
        .where(_input.c.run_id == run_id)
    )
    rows = sorted(map(tuple, connection.execute(query)))
    return [Input(role, name, from_json(profile)) for role, name, profile in rows]


def _rows_of_attempts(connection: Connection, run_id: int) -> Sequence[Any]:
    query = select(_attempt).where(_attempt.c.run_id == run_id).order_by(_attempt.c.attempt)
    return connection.execute(query).mappings().all()


def _attempt_of(row: Any, witnesses: Mapping[int, Witness]) -> Attempt:
    writer = witnesses.get(row["writer_id"])
    fields = {field: row[field] for field in ATTEMPT_FIELDS}
    return Attempt(**fields, writer=writer and writer.uid)


def _witness(connection: Connection, number: int) -> Witness:
    row = connection.execute(select(_writer).where(_writer.c.id == number)).mappings().one()
    records = select(_process.c.seq, _process.c.data).where(_process.c.writer_id == number)
    of_process = (_event.c.writer_id == number) & _event.c.run_id.is_(None)
    return Witness(
        **{field: row[field] for field in WITNESS_FIELDS},
        records=[(seq, data) for seq, data in connection.execute(records.order_by(_process.c.seq))],
        events=_happenings(connection, of_process),
    )
