"""The runs that a living program has open, as its own journal tells."""

from __future__ import annotations

from typing import Final, NamedTuple

from autolog.entities import Phase
from autolog.journal.files import WriterFiles
from autolog.journal.reader import Cursor, Entry, read
from autolog.journal.records import Header, Process, RunEnd, RunOpen, RunUpdate

__all__ = ["OpenRun", "Watched"]

_BYTES: Final = 4 << 20
_REMEMBERED: Final = 10_000


class OpenRun(NamedTuple):
    """A run that has not ended: since when, microseconds since the epoch, and below which one."""

    start_us: int
    parent: str | None


class Watched:
    """One program; `follow` reads what it has written since the last time.

    Attributes:
        header: of the program's journal.
        mode: its setting `system_metrics`.
        runs: those that are open.
    """

    def __init__(self, header: Header) -> None:
        self.header = header
        self.mode = "auto"
        self.runs: dict[str, OpenRun] = {}
        self._ended: dict[str, OpenRun] = {}
        self._cursor = Cursor()

    def follow(self, files: WriterFiles) -> None:
        """Read on in the program's files, which were listed just now."""
        more = True
        while more:
            chunk = read(files, self._cursor, max_bytes=_BYTES)
            self._cursor, more = chunk.cursor, chunk.more
            for points in chunk.points:
                # The file that told of its beginning may be folded and gone.
                known = points.run_uid in self.runs or points.run_uid in self._ended
                if not known and points.context.phase == Phase.FIT:
                    self.runs[points.run_uid] = OpenRun(self.header.wall_us, None)
            for entry in chunk.entries:
                self._take(entry)

    def due(self, now_us: int, age_us: int) -> dict[str, OpenRun]:
        """Return the open runs to measure for: the outermost ones, and only once they last."""
        if self.mode == "never":
            return {}
        age_us = 0 if self.mode == "always" else age_us
        return {
            uid: run
            for uid, run in self.runs.items()
            if run.parent not in self.runs and now_us - run.start_us >= age_us
        }

    def _take(self, entry: Entry) -> None:
        record = entry.record
        if isinstance(record, Process):
            self.mode = str(record.details.get("system_metrics", self.mode))
            return
        uid = entry.run_uid
        if uid is None:
            return
        if isinstance(record, RunOpen):
            self.runs[uid] = OpenRun(record.start_us, record.parent)
        elif isinstance(record, RunEnd):
            # Kept for a while: what is said of a run after its end does not open it.
            self._ended[uid] = self.runs.pop(uid, OpenRun(self.header.wall_us, None))
            if len(self._ended) > _REMEMBERED:
                del self._ended[next(iter(self._ended))]
        elif isinstance(record, RunUpdate) and record.reopened:
            self.runs[uid] = self._ended.pop(uid, OpenRun(self.header.wall_us, None))
