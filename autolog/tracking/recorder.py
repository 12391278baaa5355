"""The journal and the blobs of one store, as this process writes to them.

There is one recorder for each store that the process writes to, and it is made with the first
run. A forked child gets a journal of its own: it is a different writer.
"""

from __future__ import annotations

import contextlib
import os
import threading
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

from autolog import settings
from autolog.artifacts.blobs import BlobFolder
from autolog.errors import SettingsError, StoreError
from autolog.journal.backlog import Counts
from autolog.journal.records import Group
from autolog.journal.writer import Writer
from autolog.store.location import Location, locate, prepare
from autolog.tracking import notices, provenance, ranks
from autolog.tracking.values import well_formed

if TYPE_CHECKING:
    from autolog.tracking.run import LiveRun

__all__ = [
    "Recorder",
    "all_recorders",
    "current_recorder",
    "not_on_disk",
    "on_start",
    "report_versions",
]

_SCRIPT_LIMIT: Final = 1 << 20
_SYNC_INTERVAL_US: Final = 1_000_000

_starting = threading.RLock()
_recorders: dict[str, Recorder] = {}
_located: dict[str | None, Location] = {}
_started: list[Callable[[Recorder], None]] = []
_versions: Callable[[], dict[str, str]] = dict


class Recorder:
    """Writes the runs of this process to one store."""

    def __init__(self, location: Location) -> None:
        self.location = location
        self.blobs = BlobFolder(location.artifacts)
        self.open_runs: dict[str, LiveRun] = {}
        self._writer: Writer | None = None
        self._source: provenance.Source | None = None
        self._synced_us = 0
        self._group: tuple[Writer, Group] | None = None

    @property
    def writer(self) -> Writer:
        """The journal of this process; a new one after a fork."""
        writer = self._writer
        if writer is None or not writer.alive:
            writer = self._start()
        return writer

    @property
    def started(self) -> bool:
        """Whether this very process has written anything."""
        return self._writer is not None and self._writer.alive

    @property
    def counts(self) -> Counts:
        """What the disk has not taken of this process's journal."""
        return self._writer.counts if self._writer is not None else Counts()

    @property
    def source(self) -> provenance.Source:
        """What this process runs."""
        if self._source is None:
            self._source = provenance.find_source()
        return self._source

    def sync(self) -> None:
        """Bring the journal to the disk, at most once a second.

        A killed process loses nothing without it; it bounds what a power failure can take, at a
        price that a thousand small fits would feel.
        """
        now = self.writer.now_us()
        if now - self._synced_us >= _SYNC_INTERVAL_US:
            self._synced_us = now
            self.writer.sync()

    def note_group(self) -> None:
        """Say in the journal, if there is one, which rank of a process group this process is.

        The group may come into being, and get its address, long after the first run, so it is
        asked for now and then.
        """
        rank = ranks.current()
        writer = self._writer
        if rank is None or writer is None or not writer.alive:
            return
        group = Group(key=ranks.group_key(), rank=rank.rank, size=rank.size)
        if self._group != (writer, group):
            self._group = (writer, group)
            writer.append(group)

    @property
    def knows_group(self) -> bool:
        """Whether the journal, if there is one, says which rank of a group this process is."""
        return not self.started or (self._group is not None and self._group[0] is self._writer)

    def finish(self, timeout: float) -> None:
        """Add what only the end has time for, and close the journal."""
        if not self.started:
            return
        writer = self.writer
        self.note_group()
        writer.append(provenance.at_exit(self.source, _versions(), timeout))
        writer.close()
        left = writer.counts
        if left.waiting_records:
            _tell_refusal(
                f"the disk has refused the journal to the end: {left.waiting_records:,} records"
                f" with {left.waiting_points:,} points are not in {self.location.journal}"
            )

    def own_files(self) -> list[Path]:
        """Return the journal files of this process that nobody has taken and removed yet."""
        if not self.started:
            return []
        return sorted(self.location.journal.glob(f"{self.writer.uid}.*"))

    def forget_parent(self) -> None:
        """In a forked child: the parent's runs are the parent's to end."""
        self.open_runs.clear()
        self._writer = None

    def _start(self) -> Writer:
        with _starting:  # threads that start together share one journal
            if self.started:
                assert self._writer is not None
                return self._writer
            return self._start_alone()

    def _start_alone(self) -> Writer:
        prepare(self.location)
        writer = Writer(
            self.location.journal,
            self.location.uri,
            max_bytes=settings.value("journal_max_mb") << 20,
            durability=settings.value("durability"),
            keeps=_keeps,
            on_refusal=_on_refusal,
        )
        writer.append(provenance.at_start(self.source, _versions(), self._details()))
        self._writer = writer
        self.note_group()
        self._synced_us = writer.now_us()
        for callback in _started:
            callback(self)
        return writer

    def _details(self) -> dict[str, Any]:
        """Say when the process began, and keep the bytes of the entry script.

        The script is the one file that every reproduction needs.
        """
        details: dict[str, Any] = {"started_us": provenance.process_start_us()}
        wanted = settings.lookup("system_metrics")
        if (
            wanted.origin != "default"
        ):  # the helper process serves programs with other settings, too
            details["system_metrics"] = wanted.value
        path = self.source.path
        with contextlib.suppress(OSError, StoreError):
            if path is not None and path.is_file() and path.stat().st_size <= _SCRIPT_LIMIT:
                blob = self.blobs.put_file(path)
                entry = {"path": well_formed(str(path)), "sha256": blob.sha256, "uri": blob.uri}
                details["entry"] = entry
        return details


def current_recorder() -> Recorder:
    """Return the recorder of the store that the settings name now."""
    given: str | None = settings.value("store")
    location = _located.get(given)
    if location is None:  # decided once: a later chdir must not move the store
        location = _located[given] = locate(given)
    recorder = _recorders.get(location.uri)
    if recorder is None:
        recorder = _recorders.setdefault(location.uri, Recorder(location))
    return recorder


def all_recorders() -> list[Recorder]:
    """Return every recorder of this process."""
    return list(_recorders.values())


def on_start(callback: Callable[[Recorder], None]) -> None:
    """Call back whenever a recorder begins to write in this process."""
    _started.append(callback)


def not_on_disk() -> Counts:
    """Count what this process has logged that its disk has not taken (yet)."""
    counts = [one.counts for one in _recorders.values()]
    return Counts(*map(sum, zip(*counts, strict=True))) if counts else Counts()


def report_versions(source: Callable[[], dict[str, str]]) -> None:
    """Say how to find the versions of the frameworks that are loaded."""
    global _versions
    _versions = source


def _keeps() -> bool:
    """Whether what the disk refuses waits in memory."""
    try:
        return settings.value("journal_full") == "keep" and not settings.value("strict")
    except SettingsError:  # told elsewhere; the training goes on
        return True


def _on_refusal(why: str) -> None:
    _tell_refusal(
        f"the disk refuses the journal: {why}. Until then records wait in memory, about 8 MB of"
        " them; more are dropped and counted, see autolog.status()."
        " With AUTOLOG_JOURNAL_FULL=raise log calls raise instead"
    )


def _tell_refusal(text: str) -> None:
    with contextlib.suppress(Exception):  # a log handler of the program; this is a log call
        notices.tell("journal_full", text, about=text.partition(":")[0])


def _after_fork() -> None:
    global _starting
    _starting = threading.RLock()  # the parent's may be held by a thread that is not here
    for recorder in _recorders.values():
        recorder.forget_parent()


if hasattr(os, "register_at_fork"):
    os.register_at_fork(after_in_child=_after_fork)
