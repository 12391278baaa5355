"""Opens a store: its database where it may be written, else a copy of it in memory."""

from __future__ import annotations

import contextlib
import os
import shutil
import sqlite3
import tempfile
from pathlib import Path

from autolog.errors import StoreError
from autolog.journal.filesystem import is_network
from autolog.store.location import Location, prepare
from autolog.store.sql.connect import Database, explained, inherited_locks, open_file, open_memory
from autolog.store.sql.schema import metadata
from autolog.store.sql.store import SqlStore
from autolog.store.sql.upgrade import (
    HEAD,
    check_revision,
    create_schema,
    file_revision,
    migrate,
    read_revision,
    upgrade_file,
    upgrade_server,
)

__all__ = ["open_sql", "upgrade"]


def open_sql(location: Location, *, write: bool, create: bool) -> SqlStore:
    """Open the database of `location`; see `autolog.store.open_store`."""
    path = location.database
    if path is None:
        return _on_server(location, write=write)
    if write and create:
        prepare(location)
    if write and _may_write(path, location.journal):
        upgrade_file(path, wal=not is_network(path.parent))
        return SqlStore(open_file(path), location, writable=True)
    return SqlStore(_in_memory(path), location, writable=False)


def upgrade(location: Location) -> tuple[str | None, str]:
    """Bring a database to the newest schema; see `autolog.store.upgrade_store`."""
    path = location.database
    if path is not None:
        before = file_revision(path) if path.exists() else None
        open_sql(location, write=True, create=True).close()
        return before, HEAD
    from autolog.store.sql.postgres import open_server

    database = open_server(location)
    try:
        return upgrade_server(database)
    finally:
        database.close()


def _on_server(location: Location, *, write: bool) -> SqlStore:
    from autolog.store.sql import postgres

    database = postgres.open_server(location)
    try:
        with database.read() as connection:
            revision = postgres.revision(connection)
            check_revision(revision, location.uri, shared=True)
            writable = write and (revision is None or postgres.may_write(connection))
        if revision is None:
            create_schema(database)
    except BaseException:
        database.close()
        raise
    database.may_write = writable
    return SqlStore(database, location, writable=writable)


def _may_write(path: Path, journal: Path) -> bool:
    """Whether to open the file. It is created where there is something to fold, not by looking."""
    if inherited_locks() or not os.access(path.parent, os.W_OK | os.X_OK):
        return False
    return os.access(path, os.R_OK | os.W_OK) if os.path.lexists(path) else os.path.isdir(journal)  # noqa: PTH112


def _in_memory(path: Path) -> Database:
    memory = sqlite3.connect(":memory:", isolation_level=None, check_same_thread=False)
    try:
        revision = _read_into(memory, path)
    except BaseException:
        memory.close()
        raise
    database = open_memory(memory)
    if revision != HEAD:
        with database.write() as connection:
            if revision is None:
                metadata.create_all(connection)
            else:
                migrate(connection)
    return database


def _read_into(memory: sqlite3.Connection, path: Path) -> str | None:
    """Copy the database, if there is one, and return its revision."""
    try:
        if not path.stat().st_size:
            return None
    except FileNotFoundError:
        return None
    except OSError as exc:
        raise StoreError(f"{path} cannot be read: {exc.strerror}. Check its permissions.") from exc
    with explained(path):
        _copy(path, memory)
        revision = read_revision(memory)
    check_revision(revision, path)
    return revision


def _copy(path: Path, memory: sqlite3.Connection) -> None:
    if not inherited_locks():
        # A database in WAL mode cannot be opened where its shared memory may not be created.
        with contextlib.suppress(sqlite3.OperationalError):
            uri = f"{path.as_uri()}?mode=ro"
            with contextlib.closing(sqlite3.connect(uri, uri=True)) as source:
                source.backup(memory)
            return
    with tempfile.TemporaryDirectory(prefix="autolog-") as folder:
        copy = Path(folder, path.name)
        for suffix in ("", "-wal"):
            source_file = path.with_name(path.name + suffix)
            if source_file.exists():
                shutil.copyfile(source_file, copy.with_name(copy.name + suffix))
        with contextlib.closing(sqlite3.connect(copy)) as source:
            source.backup(memory)
