"""The store: what autolog keeps, and how it is opened.

Importing this package costs nothing: the database is imported by `open_store` alone, which the
training process never calls on its own.
"""

from __future__ import annotations

import os
from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import AbstractContextManager
from typing import TYPE_CHECKING, Any, Literal, Protocol

if TYPE_CHECKING:
    from autolog.entities import Event, Experiment, Model, Run, RunDetails
    from autolog.journal.reader import Cursor
    from autolog.store.answers import Rollup, RunList, RunPage, Same
    from autolog.store.batch import Batch, Due, WriterRow
    from autolog.store.location import Location
    from autolog.store.points import Downsampled, History
    from autolog.store.portrait import Portrait, Taken
    from autolog.store.removal import Removal
    from autolog.store.usage import Usage

__all__ = ["Store", "open_store", "upgrade_store"]


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

    def beat(self, writers: Iterable[str], every: float, ago: float = 0.0) -> None:
        """Note that these writers lived some seconds ago, as will be said every so many seconds."""
        ...

    def judge_silent(self) -> int:
        """Find writers whose promised beat did not come: silent at first, their runs LOST later.

        Returns:
            How many runs were found LOST.
        """
        ...

    def refresh(self, runs: Iterable[str]) -> None:
        """Make ready what listings show of these runs (whole ids), so that no reader has to."""
        ...

    def silence(self, writer: str) -> None:
        """Note that nobody here can tell whether the process of `writer` still lives."""
        ...

    def due(self) -> Due:
        """Say what else there is to do, by one statement: a reader asks at every call."""
        ...

    def link_parents(self, before_us: int | None = None) -> int:
        """Find out which root runs belong below or into a run of an ancestor process or a group.

        Args:
            before_us: when the fold before this began: runs of processes that journalled first
                after that are asked about again if nothing was found above them.

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

    def rollup(
        self,
        ref: str,
        metrics: Iterable[str] | None = None,
        depth: Literal["children", "all"] = "children",
    ) -> Rollup:
        """Sum up the runs below a run: how many, and the spread of their metrics' last values.

        Args:
            ref: the run above them; see `run`.
            metrics: only these; all by default.
            depth: its children, or all below it.
        """
        ...

    def same(self, ref: str) -> Same:
        """Find the runs of the same recipe: equal but for seeds, host and time.

        Returns:
            The run itself among them, and the spread of the metrics of those that finished.

        Raises:
            NotFoundError: no such run, or nothing but points has arrived of it.
        """
        ...

    def unfinished(self, job: str, *, gone: bool) -> list[RunDetails]:
        """Return the runs of a job that did not finish and whose process is gone, newest first.

        Args:
            job: the digest that their RunOpen carries.
            gone: a process that nobody here can see is gone too: its scheduler says so.
        """
        ...

    def delete_run(self, ref: str, recursive: bool = False) -> int:
        """Delete a run: listings and searches pass over it, and nothing is removed yet.

        What is still recorded for it is kept and does not bring it back.

        Args:
            ref: the run; see `run`.
            recursive: with all that is below it.

        Returns:
            How many runs were deleted: 0 if it was deleted already.

        Raises:
            UsageError: it has children and `recursive` is not set; the message counts them.
        """
        ...

    def restore_run(self, ref: str) -> int:
        """Bring back a deleted run, with all below it that was deleted by the same call.

        Returns:
            How many runs came back: 0 if it is not deleted.

        Raises:
            UsageError: a run above it is deleted.
        """
        ...

    def move_run(self, ref: str, parent: str | None) -> None:
        """Put a run, with all below it, under another parent; None makes it a root.

        Raises:
            UsageError: the parent is the run or below it (the message shows how), or deleted.
        """
        ...

    def search(
        self,
        filter: str | None = None,  # noqa: A002  the field's standard name
        *,
        experiment: str | Sequence[str] | None = None,
        order_by: str | Sequence[str] | None = None,
        limit: int | None = 100,
        page_token: str | None = None,
        total: bool = False,
        deleted: bool = False,
    ) -> RunList:
        """Search runs; see `autolog.search_runs`.

        Args:
            filter: what runs have to pass; None is all.
            experiment: only runs of this experiment, or of these.
            order_by: keys such as `metrics.acc desc`; then, or without any, newest first.
            limit: how many runs are returned at most; None returns all.
            page_token: the `next` of the answer before, to the same search.
            total: count all runs that pass as well.
            deleted: search deleted runs as well.

        Raises:
            QueryError: filter or order cannot be read; the message points at the character.
            UsageError: the limit or the page token makes no sense.
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

    def identity(self) -> str:
        """Return the id that tells this store from every other, whatever its URI."""
        ...

    def take_out(self, ref: str) -> AbstractContextManager[Portrait]:
        """Hold everything of a run, in one state of it, to be taken in elsewhere.

        Its points are read while somebody goes through them, one metric at a time, and only
        inside of the `with` block.

        Args:
            ref: the run; see `run`.

        Raises:
            NotFoundError: no such run, or several.
        """
        ...

    def take_in(self, portrait: Portrait) -> Taken:
        """Take in a run of another store, or what is new of one that is here.

        It happens in one transaction, and taking in the same again changes nothing. Points are
        the same if all of key, context, attempt, step, epoch, time and value are; equal ones are
        kept as often as either store has them. The first value of a parameter stays (another is
        an event), the last value of a tag wins, a status only moves forward. A parent may come
        later than its children. The files must be there before: see
        `autolog.artifacts.transfer.send`.
        """
        ...

    def removal(self) -> Removal:
        """Return the steps in which `autolog gc` removes things for good."""
        ...

    def usage(self) -> Usage:
        """Count what the store holds."""
        ...

    def is_current(self) -> bool:
        """Whether the database is still the one that was opened, in a schema that we know."""
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


def upgrade_store(uri: str | os.PathLike[str] | None = None) -> tuple[str | None, str]:
    """Bring a store to the newest schema; return its revision before (None: no schema) and after.

    Raises:
        StoreError: the database cannot be reached or changed.
        NewerStoreError: a newer autolog wrote it.
        UsageError: the URI makes no sense.
    """
    from autolog.store.location import locate
    from autolog.store.sql.opening import upgrade

    return upgrade(locate(uri))
