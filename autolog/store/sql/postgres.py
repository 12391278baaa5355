"""Connections to a Postgres database, safe behind a pooler that changes them with each transaction.

Nothing is kept in a session: no prepared statements, no settings, and the only advisory locks are
those that end with their transaction.
"""

from __future__ import annotations

import os
from collections.abc import Callable
from typing import Final

from sqlalchemy import Connection, Engine, create_engine, make_url, text
from sqlalchemy.exc import ArgumentError, NoSuchModuleError
from sqlalchemy.pool import QueuePool

from autolog.errors import StoreError, UsageError
from autolog.store.location import Location
from autolog.store.sql.connect import Database

__all__ = ["lock_schema", "may_write", "open_server", "revision"]

_CONNECT_SECONDS: Final = 10
_engines: dict[tuple[int, str], Engine] = {}
_SCHEMA_LOCK: Final = 0x6175746F6C6F67
"""`autolog` in ASCII."""


def open_server(location: Location) -> Database:
    """Make an engine for the database at `location`; nothing is connected yet.

    Raises:
        StoreError: psycopg is not installed.
        UsageError: the address cannot be read.
    """

    def make() -> Engine:
        return create_engine(
            make_url(location.address).set(drivername="postgresql+psycopg"),
            poolclass=QueuePool,
            pool_size=2,
            connect_args={"connect_timeout": _CONNECT_SECONDS, "prepare_threshold": None},
        )

    try:
        engine = _kept(location.address, make)
    except ImportError as exc:
        raise StoreError(
            f"{location.uri} needs psycopg 3 ({exc}). Run: pip install 'autolog-ml[postgres]'"
        ) from exc
    except (ArgumentError, NoSuchModuleError, ValueError) as exc:
        raise UsageError(f"{location.uri} cannot be read as a database address: {exc}") from exc
    return Database(engine, location.uri)


def _kept(address: str, make: Callable[[], Engine]) -> Engine:
    """Return the engine of this process for an address; it keeps the statements it has compiled.

    Opening a store is part of every call that reads, and compiling took most of it. An engine that
    was disposed of connects anew when it is used again.
    """
    place = (os.getpid(), address)
    engine = _engines.get(place)
    if engine is None:
        engine = _engines.setdefault(place, make())
    return engine


def revision(connection: Connection) -> str | None:
    """Return the schema revision; None if there is no schema."""
    if connection.scalar(text("SELECT to_regclass('alembic_version')")) is None:
        return None
    found = connection.scalar(text("SELECT version_num FROM alembic_version"))
    return None if found is None else str(found)


def may_write(connection: Connection) -> bool:
    """Whether this user may store runs; the schema must be there."""
    query = (
        "SELECT has_table_privilege('tail', 'INSERT') AND has_table_privilege('run', 'UPDATE')"
        " AND NOT pg_is_in_recovery() AND current_setting('default_transaction_read_only') = 'off'"
    )
    return bool(connection.scalar(text(query)))


def lock_schema(connection: Connection) -> None:
    """Wait until no other transaction changes the schema; held until this transaction ends."""
    connection.execute(text(f"SELECT pg_advisory_xact_lock({_SCHEMA_LOCK})"))
