"""The writer: one journal per process and store, one `write(2)` per record.

A call that returned has its record in the kernel: it survives `kill -9` of this process. There
is no thread, no buffer and no mmap. The one exception is a disk that refuses, if the writer was
told to keep what it refuses: then records wait in memory, and the caller of `on_refusal` is told.
"""

from __future__ import annotations

import functools
import os
import struct
import sys
import threading
import time
import weakref
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Final, Literal

from autolog.errors import JournalError, UsageError
from autolog.journal.backlog import Backlog, Counts, MetricsJob, RecordJob
from autolog.journal.payload import encode_record, explain_metrics, explain_value
from autolog.journal.records import FLAG_EPOCH, METRICS, Event, Record
from autolog.journal.segments import Segments

__all__ = ["Writer"]

_CLOCK: Final[int | None] = getattr(time, "CLOCK_BOOTTIME", None)
"""Counts while a laptop sleeps, which the plain monotonic clock of Linux does not."""

_NEVER: Final = 1 << 63

_ticks: Final[Callable[[], int]] = (
    time.monotonic_ns if _CLOCK is None else functools.partial(time.clock_gettime_ns, _CLOCK)
)


class Writer:
    """Appends the records of this process to files in `directory`.

    Nothing is created before the first record. Safe to call from several threads; a call made
    inside another one on the same thread (by a finalizer or a signal handler) is queued and
    written by the outer call, right after its own record.

    Args:
        directory: Where the files `<uid>.<segment>.alj` go; created when needed.
        store_uri: The store this journal is for, kept in each file's header.
        segment_bytes: A file that has grown this large is closed and followed by the next.
        max_bytes: What the files that no reader has removed may take together; 0 for no limit.
        durability: "power" waits for the disk (fdatasync) at every record, "process" at
            rotation, `sync` and `close`.
        keeps: Asked when the disk refuses a record after the first file was opened: whether the
            record waits in memory (about 8 MB) instead of raising.
        on_refusal: Told, once each time the disk begins to refuse, why. It must not raise.
        role: Kept in each file's header; see `records.Header`.
    """

    def __init__(
        self,
        directory: str | os.PathLike[str],
        store_uri: str,
        *,
        segment_bytes: int = 32 << 20,
        max_bytes: int = 0,
        durability: Literal["process", "power"] = "process",
        keeps: Callable[[], bool] = bool,
        on_refusal: Callable[[str], None] | None = None,
        role: str = "",
    ) -> None:
        if durability not in {"process", "power"}:
            raise UsageError(f'durability is "process" or "power", not {durability!r}')
        wall_ns = time.time_ns()
        # As a UUIDv7 sorted by time; os.urandom, because no training shares it.
        self.uid = f"{wall_ns // 1_000_000:012x}{os.urandom(10).hex()}"
        self.alive = True
        """Whether this process may write here: False in a child born by fork."""
        self._zero_us = wall_ns // 1000 - _ticks() // 1000
        self._power = durability == "power"
        self._keeps = keeps
        self._on_refusal = on_refusal
        self._call_us = _NEVER
        self._calls: list[Callable[[], None]] = []
        self._segments = Segments(
            Path(directory),
            self.uid,
            # A path may hold bytes that are no text; they are shown, not kept.
            store_uri.encode(errors="backslashreplace").decode(),
            segment_bytes=segment_bytes,
            max_bytes=max_bytes,
            now_us=self.now_us,
            role=role,
        )
        self._backlog = Backlog()
        self._trying: tuple[MetricsJob | RecordJob, int] | None = None
        # The same objects, one step nearer for `points`.
        self._limit = self._segments.limit
        self._file = self._segments.file
        self._shapes = self._segments.shapes
        self._runs = self._segments.runs
        self._contexts = self._segments.contexts
        self._queue = self._backlog.jobs
        self._renew_lock()
        _writers.add(self)

    @property
    def path(self) -> Path | None:
        """The newest file of this writer; None before the first record."""
        return self._file.path

    @property
    def counts(self) -> Counts:
        """What waits for the disk now, and what was dropped."""
        return self._backlog.counts()

    def now_us(self) -> int:
        """Return microseconds since the epoch on a clock that never goes back."""
        return self._zero_us + _ticks() // 1000

    def call_after(self, wall_us: int, call: Callable[[], None]) -> None:
        """Have the first record written after `wall_us` followed by a call, in its thread.

        A thread or a timer would do it in time, and the program would see them; this costs a
        comparison a record. A later request takes the place of an earlier one. The call must not
        raise.
        """
        self._calls[:] = [call]
        self._call_us = wall_us

    def run(self, uid: str) -> int:
        """Return the number under which this writer's records speak of run `uid`.

        It holds until a record has said that the run ended; then ask again.
        """
        return self._segments.run(uid)

    def context(
        self,
        phase: str = "fit",
        model: str | None = None,
        dataset: str | None = None,
        rank: int | None = None,
    ) -> int:
        """Return the number of what points belong to besides their run; 0 is plain `fit`."""
        if (phase, model, dataset, rank) == ("fit", None, None, None):
            return 0
        return self._segments.context(phase, model, dataset, rank)

    def metrics(
        self,
        run: int,
        values: Mapping[str, float],
        step: int,
        epoch: int | None = None,
        context: int = 0,
        attempt: int = 0,
    ) -> None:
        """Append one record: a point for each key of `values`, all at `step`.

        Args:
            run: A number from `run()`.
            values: Kept as float64 after `float(value)`, NaN and infinities included.
            step: Any int64.
            epoch: Any int32, or None.
            context: A number from `context()`.
            attempt: Which attempt of the run, 0 to 65535.

        Raises:
            UsageError: A key is no text, a value no number, or a number out of its range.
            JournalError: The record could not be written; nothing of it is in the file.
        """
        # Converting may run code of the user, so it comes before the lock.
        try:
            floats = [*map(float, values.values())]
        except Exception as error:
            raise explain_value(values) from error
        if floats:
            self.points(run, tuple(values), floats, step, epoch, context, attempt)

    def points(
        self,
        run: int,
        keys: tuple[str, ...],
        values: Sequence[float],
        step: int,
        epoch: int | None = None,
        context: int = 0,
        attempt: int = 0,
    ) -> None:
        """Do as `metrics` for plain numbers: float, int or bool themselves, at least one."""
        if self._nested():
            wall = self.now_us()
            self._backlog.add(self._job(run, keys, values, step, epoch, context, attempt, wall))
            return
        try:
            with self._lock:
                file = self._file
                packer = self._shapes.get(keys)
                if (
                    packer is None
                    or run not in self._runs
                    or context not in self._contexts
                    or file.end >= self._limit
                    or self._queue
                ):
                    self._points_slowly(run, keys, values, step, epoch, context, attempt)
                    return
                wall = self._zero_us + _ticks() // 1000
                try:
                    body = packer.pack(
                        METRICS,
                        0 if epoch is None else FLAG_EPOCH,
                        file.seq + 1,
                        run,
                        packer.number,
                        context,
                        attempt,
                        step,
                        epoch or 0,
                        wall,
                        *values,
                    )
                except (struct.error, OverflowError) as error:
                    raise explain_metrics(keys, values, step, epoch, attempt) from error
                try:
                    file.append(body)
                except JournalError as error:
                    job = self._job(run, keys, values, step, epoch, context, attempt, wall)
                    self._keep(job, error)
                if self._power:
                    self._sync_record()
            if wall > self._call_us:
                self._make_call()
        finally:
            if self._queue:
                self._drain()

    def append(self, record: Record) -> int:
        """Append a record; return its sequence number, or 0 if it waits to be written.

        Raises:
            UsageError: A value cannot be written as msgpack, or its run has no number here.
            JournalError: The record could not be written; nothing of it is in the file.
        """
        payload = encode_record(record)
        self._segments.check(getattr(record, "run", None))
        if self._nested():
            self._backlog.add(RecordJob(record, payload, self.now_us()))
            return 0
        try:
            with self._lock:
                error = self._catch_up()
                wall = self.now_us()
                seq = self._take(RecordJob(record, payload, wall), error)
            if wall > self._call_us:
                self._make_call()
            return seq
        finally:
            if self._queue:
                self._drain()

    def sync(self) -> None:
        """Write what waits, and wait until everything is on the disk (fdatasync)."""
        if self._nested() or not self.alive:
            return
        try:
            with self._lock:
                if self._queue:
                    self._catch_up(now=True)
                if self._file.fd >= 0 and not self._segments.left_deleted():
                    self._sync_record()
        finally:
            if self._queue:
                self._drain()

    def close(self) -> None:
        """Write what waits and that this writer ends in order, and sync.

        A later record opens a next file.
        """
        if self._nested() or not self.alive:
            return  # the call around this one is not done with the file
        try:
            with self._lock:
                error = self._catch_up(now=True) if self._queue else None
                if error is None and self._file.fd >= 0 and not self._segments.left_deleted():
                    self._finish()
        finally:
            if self._queue:
                self._drain()

    def _renew_lock(self) -> None:
        self._lock = threading.RLock()
        # Whether this thread is inside a call already. No flag of ours could be trusted after
        # an interrupt; the lock's owner is right by the nature of `with`.
        self._nested: Callable[[], bool] = self._lock._is_owned  # type: ignore[attr-defined]  # noqa: SLF001

    def _make_call(self) -> None:
        """Make the call that was asked for, once, whichever thread is the first."""
        self._call_us = _NEVER
        try:
            call = self._calls.pop()
        except IndexError:  # another thread was faster
            return
        call()  # it may ask for another one

    def _drain(self) -> None:
        """Write what nested calls left, and tell of a disk that has begun to refuse.

        Looked at without the lock, where a nested call would write for itself: nothing can be
        queued behind the last look.
        """
        while self._queue:
            with self._lock:
                # What the disk refuses is kept: the next call tries again.
                if self._catch_up(most=1) is not None:
                    break
        if self._on_refusal is not None and (news := self._backlog.take_news()) is not None:
            self._on_refusal(news)

    # Below: called with the lock held.

    def _points_slowly(
        self,
        run: int,
        keys: tuple[str, ...],
        values: Sequence[float],
        step: int,
        epoch: int | None,
        context: int,
        attempt: int,
    ) -> None:
        error = self._catch_up()
        wall = self.now_us()
        if error is not None and not self._backlog.has_room(self._size(keys)) and self._keeps():
            self._backlog.drop(run, len(keys), wall)
            return
        self._take(self._job(run, keys, values, step, epoch, context, attempt, wall), error)

    def _job(
        self,
        run: int,
        keys: tuple[str, ...],
        values: Sequence[float],
        step: int,
        epoch: int | None,
        context: int,
        attempt: int,
        wall_us: int,
    ) -> MetricsJob:
        """Return a call that can be written later, refusing here what could not be then."""
        size = self._size(keys)
        packer = self._segments.packer(keys)
        self._segments.check(run, context)
        try:
            packer.pack(0, 0, 0, run, 0, context, attempt, step, epoch or 0, 0, *values)
        except (struct.error, OverflowError) as error:
            raise explain_metrics(keys, values, step, epoch, attempt) from error
        return MetricsJob(run, keys, list(values), step, epoch, context, attempt, wall_us, size)

    def _size(self, keys: tuple[str, ...]) -> int:
        """About what a waiting call takes in memory, keys included that are new."""
        size = 400 + 40 * len(keys)
        if not self._segments.knows(keys):
            size += 1200 + sum(60 + len(str(key)) for key in keys)
        return size

    def _take(self, job: MetricsJob | RecordJob, error: JournalError | None) -> int:
        """Write a job, unless older ones wait because of `error`; return its number."""
        if error is None:
            try:
                return self._write(job)
            except JournalError as refusal:
                error = refusal
        self._keep(job, error)
        return 0

    def _keep(self, job: MetricsJob | RecordJob, error: JournalError) -> None:
        """Let a job wait that the disk refused, or raise."""
        if self._file.path is None or not self.alive or not self._keeps():
            raise error
        self._backlog.refused(error)
        self._backlog.add(job)

    def _catch_up(self, *, most: int = sys.maxsize, now: bool = False) -> JournalError | None:
        """Write what waits; return why that failed. A disk that refused is given a pause.

        What nested calls add meanwhile is left to `_drain`: they may come without end.
        """
        if not self.alive:
            raise JournalError(
                f"the journal {self._file.path} belongs to the parent process of this fork: "
                "open a Writer of your own in the child"
            )
        backlog = self._backlog
        if not now and backlog.pausing() and self._keeps():
            return JournalError(backlog.refusal)
        for _ in range(min(len(self._queue), most)):
            try:
                self._write_first()
            except JournalError as error:
                backlog.refused(error)
                return error
        if backlog.refusal is not None and not self._queue:
            for event in backlog.accepted():
                backlog.add(RecordJob(event, encode_record(event), event.wall_us))
            return self._catch_up(most=most, now=now)
        return None

    def _write_first(self) -> None:
        """Write the job that has waited longest, once, wherever an interrupt strikes."""
        job = self._queue[0]
        if self._trying is None or self._trying[0] is not job or self._file.seq < self._trying[1]:
            self._trying = None
            self._write(job)
        self._backlog.done()
        self._trying = None

    def _write(self, job: MetricsJob | RecordJob) -> int:
        forget = not self._queue
        if isinstance(job, RecordJob):
            self._segments.ready_for_record(job.record, forget=forget)
            self._trying = (job, self._file.seq + 1)
            seq = self._segments.append(job.record, job.payload)
        else:
            packer = self._segments.ready_for_metrics(job.run, job.keys, job.context, forget=forget)
            seq = self._file.seq + 1
            self._trying = (job, seq)
            flags = 0 if job.epoch is None else FLAG_EPOCH
            numbers = (job.run, packer.number, job.context, job.attempt, job.step, job.epoch or 0)
            self._file.append(packer.pack(METRICS, flags, seq, *numbers, job.wall_us, *job.values))
        if self._power:
            self._sync_record()
        return seq

    def _sync_record(self) -> None:
        try:
            self._file.sync()
        except JournalError as error:
            self._unsynced(error)

    def _finish(self) -> None:
        try:
            self._segments.finish(None)
        except JournalError as error:
            self._unsynced(error)

    def _unsynced(self, error: JournalError) -> None:
        """Keep with the process that its journal may not be on the disk, or raise."""
        if not self._keeps():
            raise error
        wall = self.now_us()
        event = Event(kind="logging_error", wall_us=wall, data={"message": str(error)})
        self._keep(RecordJob(event, encode_record(event), wall), error)

    def _disown(self) -> None:
        """In a forked child: let go of the file, which belongs to the parent.

        Closing leaves the parent's lock alone; unlocking would take it, because the lock
        belongs to the file description that both share.
        """
        self._renew_lock()
        self.alive = False
        self._backlog = Backlog()
        self._queue = self._backlog.jobs
        self._file.leave()


_writers: weakref.WeakSet[Writer] = weakref.WeakSet()


def _after_fork() -> None:
    for writer in _writers:
        writer._disown()  # noqa: SLF001  # type: ignore[reportPrivateUsage]


if hasattr(os, "register_at_fork"):
    os.register_at_fork(after_in_child=_after_fork)
