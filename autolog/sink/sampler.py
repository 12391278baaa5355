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

    def turn(self, living: Iterable[tuple[WriterFiles, Header]]) -> None:
        """Sample those of the living programs whose turn it is; call it about once a second."""
        now, now_us = time.monotonic(), time.time_ns() // 1000
        programs: dict[str, _Program] = {}
        measured: set[str] = set()
        for files, header in sorted(living, key=lambda pair: pair[0].uid):
            program = self._programs.get(files.uid) or _Program(header)
            programs[files.uid] = program
            if now >= program.next:
                program.watched.follow(files)
                due = program.watched.due(now_us, round(first_age() * 1e6))
                # A process that joined a run is below the one that opened it, or as good as.
                mine = {uid: run for uid, run in due.items() if uid not in measured}
                program.next = now + interval((now_us - header.wall_us) / 1e6)
                self._sample(program, mine, now_us)
            measured |= program.watched.runs.keys()
        self._programs = programs

    def close(self) -> None:
        """End the journal in order."""
        self._writer.close()

    def _sample(self, program: _Program, due: _Due, now_us: int) -> None:
        root = program.process()
        if root is None or not due:
            program.usage.clear()
            return
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
