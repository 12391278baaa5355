"""Everything of one run that is too long for a listing."""

from __future__ import annotations

from typing import Any

import msgspec
from sqlalchemy import Connection, and_, or_, select

from autolog.entities import Artifact, Attempt, DatasetInput, Event, Model, Run, RunDetails, Status
from autolog.journal.records import Process
from autolog.store.sql.schema import metadata
from autolog.store.sql.values import from_json

__all__ = ["details"]

_run = metadata.tables["run"]
_writer = metadata.tables["writer"]
_process = metadata.tables["process"]
_event = metadata.tables["event"]
_artifact = metadata.tables["artifact"]
_model = metadata.tables["model"]
_attempt = metadata.tables["attempt"]
_dataset = metadata.tables["dataset"]
_input = metadata.tables["run_input"]


def details(connection: Connection, row: Any, run: Run) -> RunDetails:
    """Put together the details of a run from its row and its listing."""
    process = _known(connection, row)
    artifacts = _artifacts(connection, row.id)
    return RunDetails(
        run=run,
        description=row.description,
        argv=process.argv,
        cwd=process.cwd,
        branch=row.branch,
        python=process.python,
        packages=process.packages,
        environment=process.details,
        exit_code=row.exit_code,
        error=row.error,
        attempt=row.attempt,
        silent_since=_silent_since(connection, row),
        artifacts=list(artifacts.values()),
        models=_models(connection, row.id, artifacts),
        inputs=_inputs(connection, row.id),
        events=_events(connection, row),
        children=_children(connection, row.uid),
        lifecycle=row.lifecycle,
        attempts=_attempts(connection, row),
    )


def _known(connection: Connection, row: Any) -> Process:
    """Return what the run's process said before it opened, completed by what it said later."""
    if row.origin_id is None:
        return Process()
    query = select(_process.c.data).where(
        _process.c.writer_id == row.origin_id, _process.c.seq >= (row.process_seq or 0)
    )
    known: dict[str, Any] = {}
    for data in connection.execute(query.order_by(_process.c.seq)).scalars():
        for name, value in from_json(data).items():
            earlier = known.get(name)
            if isinstance(earlier, dict) and isinstance(value, dict):
                known[name] = {**value, **earlier}
            elif not earlier:
                known[name] = value
    return msgspec.convert(known, Process)


def _silent_since(connection: Connection, row: Any) -> int | None:
    if row.status != Status.RUNNING.value or row.owner_id is None:
        return None
    query = select(_writer.c.last_us).where(
        _writer.c.id == row.owner_id, _writer.c.state == "silent"
    )
    last_us = connection.execute(query).scalar()
    return None if last_us is None else last_us // 1000


def _artifacts(connection: Connection, run_id: int) -> dict[str, Artifact]:
    query = select(_artifact).where(_artifact.c.run_id == run_id).order_by(_artifact.c.path)
    return {
        row.path: Artifact(path=row.path, size=row.size, sha256=row.sha256, uri=row.uri)
        for row in connection.execute(query)
    }


def _models(connection: Connection, run_id: int, artifacts: dict[str, Artifact]) -> list[Model]:
    query = select(_model).where(_model.c.run_id == run_id).order_by(_model.c.wall_us)
    return [
        Model(
            name=row.name,
            format=row.format,
            safe=row.safe,
            size=row.size,
            files=[artifacts[path] for path in from_json(row.paths) if path in artifacts],
            manifest=from_json(row.manifest),
        )
        for row in connection.execute(query)
    ]


def _inputs(connection: Connection, run_id: int) -> list[DatasetInput]:
    query = (
        select(_dataset.c.name, _input.c.role, _dataset.c.profile)
        .join_from(_input, _dataset, _dataset.c.id == _input.c.dataset_id)
        .where(_input.c.run_id == run_id)
        .order_by(_input.c.role, _dataset.c.name)
    )
    return [
        DatasetInput(name=row.name, role=row.role, profile=from_json(row.profile))
        for row in connection.execute(query)
    ]


def _events(connection: Connection, row: Any) -> list[Event]:
    """Return the events of the run and those of its processes, in order of time."""
    writers = [number for number in (row.origin_id, row.owner_id) if number is not None]
    of_process = and_(_event.c.run_id.is_(None), _event.c.writer_id.in_(writers))
    query = select(_event).where(or_(_event.c.run_id == row.id, of_process))
    return [
        Event(kind=row.kind, time=row.wall_us // 1000, data=from_json(row.data))
        for row in connection.execute(query.order_by(_event.c.wall_us, _event.c.id))
    ]


def _children(connection: Connection, uid: str) -> list[str]:
    query = select(_run.c.uid).where(_run.c.parent_uid == uid, _run.c.lifecycle == "active")
    return list(connection.execute(query.order_by(_run.c.start_us, _run.c.uid)).scalars())


def _attempts(connection: Connection, row: Any) -> list[Attempt]:
    query = (
        select(_attempt, _writer.c.host, _writer.c.pid)
        .select_from(_attempt.outerjoin(_writer, _writer.c.id == _attempt.c.writer_id))
        .where(_attempt.c.run_id == row.id)
        .order_by(_attempt.c.attempt)
    )
    found: list[Attempt] = []
    for one in connection.execute(query):
        end = row if one.attempt == row.attempt else one  # the newest one ends with its run
        found.append(
            Attempt(
                number=one.attempt,
                status=end.status,
                start=one.start_us // 1000,
                end=None if end.end_us is None else end.end_us // 1000,
                host=one.host,
                pid=one.pid,
                restored_step=one.restored_step,
                reason="its process was gone" if end.ended_by == "lease" else end.error,
            )
        )
    return found
