"""Copies of checkpoints that wait to be named by their digest.

Hashing a file costs as much as copying it, and most checkpoints are superseded by the next one. So
a copy waits beside the blobs, in a folder of its own with a note of what it is, and the ones that
are kept are hashed when their run ends, or when it is read by its own process. What a killed
process has left is taken up by the next reader.
"""

from __future__ import annotations

import contextlib
import secrets
from pathlib import Path
from typing import Any, Final

import msgspec

from autolog.artifacts.blobs import Blob, BlobFolder
from autolog.errors import AutologError

__all__ = ["NOTE", "Note", "discard", "list_waiting", "new_place", "reuse", "take", "write_note"]

NOTE: Final = ".note.json"
"""The file that says what a folder holds; one without it is not whole, or not needed any more."""


class Note(msgspec.Struct, frozen=True, kw_only=True):
    """What waits in a folder: a checkpoint of a run, the `number`-th of those with its label."""

    run_id: str
    label: str
    number: int
    format: str
    safe: bool
    manifest: dict[str, Any]


def new_place(folder: BlobFolder) -> Path:
    """Make a new folder for one checkpoint, on the disk of the blobs.

    Raises:
        OSError: it cannot be made.
    """
    place = _root(folder) / secrets.token_hex(16)
    place.mkdir(mode=0o700, parents=True)
    return place


def reuse(place: Path, file: str) -> None:
    """Empty a folder for the next checkpoint, but for a file that will be written over."""
    (place / NOTE).unlink(missing_ok=True)
    for path in place.iterdir():
        if path.name != file:
            path.unlink()


def write_note(place: Path, note: Note) -> None:
    """Say what a folder holds, once it is whole."""
    (place / NOTE).write_bytes(msgspec.json.encode(note))


def take(place: Path, folder: BlobFolder) -> dict[str, Blob]:
    """Move the files of a folder among the blobs, and return them by name.

    Raises:
        StoreError: one cannot be read or moved.
    """
    files = {path.name: folder.adopt(path) for path in sorted(place.iterdir()) if path.name != NOTE}
    discard(place)
    return files


def discard(place: Path) -> None:
    """Remove a folder with what is in it."""
    with contextlib.suppress(OSError):
        for path in place.iterdir():
            path.unlink()
        place.rmdir()


def list_waiting(folder: BlobFolder) -> list[tuple[Path, Note]]:
    """Return the folders that are whole, the oldest checkpoint of a label first."""
    found: list[tuple[Path, Note]] = []
    with contextlib.suppress(OSError):
        for place in _root(folder).iterdir():
            with contextlib.suppress(OSError, msgspec.MsgspecError, AutologError):
                note = msgspec.json.decode((place / NOTE).read_bytes(), type=Note)
                found.append((place, note))
    return sorted(found, key=lambda one: one[1].number)


def _root(folder: BlobFolder) -> Path:
    return folder.root / "tmp" / "checkpoints"
