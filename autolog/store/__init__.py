"""The store: what autolog keeps, and how it is opened.

Importing this package costs nothing: the database is imported by `open_store` alone, which the
training process never calls on its own.
"""

from __future__ import annotations

import os
from collections.abc import Iterable, Iterator, Mapping
from typing import TYPE_CHECKING, Any, Literal, Protocol

if TYPE_CHECKING:
    from autolog.entities import Event, Experiment, Model, Run, RunDetails
    from autolog.journal.reader import Cursor
    from autolog.store.answers import Downsampled, History, RunPage
    from autolog.store.batch import Batch, WriterRow
    from autolog.store.location import Location

__all__ = ["Store", "open_store"]


class Store(Protocol):
    """What every store can do. One that may not be written answers from a copy in memory."""

    @property
    def uri(self) -> str:
        """The store's normalised URI."""
        ...

    @property
    def location(self) -> Location:
        """Where its parts lie."""
        ...

    @property
    def writable(self) -> bool:
        """Whether what is applied outlives this object."""
        ...

    def cursor(self, writer: str) -> Cursor:
        """Return how far the journal of `writer` was applied; the beginning if nothing was."""
        ...

    @property
    def takes_batches(self) -> bool:
        """Whether `apply` works: in a copy in memory it does, on a server only with the right."""
        ...

    def writers(self, uids: Iterable[str]) -> dict[str, WriterRow]:
        """Return cursor and state of those of these writers that are known, by uid."""
        ...

    def apply(self, batch: Batch) -> bool:
        """Apply a stretch of a journal in one transaction, exactly once.

        Returns:
            False if the store's cursor is no longer where the batch was read from; nothing was
            done then.
        """
        ...

    def bury(self, writer: str) -> int:
        """Note that the process of `writer` is gone: its running runs become KILLED.

        Returns:
            How many runs that were.
        """
        ...

    def beat(self, writers: Iterable[str], every: float) -> None:
        """Note that these writers live, and promise to say so again within `every` seconds."""
        ...

    def judge_silent(self) -> int:
        """Find writers whose promised beat did not come: silent at first, their runs LOST later.

        Returns:
            How many runs were found LOST.
        """
        ...

    def silence(self, writer: str) -> None:
        """Note that nobody here can tell whether the process of `writer` still lives."""
        ...

    def link_parents(self) -> int:
        """Make root runs children of the run that an ancestor process had open at their start.

        Returns:
            How many runs got a parent.
        """
        ...

    def sync(self) -> None:
        """Make all that was applied safe against a loss of power."""
        ...

    def run(self, ref: str) -> Run:
        """Find a run by id, by an id prefix of four or more digits, or by name.

        Raises:
            NotFoundError: no such run (near names are listed), or several (they are listed).
        """
        ...

    def details(self, ref: str) -> RunDetails:
        """Find a run with its events, artifacts, models, inputs and children; see `run`."""
        ...

    def runs(
        self,
        *,
        experiment: str | None = None,
        parent: str | None = None,
        status: str | None = None,
        kind: str | None = None,
        roots_only: bool = False,
        limit: int = 100,
        after: str | None = None,
    ) -> RunPage:
        """List runs, newest first.

        Args:
            experiment: only runs of the experiment of this name.
            parent: only children of this run (see `run` for how it is named).
            status: only runs in this state.
            kind: only runs of this kind.
            roots_only: only runs without a parent.
            limit: how many runs a page has at most.
            after: the `next` of the page before.
        """
        ...

    def experiments(self) -> list[Experiment]:
        """List the experiments by name, each with its number of runs."""
        ...

    def metric_keys(self, ref: str) -> list[str]:
        """List the names of the metrics of a run, sorted."""
        ...

    def history(
        self,
        ref: str,
        key: str,
        *,
        context: str | Mapping[str, Any] | None = None,
        attempt: int | Literal["all"] | None = None,
        steps: tuple[int, int] | None = None,
    ) -> History:
        """Read the points of a metric, ordered by step, then time; none merged or left out.

        Args:
            ref: the run; see `run`.
            key: the metric's name.
            context: only points of this phase, or whose context has all these entries.
            attempt: None leaves out, in each context, what a later attempt of the run has gone
                over again: points after the step that it went on from, or, if that is not known,
                from its own first step on. A number chooses the points of that attempt; "all"
                all there are.
            steps: only points from the first of these steps to the last, both included.

        Raises:
            NotFoundError: no such run, or it has no such metric (near names are listed).
        """
        ...

    def histories(
        self, ref: str, *, attempt: int | Literal["all"] | None = None
    ) -> Iterator[tuple[str, History]]:
        """Read name and history of every metric of a run, one at a time, in no certain order.

        They are read from one state of the store: call nothing else of it before the last one.

        Args:
            ref: the run; see `run`.
            attempt: see `history`.

        Raises:
            NotFoundError: no such run.
        """
        ...

    def downsample(
        self,
        ref: str,
        key: str,
        *,
        buckets: int = 1000,
        context: str | Mapping[str, Any] | None = None,
        attempt: int | Literal["all"] | None = None,
        steps: tuple[int, int] | None = None,
    ) -> Downsampled:
        """Read the shape of a metric: counts, lowest, highest, first and last values of buckets.

        Args:
            ref: the run; see `run`.
            key: the metric's name.
            buckets: how many there are at most, 1 or more; so few points are answered as they are.
            context: see `history`.
            attempt: see `history`.
            steps: see `history`.

        Raises:
            NotFoundError: no such run, or it has no such metric (near names are listed).
            UsageError: less than one bucket.
        """
        ...

    def seal(self, budget: int = ...) -> int:
        """Compress appended points of long series, about `budget` values at most.

        What is read does not change. `fold` does it as it goes.

        Returns:
            How many values were sealed; 0 if nothing is left that is worth it.
        """
        ...

    def record_model(self, ref: str, model: Model) -> None:
        """Add a model to a run, or another format of one that it has, with its files."""
        ...

    def record_event(self, ref: str, event: Event) -> None:
        """Add an event to a run."""
        ...

    def close(self) -> None:
        """Let go of the database."""
        ...


def open_store(
    uri: str | os.PathLike[str] | Location | None = None,
    *,
    write: bool = True,
    create: bool = False,
) -> Store:
    """Open a store.

    Where the database may not be written, or `write` is False, the answer is a copy in memory
    (`writable` is False). Opening creates no folder: a store that is not there reads as empty.

    Args:
        uri: what `autolog.store.location.locate` takes, or its answer.
        write: open the database for writing where that is permitted.
        create: make the folder and the database if they are not there.

    Raises:
        StoreError: the database cannot be read; the message names the file and what to do.
        NewerStoreError: a newer autolog wrote it.
        UsageError: the URI makes no sense.
    """
    from autolog.store.location import Location, locate
    from autolog.store.sql.opening import open_sql

    return open_sql(uri if isinstance(uri, Location) else locate(uri), write=write, create=create)
