"""The fold: what processes have journalled goes into the store, exactly once.

Any reader folds, before it reads, the journals of the living and of the dead alike. The cursor
moves in the data's own transaction, so readers may fold at once and be killed anywhere.
"""

from __future__ import annotations

import contextlib
import os
from collections.abc import Iterable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Final

from autolog import settings
from autolog.errors import StoreError
from autolog.journal.files import stand_in
from autolog.journal.lease import Lease
from autolog.journal.reader import Chunk, Cursor, Damage, WriterFiles, list_writers, read, removable
from autolog.journal.records import Header
from autolog.store import Store
from autolog.store.batch import Batch, WriterRow

__all__ = ["FoldReport", "fold"]

_MAX_BYTES: Final = 8 << 20
_RACES: Final = 1000
_sync = getattr(os, "fdatasync", os.fsync)


@dataclass(slots=True)
class FoldReport:
    """What a fold did. `writers` are those that had something new; `removed` counts files."""

    writers: int = 0
    records: int = 0
    points: int = 0
    buried: int = 0
    linked: int = 0
    removed: int = 0
    damage: list[Damage] = field(default_factory=list[Damage])


def fold(store: Store, *, journal: str | os.PathLike[str] | None = None) -> FoldReport:
    """Apply to `store` what its journals hold beyond its cursors.

    A run whose process is gone without an end record becomes KILLED. Damage is reported, kept as
    an event of the process, and stops nothing else. Files of which all was applied are deleted,
    unless the store may not be written.

    Args:
        store: where to.
        journal: the folder of journals; the store's own by default.

    Raises:
        StoreError: the database cannot be written. What was applied before stays.
    """
    folder = Path(journal) if journal is not None else store.location.journal
    # A folder that a setting names may hold journals of several stores.
    shared = journal is None and folder.parent != store.location.root
    report = FoldReport()
    known = store.writers()
    for files in list_writers(folder):
        try:
            _fold_writer(store, files, known.get(files.uid), shared, report)
        except StoreError:
            raise
        except Exception as exc:
            if settings.value("strict"):
                raise
            why = f"could not be folded: {type(exc).__name__}: {exc}"
            report.damage.append(Damage(files.segments[max(files.segments)], 0, 0, why))
    report.linked = store.link_parents()
    return report


def _fold_writer(
    store: Store, files: WriterFiles, known: WriterRow | None, shared: bool, report: FoldReport
) -> None:
    cursor = known.cursor if known else Cursor()
    state = known.state if known else "open"
    if state == "dead" and not _grown(files, cursor):
        _remove(store, files, cursor, "dead", report)
        return
    # Asked before reading: what a process wrote before it was seen dead is then read.
    header = files.header()
    lease = files.state()
    if shared and (header is None or header.store != store.uri):
        return
    if header is None or header.writer != files.uid:
        header = stand_in(files)
    if known is None or _grown(files, cursor):
        cursor, ended = _read_all(store, files, header, cursor, report)
    else:
        ended = state == "closed"
    if cursor == Cursor():
        return
    news = known is None or cursor != known.cursor
    if lease == "dead" or (ended and lease == "unknown"):
        if news or state != "dead":
            report.buried += store.bury(files.uid)
    elif lease == "unknown" and not ended and (news or state != "silent"):
        store.silence(files.uid)
    _remove(store, files, cursor, lease, report)


def _grown(files: WriterFiles, cursor: Cursor) -> bool:
    newest = max(files.segments)
    if newest != cursor.segment:
        return True
    try:
        return files.segments[newest].stat().st_size != cursor.offset
    except FileNotFoundError:  # another fold has removed it
        return False


def _read_all(
    store: Store,
    files: WriterFiles,
    header: Header,
    cursor: Cursor,
    report: FoldReport,
) -> tuple[Cursor, bool]:
    """Apply all that can be read now; return the cursor behind it and whether it ended there."""
    counted = False
    for _ in range(_RACES):
        chunk = read(files, cursor, max_bytes=_MAX_BYTES)
        if chunk.cursor == cursor and not chunk.damage:
            return cursor, chunk.ended
        if not chunk.ended:
            _sync_files(files, chunk, cursor)
        applied = store.apply(Batch(header, cursor, chunk))
        if not applied:
            cursor = store.cursor(files.uid)
            continue
        report.writers += not counted
        counted = True
        report.records += len(chunk.entries) + sum(len(points.seq) for points in chunk.points)
        report.points += sum(points.values.size for points in chunk.points)
        report.damage += chunk.damage
        cursor = chunk.cursor
        if not chunk.more:
            return cursor, chunk.ended
    raise StoreError(
        f"the journal {files.uid} could not be folded: other readers were always faster"
    )


def _sync_files(files: WriterFiles, chunk: Chunk, cursor: Cursor) -> None:
    """Make what was read safe against a loss of power before the store claims to have it."""
    for number, path in files.segments.items():
        if cursor.segment <= number <= chunk.cursor.segment:
            with contextlib.suppress(OSError), open(path, "rb") as file:
                _sync(file.fileno())


def _remove(
    store: Store, files: WriterFiles, cursor: Cursor, lease: Lease, report: FoldReport
) -> None:
    if not store.writable:
        return
    paths: Iterable[Path] = removable(files, cursor)
    if lease == "alive":
        # A run may still be open: without the file nobody could tell whether its process lives.
        last = files.segments[max(files.segments)]
        paths = [path for path in paths if path != last]
    paths = list(paths)
    if not paths:
        return
    store.sync()
    for path in paths:
        with contextlib.suppress(FileNotFoundError):
            path.unlink()
            report.removed += 1
