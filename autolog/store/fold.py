"""The fold: what processes have journalled goes into the store, exactly once.

Any reader folds, before it reads, the journals of the living and of the dead alike. The cursor
moves in the data's own transaction, so readers may fold at once and be killed anywhere.
"""

from __future__ import annotations

import contextlib
import math
import os
import time
from collections.abc import Callable, Iterable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Final

import msgspec

from autolog import settings
from autolog.errors import RefusedError, StoreError
from autolog.journal import beats
from autolog.journal.files import WriterFiles, list_writers, stand_in
from autolog.journal.lease import Lease
from autolog.journal.reader import Chunk, Cursor, Damage, read
from autolog.journal.records import Header, RunOpen
from autolog.journal.retention import keeping, removable
from autolog.store import Store
from autolog.store.batch import Batch, WriterRow

__all__ = ["FoldReport", "behind", "bytes_behind", "fold"]

_MAX_BYTES: Final = 8 << 20
_RACES: Final = 1000
_GLANCE: Final = 1 << 15
_SEAL_EVERY: Final = 1 << 20
"""So many new points later long series are sealed, while their blobs are still in memory."""
_SEAL_MORE: Final = 1 << 18
"""So many points left by earlier folds are sealed with each fold (0.1 s)."""
_sync = getattr(os, "fdatasync", os.fsync)


@dataclass(slots=True)
class FoldReport:
    """What a fold did.

    `writers` are those that had something new; `removed` counts files; `sealed` counts points,
    those of earlier folds included; `runs` are the ids of runs of which something was taken;
    `cursors` say of each writer that has files up to which
    segment and offset the store has taken them.
    """

    writers: int = 0
    records: int = 0
    points: int = 0
    buried: int = 0
    lost: int = 0
    linked: int = 0
    removed: int = 0
    sealed: int = 0
    runs: set[str] = field(default_factory=set[str])
    cursors: dict[str, tuple[int, int]] = field(default_factory=dict[str, "tuple[int, int]"])
    damage: list[Damage] = field(default_factory=list[Damage])


def fold(
    store: Store,
    *,
    journal: str | os.PathLike[str] | None = None,
    progress: Callable[[int], None] | None = None,
) -> FoldReport:
    """Apply to `store` what its journals hold beyond its cursors.

    A run whose process is gone without an end record becomes KILLED. Damage is reported, kept as
    an event of the process, and stops nothing else, nor does a record that the database refuses.
    Files of which all was applied are deleted, unless the store may not be written. Nothing happens
    to a server that this user may only read.

    Args:
        store: where to.
        journal: the folder of journals; the store's own by default.
        progress: called with the number of bytes of each stretch that was taken.

    Raises:
        StoreError: the database cannot be written. What was applied before stays.
    """
    folder = Path(journal) if journal is not None else store.location.journal
    # A folder that a setting names may hold journals of several stores.
    shared = journal is None and folder.parent != store.location.root
    report = FoldReport()
    work = _Folding(store, shared, report, progress or _ignore)
    began_us = time.time_ns() // 1000
    found = list_writers(folder)
    if not store.takes_batches:
        return report
    known = store.writers(files.uid for files in found) if found else {}
    for files in _in_order(found, known):
        try:
            work.writer(files, known.get(files.uid))
        except StoreError:
            raise
        except Exception as exc:
            if settings.value("strict"):
                raise
            why = f"could not be folded: {type(exc).__name__}: {exc}"
            report.damage.append(Damage(files.segments[max(files.segments)], 0, 0, why))
    due = store.due()
    if due.parents:
        report.linked = store.link_parents(began_us)
    if due.seal:
        report.sealed += store.seal(report.points - report.sealed + _SEAL_MORE)
    if due.silent:
        report.lost = store.judge_silent()
    return report


def _in_order(found: list[WriterFiles], known: dict[str, WriterRow]) -> list[WriterFiles]:
    """Put writers in the order in which they open their next runs, those that open none last.

    Whoever joins a run or takes it over does so after its beginning, and what a process logs
    without having opened the run belongs to the attempt that had begun then.
    """
    if len(found) < 2:
        return found

    def next_open(files: WriterFiles) -> float:
        cursor = known[files.uid].cursor if files.uid in known else Cursor()
        with contextlib.suppress(OSError):
            for entry in read(files, cursor, max_bytes=_GLANCE).entries:
                if isinstance(entry.record, RunOpen):
                    return entry.record.start_us
        return math.inf

    return sorted(found, key=next_open)


def behind(store: Store) -> int:
    """Return how many bytes of the store's journals lie behind its cursors."""
    writers = list_writers(store.location.journal)
    known = store.writers(files.uid for files in writers)
    return sum(
        bytes_behind(files, known[files.uid].cursor if files.uid in known else Cursor())
        for files in writers
    )


def bytes_behind(files: WriterFiles, cursor: Cursor) -> int:
    """Return how many bytes of a writer's files lie behind a cursor."""
    newest = max(files.segments)
    try:
        end = files.segments[newest].stat().st_size
    except OSError:  # taken and removed by another reader
        return 0
    return max(_passed(files, cursor, Cursor(newest, end)), 0)


