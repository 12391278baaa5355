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
    """A handle to the group's run.

    Files and models are stored below `rank-<n>/`: a program that logs the same file on each rank
    must not overwrite that of rank 0. Name, state and attempts are rank 0's to say.

    Args:
        recorder: the journal to write to, once there is something to write.
        rank: the rank of this process.
        run_id: the id of the group's run, where the user has said it; then nothing has to be moved.
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
        name: str,
        experiment: str,
        fits: Fits,
    ) -> None:
        super().__init__(
            recorder,
            run_id=run_id or new_id(),
            name=name,
            kind=Kind.RANK.value,
            experiment=experiment,
            user_opened=True,
            attached=run_id is not None,
            fits=fits,
        )
        self.rank = rank
        self._opened_in: object | None = None
        """The journal in which the run was opened."""

    def restored(self, step: int) -> None:
        """Do nothing: rank 0 says where its run goes on from."""

    def rename(self, name: str) -> None:
        """Rename the handle alone: rank 0 says what its run is called."""
        self.name = name

    def _number(self) -> int:
        writer = self._recorder.writer
        if self._opened_in is not writer and not self.attached:
            self._opened_in = writer
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
        if self._opened_in is not None or (self.attached and self._recorder.started):
            super()._write_end(status, exit_code, error)
