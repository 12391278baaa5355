"""The writer: one journal per process and store, one `write(2)` per record.

A call that returned has its record in the kernel: it survives `kill -9` of this process. There
is no thread, no buffer and no mmap. Definitions (runs, shapes, contexts) are written to a file
when it first needs them, so every file can be read alone.

Ctrl-C, finalizers and signal handlers may strike between any two steps: a number is taken in one
atomic step, and a definition counts as written only once it is.
"""

from __future__ import annotations

import contextlib
import itertools
import os
import struct
import threading
import time
import weakref
from collections import deque
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any, Final, Literal

from autolog.errors import JournalError, UsageError
from autolog.journal.file import JournalFile
from autolog.journal.frame import BODY, encode
from autolog.journal.lease import this_process
from autolog.journal.payload import MetricsPacker, encode_record, explain_metrics, explain_value
from autolog.journal.records import (
    FLAG_EPOCH,
    FORMAT_VERSION,
    MAGIC,
    METRICS,
    TYPES,
    Close,
    Context,
    Group,
    Header,
    Process,
    Record,
    RunEnd,
    RunNumber,
    Shape,
)

__all__ = ["Writer"]

_CLOCK: Final[int | None] = getattr(time, "CLOCK_BOOTTIME", None)
"""Counts while a laptop sleeps, which the plain monotonic clock of Linux does not."""

_MetricsJob = tuple[
    int, tuple[str, ...], list[float], int, "int | None", int, int, int
]  # run, keys, values, step, epoch, context, attempt, wall time
_RecordJob = tuple[Record, bytes]


def _ticks() -> int:
    return time.monotonic_ns() if _CLOCK is None else time.clock_gettime_ns(_CLOCK)