def _ignore(_: int) -> None:
    pass


class _Folding:
    """One call of `fold`."""

    def __init__(
        self, store: Store, shared: bool, report: FoldReport, progress: Callable[[int], None]
    ) -> None:
        self.store = store
        self.shared = shared
        self.report = report
        self.progress = progress

    def writer(self, files: WriterFiles, known: WriterRow | None) -> None:
        """Take what one writer has journalled since the store's cursor."""
        cursor = known.cursor if known else Cursor()
        state = known.state if known else "open"
        if state == "dead" and not _grown(files, cursor):
            self._done(files, cursor, "dead")
            return
        # Asked before reading: what a process wrote before it was seen dead is then read.
        header = files.header()
        lease = files.state()
        if self.shared and (header is None or header.store != self.store.uri):
            return
        if header is None or header.writer != files.uid:
            header = stand_in(files)
        if known is None or _grown(files, cursor):
            cursor, ended = self._read_all(files, header, cursor)
        else:
            ended = state == "closed"
        if cursor == Cursor():
            return
        news = known is None or cursor != known.cursor
        if lease == "dead" or (ended and lease == "unknown"):
            if news or state != "dead":
                self.report.buried += self.store.bury(files.uid)
        elif lease == "unknown" and not ended:
            self._hear(files, news or state != "silent")
        self._done(files, cursor, lease)

    def _hear(self, files: WriterFiles, silent: bool) -> None:
        """Keep when a writer of which nothing can be known from here last gave a sign of life."""
        beat = None if self.store.location.remote else beats.last(files)
        if beat is not None:
            self.store.beat([files.uid], beat.every, beat.ago)
        elif silent:
            self.store.silence(files.uid)

    def _done(self, files: WriterFiles, cursor: Cursor, lease: Lease) -> None:
        self.report.cursors[files.uid] = (cursor.segment, cursor.offset)
        _remove(self.store, files, cursor, lease, self.report)

    def _read_all(self, files: WriterFiles, header: Header, cursor: Cursor) -> tuple[Cursor, bool]:
        """Apply all that can be read now; return the cursor behind it, and whether all ended."""
        counted = False
        size = _MAX_BYTES
        lost_races = 0
        while lost_races < _RACES:
            chunk = read(files, cursor, max_bytes=size)
            if chunk.cursor == cursor and not chunk.damage:
                return cursor, chunk.ended
            if not chunk.ended:
                _sync_files(files, chunk, cursor)
            try:
                applied = self.store.apply(Batch(header, cursor, chunk))
            except RefusedError as refusal:
                if len(chunk.entries) + len(chunk.points) > 1 or size > 1:
                    size = size // 16 or 1  # until the record stands alone
                    continue
                chunk = _set_aside(files, cursor, chunk, refusal)
                applied = self.store.apply(Batch(header, cursor, chunk))
            if not applied:
                lost_races += 1
                cursor = self.store.cursor(files.uid)
                continue
            self._count(chunk, counted)
            counted = True
            if self.report.points - self.report.sealed >= _SEAL_EVERY:
                self.report.sealed += self.store.seal(_SEAL_EVERY)
            self.progress(_passed(files, cursor, chunk.cursor))
            cursor = chunk.cursor
            if not chunk.more:
                return cursor, chunk.ended
            size = min(16 * size, _MAX_BYTES)
        raise StoreError(
            f"the journal {files.uid} could not be folded: other readers were always faster"
        )

    def _count(self, chunk: Chunk, counted: bool) -> None:
        report = self.report
        report.writers += not counted
        report.records += len(chunk.entries) + sum(len(points.seq) for points in chunk.points)
        report.points += sum(points.values.size for points in chunk.points)
        report.damage += chunk.damage
        report.runs.update(entry.run_uid for entry in chunk.entries if entry.run_uid is not None)
        report.runs.update(points.run_uid for points in chunk.points)


def _grown(files: WriterFiles, cursor: Cursor) -> bool:
    newest = max(files.segments)
    if newest != cursor.segment:
        return True
    try:
        return files.segments[newest].stat().st_size != cursor.offset
    except FileNotFoundError:  # another fold has removed it
        return False


def _set_aside(files: WriterFiles, cursor: Cursor, chunk: Chunk, refusal: RefusedError) -> Chunk:
    """Turn a record that the database refuses into damage: its file is kept, the rest goes on."""
    path = files.segments[chunk.cursor.segment]
    start = cursor.offset if cursor.segment == chunk.cursor.segment else 0
    length = chunk.cursor.offset - start
    refused = Damage(path, start, length, f"refused by the database: {refusal}")
    kept = keeping(chunk.cursor, chunk.cursor.segment)
    return msgspec.structs.replace(
        chunk, entries=[], points=[], cursor=kept, damage=[*chunk.damage, refused]
    )


def _passed(files: WriterFiles, before: Cursor, after: Cursor) -> int:
    """Return how many bytes of files that are still there lie between two cursors."""
    total = after.offset
    for number, path in files.segments.items():
        if before.segment <= number < after.segment:
            with contextlib.suppress(OSError):
                total += path.stat().st_size
    return total - before.offset


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
    if len(paths) == len(files.segments):
        beats.forget(files)
