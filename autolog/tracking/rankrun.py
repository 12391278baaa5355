"""The run of a process group, as a rank above 0 sees it: a handle that the user logs through.

Rank 0 owns the run. What the user's code logs on another rank belongs to it too, told apart by the
rank in its context, but a rank cannot ask rank 0 which run that is: the question would be a
collective. So the first thing that is logged opens a run of kind `rank` in this rank's own
journal, and the fold moves it into the run that rank 0 had open, by the group's key. A rank whose
code logs nothing has no journal and touches no store.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from autolog.entities import Kind
from autolog.ids import new_id
from autolog.journal.records import RunOpen
from autolog.tracking.run import Fits, LiveRun

if TYPE_CHECKING:
    from autolog.tracking.recorder import Recorder

__all__ = ["RankRun"]


class RankRun(LiveRun):
    """A handle to the group's run; one below another is that one under another name.

    Files and models are stored below `rank-<n>/`: a program that logs the same file on each rank
    must not overwrite that of rank 0. Name, state and attempts are rank 0's to say.

    Args:
        recorder: the journal to write to, once there is something to write.
        rank: the rank of this process.
        run_id: the id of the group's run, where the user has said it; then nothing has to be moved.
        above: the handle that it is a child of.
        name: what the run is called if it turns out that rank 0 has none.
        experiment: likewise.
        fits: accepted as of any run; trainings on this rank are not recorded.
    """

    def __init__(
        self,
        recorder: Recorder,
        *,
        rank: int,
        run_id: str | None,
        above: RankRun | None,
        name: str,
        experiment: str,
        fits: Fits,
    ) -> None:
        super().__init__(
            recorder,
            run_id=above.run_id if above is not None else run_id or new_id(),
            name=name,
            kind=Kind.RANK.value,
            experiment=experiment,
            user_opened=True,
            attached=above is not None or run_id is not None,
            fits=fits,
        )
        self.rank = rank
        self._above = above
        self._opened = run_id is not None

    def restored(self, step: int) -> None:
        """Do nothing: rank 0 says where its run goes on from."""

    def rename(self, name: str) -> None:
        """Rename the handle alone: rank 0 says what its run is called."""
        self.name = name

    def number_in_journal(self) -> int:
        """Return the number under which the journal speaks of the run; the first call opens it."""
        return self._number()

    def _number(self) -> int:
        if self._above is not None:
            return self._above.number_in_journal()
        if not self._opened:
            self._opened = True
            if self.attached:  # a forked child: it and its parent must not both open one run
                self.run_id = new_id()
            writer = self._recorder.writer
            writer.append(
                RunOpen(
                    run=writer.run(self.run_id),
                    name=self.name,
                    kind=self.kind,
                    experiment=self.experiment,
                    start_us=writer.now_us(),
                    user_opened=True,
                )
            )
        return super()._number()

    def _placed(self, path: str) -> str:
        below = f"rank-{self.rank}/"
        return path if path.startswith(below) else below + path

    def _write_end(self, status: str, exit_code: int | None, error: str | None) -> None:
        if self._opened and self._recorder.started:
            super()._write_end(status, exit_code, error)