class Writer:
    """Appends the records of this process to files in `directory`.

    Nothing is created before the first record. Safe to call from several threads; a call made
    inside another one on the same thread (by a finalizer or a signal handler) is queued and
    written by the outer call, right after its own record.

    Args:
        directory: Where the files `<uid>.<segment>.alj` go; created when needed.
        store_uri: The store this journal is for, kept in each file's header.
        segment_bytes: A file that has grown this large is closed and followed by the next.
        durability: "power" waits for the disk (fdatasync) at every record, "process" at
            rotation, `sync` and `close`.
    """

    def __init__(
        self,
        directory: str | os.PathLike[str],
        store_uri: str,
        *,
        segment_bytes: int = 32 << 20,
        durability: Literal["process", "power"] = "process",
    ) -> None:
        if durability not in {"process", "power"}:
            raise UsageError(f'durability is "process" or "power", not {durability!r}')
        wall_ns = time.time_ns()
        # As a UUIDv7 sorted by time; os.urandom, because no training shares it.
        self.uid = f"{wall_ns // 1_000_000:012x}{os.urandom(10).hex()}"
        self._zero_us = wall_ns // 1000 - _ticks() // 1000
        self._directory = Path(directory)
        # A path may hold bytes that are no text; they are shown, not kept.
        self._store = store_uri.encode(errors="backslashreplace").decode()
        self._limit = segment_bytes
        self._power = durability == "power"
        self._alive = True
        self._file = JournalFile()
        self._latest: dict[type[Any], bytes] = {}
        self._numbers = itertools.count(1)
        self._runs: dict[str, int] = {}
        self._run_uids: dict[int, str] = {}
        self._contexts: dict[tuple[Any, ...], int] = {}
        self._context_keys: dict[int, Context] = {}
        self._packers: dict[tuple[str, ...], MetricsPacker] = {}
        # What the current file has defined.
        self._shapes_here: dict[tuple[str, ...], MetricsPacker] = {}
        self._runs_here: set[int] = set()
        self._contexts_here: set[int] = set()
        self._defined_bytes = 0
        self._queue: deque[_MetricsJob | _RecordJob] = deque()
        self._renew_lock()
        _writers.add(self)

    @property
    def path(self) -> Path | None:
        """The newest file of this writer; None before the first record."""
        return self._file.path

    @property
    def alive(self) -> bool:
        """Whether this process may write here: False in a child born by fork."""
        return self._alive

    def now_us(self) -> int:
        """Return microseconds since the epoch on a clock that never goes back."""
        return self._zero_us + _ticks() // 1000

    def run(self, uid: str) -> int:
        """Return the number under which this writer's records speak of run `uid`."""
        number = self._runs.get(uid)
        if number is None:
            encode_record(RunNumber(run=0, uid=uid))
            number = self._runs.setdefault(uid, next(self._numbers))
        self._run_uids[number] = uid
        return number

    def context(
        self,
        phase: str = "fit",
        model: str | None = None,
        dataset: str | None = None,
        rank: int | None = None,
    ) -> int:
        """Return the number of what points belong to besides their run; 0 is plain `fit`."""
        key = (phase, model, dataset, rank)
        if key == ("fit", None, None, None):
            return 0
        number = self._contexts.get(key)
        if number is None:
            encode_record(Context(id=0, phase=phase, model=model, dataset=dataset, rank=rank))
            number = self._contexts.setdefault(key, next(self._numbers))
        if number not in self._context_keys:
            self._context_keys[number] = Context(
                id=number, phase=phase, model=model, dataset=dataset, rank=rank
            )
        return number

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
        keys = tuple(values)
        if not keys:
            return
        if self._nested():
            self._defer(run, keys, floats, step, epoch, context, attempt)
            return
        try:
            with self._lock:
                packer = self._shapes_here.get(keys)
                if (
                    packer is None
                    or run not in self._runs_here
                    or context not in self._contexts_here
                    or self._file.end >= self._limit
                ):
                    packer = self._ready_for_metrics(run, keys, context)
                try:
                    body = packer.pack(
                        METRICS,
                        0 if epoch is None else FLAG_EPOCH,
                        self._file.seq + 1,
                        run,
                        packer.number,
                        context,
                        attempt,
                        step,
                        epoch or 0,
                        self.now_us(),
                        *floats,
                    )
                except struct.error as error:
                    raise explain_metrics(keys, floats, step, epoch, attempt) from error
                self._file.append(body)
                if self._power:
                    self._file.sync()
        finally:
            if self._queue:
                self._drain()

    def append(self, record: Record) -> int:
        """Append a record and return its sequence number (0 if an outer call will write it).

        Raises:
            UsageError: A value cannot be written as msgpack, or its run has no number here.
            JournalError: The record could not be written; nothing of it is in the file.
        """
        payload = encode_record(record)
        run = getattr(record, "run", None)
        if run is not None and run not in self._run_uids:
            raise UsageError(f"run number {run} is unknown to this writer: ask run(uid) for one")
        if self._nested():
            self._queue.append((record, payload))
            return 0
        try:
            with self._lock:
                self._ready_for_record(record)
                return self._append(record, payload)
        finally:
            if self._queue:
                self._drain()

    def sync(self) -> None:
        """Wait until everything written is on the disk (fdatasync)."""
        if not self._nested():
            with self._lock:
                if self._file.fd >= 0 and not self._left_deleted():
                    self._file.sync()

    def close(self) -> None:
        """Write that this writer ends in order, and sync. A later record opens a next file."""
        if self._nested():
            return  # the call around this one is not done with the file
        try:
            with self._lock:
                if self._file.fd >= 0 and not self._left_deleted():
                    self._finish(None)
        finally:
            if self._queue:
                self._drain()

    def _renew_lock(self) -> None:
        self._lock = threading.RLock()
        # Whether this thread is inside a call already. No flag of ours could be trusted after
        # an interrupt; the lock's owner is right by the nature of `with`.
        self._nested: Callable[[], bool] = self._lock._is_owned  # type: ignore[attr-defined]  # noqa: SLF001

    def _defer(
        self,
        run: int,
        keys: tuple[str, ...],
        floats: list[float],
        step: int,
        epoch: int | None,
        context: int,
        attempt: int,
    ) -> None:
        """Queue a nested call for the outer one, refusing here what could not be written there."""
        packer = self._packer(keys)
        self._known(run, context)
        now = self.now_us()
        try:
            packer.pack(0, 0, 0, run, 0, context, attempt, step, epoch or 0, now, *floats)
        except struct.error as error:
            raise explain_metrics(keys, floats, step, epoch, attempt) from error
        self._queue.append((run, keys, floats, step, epoch, context, attempt, now))

    def _drain(self) -> None:
        """Write what nested calls left.

        Looked at without the lock, where a nested call would write for itself: nothing can be
        queued behind the last look.
        """
        # What the disk refuses is kept: the next call tries again, and tells of its own failure.
        with contextlib.suppress(JournalError):
            while self._queue:
                with self._lock:
                    if self._queue:
                        self._write_queued(self._queue[0])

    # Below: called with the lock held.

    def _write_queued(self, job: _MetricsJob | _RecordJob) -> None:
        if len(job) == 2:
            self._ready_for_record(job[0])
        else:
            self._ready_for_metrics(job[0], job[1], job[5])
        before = self._file.seq
        try:
            if len(job) == 2:
                self._append(job[0], job[1])
            else:
                run, keys, floats, step, epoch, context, attempt, wall = job
                packer = self._shapes_here[keys]
                flags = 0 if epoch is None else FLAG_EPOCH
                number = (run, packer.number, context, attempt, step, epoch or 0, wall)
                self._file.append(packer.pack(METRICS, flags, before + 1, *number, *floats))
        finally:
            if self._file.seq != before:
                self._queue.popleft()

    def _ready_for_metrics(self, run: int, keys: tuple[str, ...], context: int) -> MetricsPacker:
        packer = self._packer(keys)
        self._known(run, context)
        self._ready()
        # A rotation forgets packers that its file did not use.
        packer = self._shapes_here.get(keys) or self._packers.setdefault(keys, packer)
        self._define_run(run)
        if context not in self._contexts_here:
            self._define(encode_record(self._context_keys[context]), Context)
            self._contexts_here.add(context)
        if keys not in self._shapes_here:
            self._define(packer.definition, Shape)
            self._shapes_here[keys] = packer
        return packer

    def _ready_for_record(self, record: Record) -> None:
        if isinstance(record, RunEnd) and self._file.fd >= 0:
            self._left_deleted()
        self._ready()
        run = getattr(record, "run", None)
        if run is not None:
            self._define_run(run)

    def _packer(self, keys: tuple[str, ...]) -> MetricsPacker:
        packer = self._packers.get(keys)
        if packer is None:
            for key in keys:
                if not isinstance(key, str):  # type: ignore[reportUnnecessaryIsInstance]
                    raise UsageError(f"a metric's name is text, not {key!r}")
            number = next(self._numbers)
            shape = Shape(id=number, keys=tuple(map(str, keys)))
            packer = self._packers.setdefault(keys, MetricsPacker(number, keys, shape))
        return packer

    def _known(self, run: int, context: int) -> None:
        if run not in self._run_uids:
            raise UsageError(f"run number {run} is unknown to this writer: ask run(uid) for one")
        if context and context not in self._context_keys:
            raise UsageError(f"context number {context} is unknown to this writer: ask context()")

    def _define_run(self, run: int) -> None:
        if run not in self._runs_here:
            self._define(encode_record(RunNumber(run=run, uid=self._run_uids[run])), RunNumber)
            self._runs_here.add(run)

    def _define(self, payload: bytes, cls: type[Any]) -> None:
        self._file.append(BODY.pack(TYPES[cls], 0, self._file.seq + 1) + payload)
        self._defined_bytes += len(payload)

    def _append(self, record: Record, payload: bytes) -> int:
        cls = type(record)
        seq = self._file.seq + 1
        self._file.append(BODY.pack(TYPES[cls], 0, seq) + payload)
        if cls in {Process, Group}:
            self._latest[cls] = payload
        if self._power:
            self._file.sync()
        return seq

    def _ready(self) -> None:
        """Have a file open that is not full, of data or of definitions."""
        if not self._alive:
            raise JournalError(
                f"the journal {self._file.path} belongs to the parent process of this fork: "
                "open a Writer of your own in the child"
            )
        # A reader keeps a file's definitions in its cursor, so these are bounded too.
        full = self._file.end >= self._limit or self._defined_bytes * 4 >= self._limit
        if self._file.fd >= 0 and full:
            # Only what the last file used is kept compiled: memory does not grow with the run.
            self._packers = dict(self._shapes_here)
            self._finish(self._file.segment + 1)
        if self._file.fd < 0:
            self._open()

    def _open(self) -> None:
        me = this_process()
        number = self._file.segment + 1
        # An interrupt right after the creation of a file leaves it empty; its number is spent.
        while (path := self._directory / f"{self.uid}.{number:06d}.alj").exists():
            number += 1
        seq = self._file.seq
        header = Header(
            version=FORMAT_VERSION,
            writer=self.uid,
            segment=number,
            first_seq=seq + 1,
            store=self._store,
            host=me.host,
            machine=me.machine,
            boot=me.boot,
            pid_namespace=me.pid_namespace,
            process=me.process,
            ancestors=me.ancestors,
            wall_us=self.now_us(),
        )
        start = MAGIC + encode(0, 0, 0, encode_record(header))
        for cls, payload in self._latest.items():
            seq += 1
            start += encode(TYPES[cls], 0, seq, payload)
        self._forget_definitions()
        self._file.create(path, number, start, seq)

    def _finish(self, following: int | None) -> None:
        record = Close(next=following, wall_us=self.now_us())
        before = self._file.seq
        body = BODY.pack(TYPES[Close], 0, before + 1) + encode_record(record)
        try:
            self._file.append(body)
            self._file.sync()
        finally:
            if self._file.seq != before:
                self._file.leave()  # nothing follows a Close

    def _left_deleted(self) -> bool:
        """Leave a file that somebody removed; the next record opens another."""
        if not self._file.deleted():
            return False
        self._file.leave()
        return True

    def _forget_definitions(self) -> None:
        self._shapes_here = {}
        self._runs_here = set()
        self._contexts_here = {0}
        self._defined_bytes = 0

    def _disown(self) -> None:
        """In a forked child: let go of the file, which belongs to the parent.

        Closing leaves the parent's lock alone; unlocking would take it, because the lock
        belongs to the file description that both share.
        """
        self._renew_lock()
        self._alive = False
        self._queue.clear()
        self._file.leave()


_writers: weakref.WeakSet[Writer] = weakref.WeakSet()


def _after_fork() -> None:
    for writer in _writers:
        writer._disown()  # noqa: SLF001  # type: ignore[reportPrivateUsage]


if hasattr(os, "register_at_fork"):
    os.register_at_fork(after_in_child=_after_fork)
