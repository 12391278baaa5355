"""Database files that have the schema already: copying one is quicker than migrating."""

from __future__ import annotations

import contextlib
import functools
import os
import tempfile
from pathlib import Path

from autolog.store import open_store
from autolog.store.location import DATABASE_NAME, locate


@functools.cache
def _empty() -> bytes:
    with tempfile.TemporaryDirectory() as folder:
        open_store(locate(folder), create=True).close()
        return Path(folder, DATABASE_NAME).read_bytes()


def make_migrated(database: Path) -> None:
    """Make an empty database with the newest schema, unless there is one; whole or not at all."""
    if database.exists():
        return
    copy = database.with_name(f"{database.name}.{os.getpid()}.copy")
    copy.write_bytes(_empty())
    with contextlib.suppress(FileExistsError):
        os.link(copy, database)
    copy.unlink()
