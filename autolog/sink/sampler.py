"""Samples what the processes of open runs use, into a journal of its own.

The points belong to the runs, the journal to this process: whoever folds takes it for one writer
among others, and it owns no run, so neither its life nor its end says anything of theirs.
"""

from __future__ import annotations

import contextlib
import time
from collections.abc import Iterable
from pathlib import Path
from typing import Final

import psutil

from autolog.entities import Phase
from autolog.journal.files import WriterFiles
from autolog.journal.records import SAMPLER, Header
from autolog.journal.writer import Writer
from autolog.sink.gpus import Gpus
from autolog.sink.pace import first_age, interval
from autolog.sink.ranks import environment_of, ranks_of
from autolog.sink.usage import Usage, tree
from autolog.sink.watched import OpenRun, Watched
from autolog.store.location import Location

__all__ = ["Sampler"]

_LARGEST: Final = 256 << 20
"""What may wait of system metrics for a reader that takes them in."""

_Due = dict[str, OpenRun]


class Sampler:
    """Measures for the programs that write to one store, as long as they live."""

    def __init__(self, location: Location) -> None:
        self._writer = Writer(
            location.journal, location.uri, max_bytes=_LARGEST, role=SAMPLER, keeps=lambda: False
        )
        self._gpus: Gpus | None = None
        self._programs: dict[str, _Program] = {}

    @property
    def uid(self) -> str:
        """The writer of the samples."""
        return self._writer.uid

    @property
    def path(self) -> Path | None:
        """The newest file of samples; None if there was none to take."""
        return self._writer.path

    def turn(self, living: Iterable[tuple[WriterFiles, Header]]) -> bool:
        """Sample those of the living programs whose turn it is; call it about once a second.

        Returns:
            Whether any was sampled.
        """
        now, now_us = time.monotonic(), time.time_ns() // 1000
        pairs = sorted(living, key=lambda pair: pair[0].uid)
        lasting = {files.uid for files, _ in pairs}
        self._programs = {uid: one for uid, one in self._programs.items() if uid in lasting}
        measured: set[str] = set()
        sampled = False
        for files, header in pairs:
            program = self._programs.setdefault(files.uid, _Program(header))
            if now >= program.next:
                program.watched.follow(files)
                due = program.watched.due(now_us, round(first_age() * 1e6))
                # A process that joined a run is below the one that opened it, or as good as.
                mine = {uid: run for uid, run in due.items() if uid not in measured}
                oldest = min((run.start_us for run in mine.values()), default=now_us)
                program.next = now + interval((now_us - oldest) / 1e6)
                sampled = self._sample(program, mine, now_us) or sampled
            measured |= program.watched.runs.keys()
        return sampled

    def close(self) -> None:
        """End the journal in order."""
        self._writer.close()

    def _sample(self, program: _Program, due: _Due, now_us: int) -> bool:
        root = program.process()
        if root is None or not due:
            program.usage.clear()
            return False
        if self._gpus is None:
            self._gpus = Gpus()
        ranks: dict[int | None, psutil.Process] = {**ranks_of(root)} or {None: root}
        for rank, process in ranks.items():
            processes = tree(process)
            values = program.usage.setdefault(rank, Usage()).sample(processes)
            if not values:
                continue
            pids = {one.pid for one in processes}
            values |= self._gpus.sample(pids, environment_of(process))
            context = self._writer.context(phase=Phase.SYSTEM.value, rank=rank)
            for uid, run in due.items():
                seconds = max(now_us - run.start_us, 0) // 1_000_000
                self._writer.metrics(self._writer.run(uid), values, seconds, context=context)
        return True


class _Program:
    """A living program and what is known of it."""

    def __init__(self, header: Header) -> None:
        self.watched = Watched(header)
        self.usage: dict[int | None, Usage] = {}
        self.next = 0.0
        self._pid = header.process.pid
        self._process: psutil.Process | None = None

    def process(self) -> psutil.Process | None:
        """Return the program's process; None if it is gone."""
        with contextlib.suppress(psutil.Error):
            if self._process is None:  # whoever asks has seen the journal's writer alive just now
                self._process = psutil.Process(self._pid)
            if self._process.is_running():
                return self._process
        return None
