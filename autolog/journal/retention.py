"""Which journal files may be deleted, and which are kept although all of them was read."""

from __future__ import annotations

from io import FileIO
from pathlib import Path

import msgspec

from autolog.journal.files import HEADER_BYTES, WriterFiles, read_header
from autolog.journal.lease import locked, this_process
from autolog.journal.reader import Cursor

__all__ = ["keeping", "removable"]


def removable(files: WriterFiles, cursor: Cursor) -> list[Path]:
    """Return the files of which nothing is left to read once `cursor` is safely stored.

    That is every segment closed in order and wholly before the cursor, and the last one of a
    writer that died on this boot. A file with damage, or with anything behind the cursor, never.
    """
    known = cursor.definitions()
    paths: list[Path] = []
    for number in sorted(files.segments):
        path = files.segments[number]
        if number > cursor.segment:
            break
        if number in known.kept and not _repaired(path):
            continue
        if number < cursor.segment or (_at_end(path, cursor) and (known.closed or _died(files))):
            paths.append(path)
    return paths


def keeping(cursor: Cursor, segment: int) -> Cursor:
    """Return `cursor` with a note that the file of `segment` is not to be removed."""
    known = cursor.definitions()
    known.kept = sorted({*known.kept, segment})
    return msgspec.structs.replace(cursor, dictionary=msgspec.msgpack.encode(known))


def _repaired(path: Path) -> bool:
    """Whether what was damaged in the file has been set aside."""
    try:
        with FileIO(path) as file:
            header = read_header(file.read(HEADER_BYTES))
    except OSError:
        return False
    return isinstance(header, tuple) and header[0].repaired_us > 0


def _at_end(path: Path, cursor: Cursor) -> bool:
    try:
        return path.stat().st_size == cursor.offset
    except OSError:
        return False


def _died(files: WriterFiles) -> bool:
    header = files.header()
    return (
        header is not None
        and header.boot == this_process().boot
        and files.state() == "dead"
        and locked(files.segments[max(files.segments)]) is False
    )
