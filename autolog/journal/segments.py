"""The files of one writer, one after the other; each defines the numbers that it uses.

Called with the writer's lock held. Ctrl-C, finalizers and signal handlers may strike between any
two steps: a number is taken in one atomic step, and a definition counts as written only once it is.
"""

from __future__ import annotations

import itertools
import os
from collections.abc import Callable
from pathlib import Path
from typing import Any, Final

from autolog.errors import JournalError, UsageError
from autolog.journal.file import JournalFile
from autolog.journal.frame import BODY, encode
from autolog.journal.lease import this_process
from autolog.journal.payload import MetricsPacker, encode_record
from autolog.journal.records import (
    FORMAT_VERSION,
    MAGIC,
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

__all__ = ["Segments"]

_SMALLEST: Final = 1 << 16
"""No cap makes files smaller than this."""


class Segments:
    """Where a writer's records go. Nothing is created before the first one.

    Args:
        directory: Where the files `<uid>.<segment>.alj` go; created when needed.
        uid: The writer.
        store: Kept in each file's header.
        segment_bytes: A file that has grown this large is closed and followed by the next.
        max_bytes: What the files that no reader has removed may take together; 0 for no limit.
        now_us: The writer's clock.
        role: Kept in each file's header.
    """

    def __init__(
        self,
        directory: Path,
        uid: str,
        store: str,
        *,
        segment_bytes: int,
        max_bytes: int,
        now_us: Callable[[], int],
        role: str = "",
    ) -> None:
        self.file = JournalFile()
        self.limit = segment_bytes
        if max_bytes:
            # Looked at only when a file begins, so a cap is made of several files.
            self.limit = min(segment_bytes, max(max_bytes // 4, _SMALLEST))
        # What the current file has defined; emptied in place, because the writer looks here too.
        self.shapes: dict[tuple[str, ...], MetricsPacker] = {}
        self.runs: set[int] = set()
        self.contexts: set[int] = {0}
        self._defined_bytes = 0
        self._directory = directory
        self._uid = uid
        self._store = store
        self._max_bytes = max_bytes
        self._now_us = now_us
        self._role = role
        self._older: list[Path] = []
        self._latest: dict[type[Any], bytes] = {}
        self._numbers = itertools.count(1)
        self._run_numbers: dict[str, int] = {}
        self._run_uids: dict[int, str] = {}
        self._ended: set[int] = set()
        self._long_ended: set[int] = set()
        self._context_numbers: dict[tuple[Any, ...], int] = {}
        self._context_keys: dict[int, Context] = {}
        self._packers: dict[tuple[str, ...], MetricsPacker] = {}

    # -- numbers; these need no lock ---------------------------------------------------------

    def run(self, uid: str) -> int:
        """Return the number of a run."""
        number = self._run_numbers.get(uid)
        if number is None:
            encode_record(RunNumber(run=0, uid=uid))
            number = self._run_numbers.setdefault(uid, next(self._numbers))
        self._ended.discard(number)
        self._long_ended.discard(number)
        self._run_uids[number] = uid
        return number

    def context(self, phase: str, model: str | None, dataset: str | None, rank: int | None) -> int:
        """Return the number of a context other than plain `fit`."""
        key = (phase, model, dataset, rank)
        number = self._context_numbers.get(key)
        if number is None:
            encode_record(Context(id=0, phase=phase, model=model, dataset=dataset, rank=rank))
            number = self._context_numbers.setdefault(key, next(self._numbers))
        if number not in self._context_keys:
            self._context_keys[number] = Context(
                id=number, phase=phase, model=model, dataset=dataset, rank=rank
            )
        return number

    def packer(self, keys: tuple[str, ...]) -> MetricsPacker:
        """Return what packs points of these keys."""
        packer = self._packers.get(keys)
        if packer is None:
            for key in keys:
                if not isinstance(key, str):  # type: ignore[reportUnnecessaryIsInstance]
                    raise UsageError(f"a metric's name is text, not {key!r}")
            number = next(self._numbers)
            shape = Shape(id=number, keys=tuple(map(str, keys)))
            packer = self._packers.setdefault(keys, MetricsPacker(number, keys, shape))
        return packer

    def knows(self, keys: tuple[str, ...]) -> bool:
        """Whether these keys have been used lately."""
        return keys in self._packers

    def check(self, run: int | None, context: int = 0) -> None:
        """Refuse numbers that are not of this writer."""
        if run is not None and run not in self._run_uids:
            raise UsageError(f"run number {run} is unknown to this writer: ask run(uid) for one")
        if context and context not in self._context_keys:
            raise UsageError(f"context number {context} is unknown to this writer: ask context()")

    # -- files -------------------------------------------------------------------------------

    def ready_for_metrics(
        self, run: int, keys: tuple[str, ...], context: int, *, forget: bool
    ) -> MetricsPacker:
        """Have a file open that defines all of these; return what packs them."""
        packer = self.packer(keys)
        self._ready(forget=forget)
        # A rotation forgets packers that its file did not use.
        packer = self.shapes.get(keys) or self._packers.setdefault(keys, packer)
        self._define_run(run)
        if context not in self.contexts:
            self._define(encode_record(self._context_keys[context]), Context)
            self.contexts.add(context)
        if keys not in self.shapes:
            self._define(packer.definition, Shape)
            self.shapes[keys] = packer
        return packer

    def ready_for_record(self, record: Record, *, forget: bool) -> None:
        """Have a file open that defines the record's run."""
        if isinstance(record, RunEnd) and self.file.fd >= 0:
            self.left_deleted()
        self._ready(forget=forget)
        run = getattr(record, "run", None)
        if run is not None:
            self._define_run(run)

    def append(self, record: Record, payload: bytes) -> int:
        """Append a record to the file that is ready for it; return its number."""
        cls = type(record)
        seq = self.file.seq + 1
        self.file.append(BODY.pack(TYPES[cls], 0, seq) + payload)
        if cls in {Process, Group}:
            self._latest[cls] = payload
        elif isinstance(record, RunEnd):
            self._ended.add(record.run)
        return seq

    def finish(self, following: int | None) -> None:
        """Write that the file ends in order, wait for the disk, and close it."""
        record = Close(next=following, wall_us=self._now_us())
        before = self.file.seq
        body = BODY.pack(TYPES[Close], 0, before + 1) + encode_record(record)
        try:
            self.file.append(body)
            self.file.sync()
        finally:
            if self.file.seq != before:
                self.file.leave()  # nothing follows a Close

    def left_deleted(self) -> bool:
        """Leave a file that somebody removed; the next record opens another."""
        if not self.file.deleted():
            return False
        self.file.leave()
        return True

    def _define_run(self, run: int) -> None:
        if run not in self.runs:
            self._define(encode_record(RunNumber(run=run, uid=self._run_uids[run])), RunNumber)
            self.runs.add(run)

    def _define(self, payload: bytes, cls: type[Any]) -> None:
        self.file.append(BODY.pack(TYPES[cls], 0, self.file.seq + 1) + payload)
        self._defined_bytes += len(payload)

    def _ready(self, *, forget: bool) -> None:
        """Have a file open that is not full, of data or of definitions."""
        # A reader keeps a file's definitions in its cursor, so these are bounded too.
        full = self.file.end >= self.limit or self._defined_bytes * 4 >= self.limit
        if self.file.fd >= 0 and full:
            # Only what the last file used is kept compiled: memory does not grow with the run.
            self._packers = dict(self.shapes)
            if forget:
                self._forget_ended()
            self.finish(self.file.segment + 1)
        if self.file.fd < 0:
            self._open()

    def _forget_ended(self) -> None:
        """Forget the runs that ended before the last file and were not spoken of in it."""
        for number in self._long_ended - self.runs:
            uid = self._run_uids.pop(number, None)
            if uid is not None:
                self._run_numbers.pop(uid, None)
        self._long_ended = self._ended
        self._ended = set()

    def _open(self) -> None:
        self._check_cap()
        me = this_process()
        number = self.file.segment + 1
        # An interrupt right after the creation of a file leaves it empty; its number is spent.
        while (path := self._directory / f"{self._uid}.{number:06d}.alj").exists():
            number += 1
        seq = self.file.seq
        header = Header(
            version=FORMAT_VERSION,
            writer=self._uid,
            segment=number,
            first_seq=seq + 1,
            store=self._store,
            host=me.host,
            machine=me.machine,
            boot=me.boot,
            pid_namespace=me.pid_namespace,
            process=me.process,
            ancestors=me.ancestors,
            wall_us=self._now_us(),
            role=self._role,
        )
        start = MAGIC + encode(0, 0, 0, encode_record(header))
        for cls, payload in self._latest.items():
            seq += 1
            start += encode(TYPES[cls], 0, seq, payload)
        self.shapes.clear()
        self.runs.clear()
        self.contexts.clear()
        self.contexts.add(0)
        self._defined_bytes = 0
        self.file.create(path, number, start, seq)
        self._older.append(path)

    def _check_cap(self) -> None:
        sizes = {path: size for path in self._older if (size := _size(path)) is not None}
        self._older = list(sizes)  # readers have removed the others
        taken = sum(sizes.values())
        if self._max_bytes and taken + self.limit > self._max_bytes:
            raise JournalError(
                f"the journal of this process in {self._directory} takes {taken >> 20:,} MB that no"
                f" reader has folded yet, and journal_max_mb allows {self._max_bytes >> 20:,} MB."
                " Look at the store (`autolog status`), which folds it, or set"
                " AUTOLOG_JOURNAL_MAX_MB higher"
            )


def _size(path: Path) -> int | None:
    try:
        return os.stat(path).st_size  # noqa: PTH116
    except OSError:
        return None
