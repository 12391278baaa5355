"""Creates the schema of a database or brings it to the newest revision.

Alembic is imported only when there is something to do: it costs a third of a second.
"""

from __future__ import annotations

import contextlib
import sqlite3
from pathlib import Path
from typing import TYPE_CHECKING, Final

from autolog.errors import NewerStoreError, StoreError

if TYPE_CHECKING:
    from sqlalchemy import Connection

    from autolog.store.sql.connect import Database

__all__ = [
    "HEAD",
    "REVISIONS",
    "check_revision",
    "create_schema",
    "file_revision",
    "migrate",
    "read_revision",
    "upgrade_file",
    "upgrade_server",
]

REVISIONS: Final = ("0001", "0002")
"""Every schema revision that this version knows, oldest first."""

HEAD: Final = REVISIONS[-1]

_LOCK_SECONDS: Final = 120
_BUSY_SECONDS: Final = 30


def upgrade_file(path: Path, *, wal: bool) -> None:
    """Make sure that `path` is a database of revision `HEAD`; safe in many processes at once.

    A database of an older revision is copied to `<name>.before-<revision>` first.

    Raises:
        NewerStoreError: the database has a revision that this version does not know.
        StoreError: another process held the lock for two minutes.
    """
    if path.exists() and file_revision(path) == HEAD:
        return
    from filelock import FileLock, Timeout

    try:
        with FileLock(path.with_name(f"{path.name}.lock"), timeout=_LOCK_SECONDS):
            _upgrade_locked(path, wal)
    except Timeout:
        raise StoreError(
            f"another process has been upgrading {path} for {_LOCK_SECONDS} s;"
            f" if none does, remove {path}.lock and try again"
        ) from None


def _upgrade_locked(path: Path, wal: bool) -> None:
    revision = file_revision(path) if path.exists() else None
    if revision == HEAD:
        return
    if revision is not None:
        _copy(path, path.with_name(f"{path.name}.before-{HEAD}"))
    from autolog.store.sql.connect import create_file, open_file

    if revision is None:
        create_file(path, wal=wal)
    database = open_file(path)
    try:
        with database.write() as connection:
            migrate(connection)
    finally:
        database.close()


def create_schema(database: Database) -> None:
    """Make the tables of an empty database on a server; safe in many processes at once."""
    from autolog.store.sql.postgres import lock_schema, revision

    with database.write() as connection:
        lock_schema(connection)
        if revision(connection) is None:
            migrate(connection)


def upgrade_server(database: Database) -> tuple[str | None, str]:
    """Bring a database on a server to `HEAD` in one transaction; return before and after.

    Raises:
        NewerStoreError: the database has a revision that this version does not know.
    """
    from autolog.store.sql.postgres import lock_schema, revision

    with database.write() as connection:
        lock_schema(connection)
        before = revision(connection)
        check_revision(before, database.name)
        if before != HEAD:
            migrate(connection)
    return before, HEAD


def migrate(connection: Connection) -> None:
    """Run every missing migration inside the open transaction of `connection`."""
    from alembic import command
    from alembic.config import Config

    config = Config()
    config.set_main_option("script_location", "autolog.store.sql:migrations")
    config.attributes["connection"] = connection
    command.upgrade(config, HEAD)


def read_revision(connection: sqlite3.Connection) -> str | None:
    """Read the schema revision by plain SQL; None if there is no schema."""
    found = connection.execute(
        "SELECT 1 FROM sqlite_master WHERE type = 'table' AND name = 'alembic_version'"
    ).fetchone()
    row = found and connection.execute("SELECT version_num FROM alembic_version").fetchone()
    return str(row[0]) if row else None


def check_revision(revision: str | None, name: object, *, shared: bool = False) -> None:
    """Refuse a database of a newer autolog, and of an older one where others use it too.

    Raises:
        NewerStoreError: `revision` is unknown here.
        StoreError: the database is shared and has to be upgraded first.
    """
    if revision is not None and revision not in REVISIONS:
        raise NewerStoreError(
            f"{name} has schema revision {revision}, written by a newer autolog; this one knows"
            f" up to {HEAD}. Run: pip install -U autolog-ml"
        )
    if shared and revision not in (None, HEAD):
        raise StoreError(
            f"{name} has schema revision {revision}, this autolog works on {HEAD}. Others use it"
            " too, so nothing changes it on its own: run `autolog store upgrade` once."
            " What is logged meanwhile waits in journals."
        )


def file_revision(path: Path) -> str | None:
    """Read the schema revision of a database file; None if it has no schema.

    Raises:
        NewerStoreError: the revision is unknown here.
        StoreError: the file is no database, or damaged.
    """
    from autolog.store.sql.connect import explained

    with explained(path), contextlib.closing(_open(path)) as connection:
        revision = read_revision(connection)
    check_revision(revision, path)
    return revision


def _copy(path: Path, target: Path) -> None:
    from autolog.store.sql.connect import explained

    with (
        explained(path),
        contextlib.closing(_open(path)) as source,
        contextlib.closing(sqlite3.connect(target)) as copy,
    ):
        source.backup(copy)


def _open(path: Path) -> sqlite3.Connection:
    return sqlite3.connect(f"{path.as_uri()}?mode=rw", uri=True, timeout=_BUSY_SECONDS)
