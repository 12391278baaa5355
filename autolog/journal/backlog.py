"""Records that wait for the disk or for an outer call, oldest first, within a bound of memory.

What exceeds the bound is dropped and counted, and an event tells the store of the gap.
"""

from __future__ import annotations

import time
from collections import deque
from typing import Any, Final, NamedTuple

from autolog.errors import JournalError
from autolog.journal.records import Event, Record

__all__ = ["Backlog", "Counts", "MetricsJob", "RecordJob"]

_BOUND: Final = 8 << 20
_RESERVE: Final = 1 << 20
"""Beyond the bound there is room for records that are no points: the ends of runs among them."""

_PAUSE_S: Final = 0.1
"""A disk that has refused is not asked again at every call: some take long to say no."""

_RUNS: Final = 1000
"""Of more runs than these, dropped records are counted together."""


class MetricsJob(NamedTuple):
    """A call that logged points. `size` is about what it takes in memory."""

    run: int
    keys: tuple[str, ...]
    values: list[float]
    step: int
    epoch: int | None
    context: int
    attempt: int
    wall_us: int
    size: int


class RecordJob(NamedTuple):
    """Any other record, and its payload."""

    record: Record
    payload: bytes
    wall_us: int

    @property
    def size(self) -> int:
        """About what it takes in memory."""
        return 1000 + 3 * len(self.payload)  # the objects take more than their bytes


class Counts(NamedTuple):
    """What has not reached the disk (yet), in records and the points in them."""

    waiting_records: int = 0
    waiting_points: int = 0
    dropped_records: int = 0
    dropped_points: int = 0


class _Dropped:
    """What was dropped of one run since the disk refused."""

    __slots__ = ("first_us", "last_us", "points", "records")

    def __init__(self, wall_us: int) -> None:
        self.records = self.points = 0
        self.first_us = self.last_us = wall_us


class Backlog:
    """The queue of one writer. `jobs` may be appended to from inside any of its methods."""

    def __init__(self) -> None:
        self.jobs: deque[MetricsJob | RecordJob] = deque()
        self.refusal: str | None = None
        """What the disk said last; None while nothing waits for it."""
        self._asked = 0.0
        self._bytes = 0
        self._news: str | None = None
        self._dropped: dict[int | None, _Dropped] = {}
        self._dropped_records = 0
        self._dropped_points = 0

    def counts(self) -> Counts:
        """Count what waits now and what was ever dropped."""
        jobs = self.jobs.copy()
        points = sum(len(job.keys) for job in jobs if isinstance(job, MetricsJob))
        return Counts(len(jobs), points, self._dropped_records, self._dropped_points)

    def has_room(self, size: int) -> bool:
        """Whether points of that size would be kept."""
        return self._bytes + size <= _BOUND

    def add(self, job: MetricsJob | RecordJob) -> None:
        """Keep a job behind the others, or drop it."""
        bound = _BOUND if isinstance(job, MetricsJob) else _BOUND + _RESERVE
        if self._bytes + job.size <= bound:
            self._bytes += job.size
            self.jobs.append(job)
        elif isinstance(job, MetricsJob):
            self.drop(job.run, len(job.keys), job.wall_us)
        else:
            self.drop(getattr(job.record, "run", None), 0, job.wall_us)

    def drop(self, run: int | None, points: int, wall_us: int) -> None:
        """Count a record that is not kept."""
        if run not in self._dropped and len(self._dropped) >= _RUNS:
            run = None
        lost = self._dropped.setdefault(run, _Dropped(wall_us))
        lost.records += 1
        lost.points += points
        lost.last_us = wall_us
        self._dropped_records += 1
        self._dropped_points += points

    def done(self) -> None:
        """Forget the first job, which has been written."""
        self._bytes -= self.jobs.popleft().size
        if not self.jobs:
            self._bytes = 0

    def refused(self, error: JournalError) -> None:
        """Note that the disk took nothing just now."""
        if self.refusal is None:
            self._news = str(error)
        self.refusal = str(error)
        self._asked = time.monotonic()

    def pausing(self) -> bool:
        """Whether the disk refused so shortly ago that it need not be asked again."""
        return self.refusal is not None and time.monotonic() < self._asked + _PAUSE_S

    def accepted(self) -> list[Event]:
        """Note that all that waited is written; return what is to be said of the dropped."""
        reason, self.refusal = self.refusal, None
        dropped, self._dropped = self._dropped, {}
        return [_event(run, lost, reason or "") for run, lost in dropped.items()]

    def take_news(self) -> str | None:
        """Return, once, what the disk said when it began to refuse."""
        news, self._news = self._news, None
        return news


def _event(run: int | None, lost: _Dropped, reason: str) -> Event:
    seconds = (lost.last_us - lost.first_us) / 1e6
    message = (
        f"{lost.records:,} records with {lost.points:,} points of {seconds:,.1f} s were dropped: "
        f"the disk took nothing and memory for more was used up ({reason})"
    )
    data: dict[str, Any] = {
        "message": message,
        "records": lost.records,
        "points": lost.points,
        "first_us": lost.first_us,
        "last_us": lost.last_us,
    }
    return Event(kind="dropped", run=run, wall_us=lost.last_us, data=data)
