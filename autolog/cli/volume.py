"""How much room the parts of a store take on this machine's disk."""

from __future__ import annotations

import os
from pathlib import Path

from autolog.journal.files import list_writers
from autolog.store.location import Location

__all__ = ["database_bytes", "folder_volume", "journal_bytes", "journal_volume"]


def database_bytes(location: Location) -> int | None:
    """Return the size of an embedded database; None if a server has it."""
    database = location.database
    if database is None:
        return None
    # Two more files belong to a database that is open.
    return sum(_size(database.with_name(database.name + suffix)) for suffix in ("", "-wal", "-shm"))


def folder_volume(folder: Path) -> dict[str, int]:
    """Return how many `files` are in a folder and those below it, and their `bytes`."""
    files = [Path(place, name) for place, _, names in os.walk(folder) for name in names]
    return {"files": len(files), "bytes": sum(map(_size, files))}


def journal_volume(location: Location) -> dict[str, int]:
    """Return how many journal `files` there are, and their `bytes`: at most these are left."""
    found = [path for files in list_writers(location.journal) for path in files.segments.values()]
    return {"files": len(found), "bytes": sum(map(_size, found))}


def journal_bytes(location: Location) -> int:
    """Return the size of all journal files."""
    return journal_volume(location)["bytes"]


def _size(path: Path) -> int:
    try:
        return path.stat().st_size
    except OSError:  # another reader has removed it
        return 0
