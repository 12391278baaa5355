"""Attempts: the processes that worked on one run, one after the other, as a requeued job does.

A process that takes over a run which has ended, or whose process is gone, begins its next
attempt. What a writer logs belongs to the attempt that it began last; what a process logs that
began none (a forked child, one that joined) to the newest that had begun when it did.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

import numpy as np
from numpy.typing import NDArray
from sqlalchemy import Connection, bindparam, select, update

from autolog.entities import Status
from autolog.journal.columns import Points
from autolog.store.sql.names import batched, insert
from autolog.store.sql.schema import metadata

__all__ = ["Attempts"]

Row = dict[str, Any]

_attempt = metadata.tables["attempt"]


class Attempts:
    """The attempts of the runs in a batch of one writer: those known, and those that it begins."""

    def __init__(self, connection: Connection, writer_id: int, runs: Iterable[Row]) -> None:
        self._writer = writer_id
        self._writers: dict[int, int | None] = {}
        """Who began the newest attempt of each run."""
        self._starts: dict[int, list[tuple[int, int]]] = {}
        """Start (us) and number of each attempt of a run."""
        self._own: dict[int, list[tuple[int, int]]] = {}
        """The record with which this writer began an attempt, and its number."""
        self._new: list[Row] = []
        self._ended: list[Row] = []
        self._restored: list[Row] = []
        # A run of one attempt needs no look: its opener began it.
        for piece in batched(run["id"] for run in runs if run["attempt"]):
            query = select(_attempt).where(_attempt.c.run_id.in_(piece))
            for row in connection.execute(query.order_by(_attempt.c.attempt)):
                self._note(row.run_id, row.attempt, row.writer_id, row.start_us, 0)

    def is_own(self, run: Row) -> bool:
        """Whether this very writer began the newest attempt of a run."""
        return self._writers.get(run["id"], run["origin_id"]) == self._writer

    def begin(
        self, run: Row, number: int, seq: int, start_us: int, restored_step: int | None
    ) -> None:
        """Begin an attempt; of the one before, what the run's row says of its end is kept."""
        run_id = run["id"]
        if number and run_id not in self._starts:
            self._add(run_id, 0, run["origin_id"], run["start_us"], None)
            self._note(run_id, 0, run["origin_id"], run["start_us"], 0)
        if number:
            running = run["status"] == Status.RUNNING.value
            self._ended.append(
                {
                    "b_run": run_id,
                    "b_attempt": run["attempt"],
                    # Nobody saw it end, and its scheduler has started the job again.
                    "b_status": Status.LOST.value if running else run["status"],
                    "b_by": run["ended_by"],
                    "b_end": run["end_us"],
                    "b_error": run["error"],
                }
            )
        self._add(run_id, number, self._writer, start_us, restored_step)
        if restored_step is not None:
            _count_again(run)
        self._note(run_id, number, self._writer, start_us, seq)

    def restored(self, run: Row, step: int) -> None:
        """Note after which step the attempt that this writer works on goes on."""
        own = self._own.get(run["id"])
        number = own[-1][1] if own else run["attempt"]
        self._restored.append({"b_run": run["id"], "b_attempt": number, "b_step": step})
        _count_again(run)

    def split(self, run_id: int, points: Points) -> Iterable[tuple[int, slice | NDArray[np.bool_]]]:
        """Return each attempt that records of points belong to, with which ones these are."""
        if all(number == 0 for _, number in self._starts.get(run_id, ())):
            yield points.attempt, slice(None)
            return
        attempts = np.full(len(points.seq), points.attempt, np.int64)
        for known, at in ((self._starts, points.wall_us), (self._own, points.seq)):
            marks = known.get(run_id)
            if marks:
                begins, numbers = (
                    np.array(column, np.int64) for column in zip(*marks, strict=True)
                )
                last = np.searchsorted(begins, at.astype(np.int64), side="right") - 1
                # Of its own attempts a writer knows best; before the first of them the time says.
                by_mark = np.maximum(numbers[last], points.attempt)
                attempts = np.where(last >= 0, by_mark, attempts)
        for attempt in np.unique(attempts).tolist():
            yield attempt, attempts == attempt

    def write(self, connection: Connection) -> None:
        """Write what this batch has begun, ended and learnt."""
        if self._new:
            connection.execute(insert(connection, _attempt).on_conflict_do_nothing(), self._new)
        one = update(_attempt).where(
            _attempt.c.run_id == bindparam("b_run"), _attempt.c.attempt == bindparam("b_attempt")
        )
        if self._ended:
            ended = one.values(
                status=bindparam("b_status"),
                ended_by=bindparam("b_by"),
                end_us=bindparam("b_end"),
                error=bindparam("b_error"),
            )
            connection.execute(ended, self._ended)
        if self._restored:
            connection.execute(one.values(restored_step=bindparam("b_step")), self._restored)

    def _add(
        self, run_id: int, number: int, writer: int | None, start_us: int, step: int | None
    ) -> None:
        row = {"run_id": run_id, "attempt": number, "writer_id": writer, "start_us": start_us}
        self._new.append(row | {"restored_step": step})

    def _note(self, run_id: int, number: int, writer: int | None, start_us: int, seq: int) -> None:
        self._writers[run_id] = writer
        starts = self._starts.setdefault(run_id, [])
        # A clock that jumped back must not let an attempt begin before the one before it.
        starts.append((max(start_us, starts[-1][0]) if starts else start_us, number))
        if writer == self._writer:
            self._own.setdefault(run_id, []).append((seq, number))


def _count_again(run: Row) -> None:
    """Make a run dirty: other points of it count now, though no new ones have come."""
    run["tail_no"] += 1
