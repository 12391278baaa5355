"""What is written to a run from outside its journals: events of readers, and converted models."""

from __future__ import annotations

import time
from typing import Any

import msgspec
from sqlalchemy import Connection, update

from autolog.entities import Event, Model
from autolog.store.sql.names import insert
from autolog.store.sql.schema import metadata
from autolog.store.sql.values import to_json

__all__ = ["put_event", "put_model"]

_run = metadata.tables["run"]
_event = metadata.tables["event"]


def put_model(connection: Connection, run_id: int, model: Model) -> None:
    """Write a model with its files, in place of one of the same name and format."""
    for file in model.files:
        row = msgspec.structs.asdict(file) | {"run_id": run_id}
        _put(connection, "artifact", row, "run_id", "path")
    row = {
        "run_id": run_id,
        "name": model.name,
        "format": model.format,
        "safe": model.safe,
        "size": model.size,
        "paths": to_json([file.path for file in model.files]),
        "manifest": to_json(model.manifest),
        "wall_us": time.time_ns() // 1000,
    }
    _put(connection, "model", row, "run_id", "name", "format")
    _touch(connection, run_id)


def put_event(connection: Connection, run_id: int, event: Event) -> None:
    """Append an event."""
    row = {
        "run_id": run_id,
        "kind": event.kind,
        "wall_us": event.time * 1000,
        "data": to_json(event.data),
    }
    connection.execute(_event.insert(), row)
    _touch(connection, run_id)


def _touch(connection: Connection, run_id: int) -> None:
    """Say that the run's document is out of date."""
    connection.execute(update(_run).where(_run.c.id == run_id).values(ver=_run.c.ver + 1))


def _put(connection: Connection, table: str, row: dict[str, Any], *keys: str) -> None:
    statement: Any = insert(connection, metadata.tables[table]).values(row)
    new = {name: value for name, value in row.items() if name not in keys}
    connection.execute(statement.on_conflict_do_update(index_elements=keys, set_=new))
