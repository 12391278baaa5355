"""The Store protocol over an SQL database."""

from __future__ import annotations

import functools
from collections.abc import Iterable, Iterator, Sequence
from contextlib import AbstractContextManager
from functools import partial
from pathlib import Path
from typing import Any, Final, Literal, NoReturn

import msgspec
from sqlalchemy import Connection, and_, exists, func, select, text

from autolog.entities import Event, Experiment, Model, Run, RunDetails, Status
from autolog.errors import NotFoundError, UsageError
from autolog.journal.lease import this_process
from autolog.journal.reader import Cursor
from autolog.query.nodes import And, Comparison, Field, IsNull, Node
from autolog.query.parser import parse_filter, parse_order
from autolog.store.answers import Rollup, RunList, RunPage, Same
from autolog.store.batch import Batch, Due, WriterRow
from autolog.store.location import Location
from autolog.store.points import Downsampled, History
from autolog.store.portrait import Portrait, Taken
from autolog.store.recipe import is_seed
from autolog.store.sql import apply as applying
from autolog.store.sql import deaths, tree
from autolog.store.sql.additions import put_event, put_model
from autolog.store.sql.adoption import adopt
from autolog.store.sql.connect import Database
from autolog.store.sql.deletion import delete, restore
from autolog.store.sql.detail import details
from autolog.store.sql.documents import load
from autolog.store.sql.downsample import downsample
from autolog.store.sql.find import find_run, near
from autolog.store.sql.history import Attempt, Context, read_histories, read_history
from autolog.store.sql.names import Names, batched
from autolog.store.sql.removal import SqlRemoval
from autolog.store.sql.request import Search
from autolog.store.sql.rollup import roll_up, spreads
from autolog.store.sql.schema import metadata
from autolog.store.sql.seal import MAX_VALUES, long_tails, seal, worth_sealing
from autolog.store.sql.search import search
from autolog.store.sql.series import materialise
from autolog.store.sql.take_in import take_in
from autolog.store.sql.take_out import identity, take_out
from autolog.store.sql.upgrade import HEAD
from autolog.store.sql.usage import usage
from autolog.store.usage import Usage

__all__ = ["SqlStore"]

_run = metadata.tables["run"]
_writer = metadata.tables["writer"]
_experiment = metadata.tables["experiment"]
_key = metadata.tables["key"]
_series = metadata.tables["series"]

_PIECE: Final = 1000
"""Documents that are made in one transaction."""


_REVISION: Final = text("SELECT version_num FROM alembic_version")


@functools.cache
def _due(dialect: str) -> Any:
    """Make the statement of `Store.due` once: each read asks it."""
    adopted = exists(select(_run.c.id).where(_run.c.adopt))
    return select(adopted, exists(long_tails()), deaths.overdue(dialect))


class SqlStore:
    """See `autolog.store.Store` for what each method does."""

    def __init__(self, database: Database, location: Location, *, writable: bool) -> None:
        self._database = database
        self._names = Names(database)
        self.location = location
        path = database.path
        self._file = path and _identity_of(path)
        self.uri = location.uri
        self.writable = writable

    def cursor(self, writer: str) -> Cursor:
        """See `Store.cursor`."""
        query = select(_writer).where(_writer.c.uid == writer)
        with self._database.read() as connection:
            row = connection.execute(query).mappings().first()
        return Cursor() if row is None else applying.cursor_of(row)

    @property
    def takes_batches(self) -> bool:
        """See `Store.takes_batches`."""
        return self.writable or self._database.in_memory

    def writers(self, uids: Iterable[str]) -> dict[str, WriterRow]:
        """See `Store.writers`."""
        rows: list[Any] = []
        with self._database.read() as connection:
            for piece in batched(uids):
                query = select(_writer).where(_writer.c.uid.in_(piece))
                rows += connection.execute(query).mappings()
        return {row["uid"]: WriterRow(applying.cursor_of(row), row["state"]) for row in rows}

    def apply(self, batch: Batch) -> bool:
        """See `Store.apply`."""
        return applying.apply(self._database, self._names, batch)

    def bury(self, writer: str) -> int:
        """See `Store.bury`."""
        return self._database.transact(lambda connection: deaths.bury(connection, writer))

    def beat(self, writers: Iterable[str], every: float, ago: float = 0.0) -> None:
        """See `Store.beat`."""
        uids = list(writers)
        if uids:
            self._database.transact(lambda connection: deaths.beat(connection, uids, every, ago))

    def judge_silent(self) -> int:
        """See `Store.judge_silent`."""
        return self._database.transact(deaths.judge)

    def refresh(self, runs: Iterable[str]) -> None:
        """See `Store.refresh`."""
        for piece in batched(runs):
            load(self._database, _run.c.uid.in_(piece))

    def silence(self, writer: str) -> None:
        """See `Store.silence`."""
        self._database.transact(lambda connection: deaths.silence(connection, writer))

    def due(self) -> Due:
        """See `Store.due`."""
        with self._database.read() as connection:
            found = connection.execute(_due(connection.dialect.name), deaths.now(connection))
            return Due(*map(bool, found.one()))

    def link_parents(self, before_us: int | None = None) -> int:
        """See `Store.link_parents`."""
        return self._database.transact(lambda connection: adopt(connection, before_us))

    def sync(self) -> None:
        """See `Store.sync`."""
        self._database.sync()

    def run(self, ref: str) -> Run:
        """See `Store.run`."""
        with self._database.read() as connection:
            run_id = find_run(connection, ref).id
        return self._one(run_id)

    def details(self, ref: str) -> RunDetails:
        """See `Store.details`."""
        with self._database.read() as connection:
            run_id = find_run(connection, ref).id
        run = self._one(run_id)
        with self._database.read() as connection:
            row = connection.execute(select(_run).where(_run.c.id == run_id)).one()
            return details(connection, row, run)

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
        """See `Store.runs`."""
        given = {"status": status, "kind": kind}
        nodes: list[Node] = [
            Comparison(Field("attribute", name), "=", value)
            for name, value in given.items()
            if value is not None
        ]
        if parent is not None:
            with self._database.read() as connection:
                uid = find_run(connection, parent).uid
            nodes.append(Comparison(Field("attribute", "parent_id"), "=", uid))
        if roots_only:
            nodes.append(IsNull(Field("attribute", "parent_id")))
        found = self._found(
            Search(
                filter=And(tuple(nodes)) if nodes else None,
                experiments=None if experiment is None else (experiment,),
                limit=limit,
                token=after,
            )
        )
        return RunPage(list(found), found.next)

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
        """See `Store.search`."""
        names = (experiment,) if isinstance(experiment, str) else experiment
        return self._found(
            Search(
                filter=parse_filter(filter),
                order=parse_order(order_by),
                experiments=None if names is None else tuple(names),
                limit=limit,
                token=page_token,
                total=total,
                deleted=deleted,
            )
        )

    def rollup(
        self,
        ref: str,
        metrics: Iterable[str] | None = None,
        depth: Literal["children", "all"] = "children",
    ) -> Rollup:
        """See `Store.rollup`."""

        def work(connection: Connection) -> Rollup:
            return roll_up(connection, find_run(connection, ref).uid, metrics, depth)

        return self._database.transact(work)

    def same(self, ref: str) -> Same:
        """See `Store.same`."""
        unsettled = select(_run.c.id).where(_run.c.recipe.is_(None), _run.c.opened)
        with self._database.read() as connection:
            ids = list(connection.execute(unsettled).scalars())
        for piece in batched(ids):  # making a run's document settles its recipe
            load(self._database, _run.c.id.in_(piece))
        run = self.run(ref)
        if run.recipe is None:
            raise NotFoundError(f"run {run.name} has no recipe: its beginning has not arrived yet")
        alike = and_(_run.c.recipe == run.recipe, _run.c.lifecycle == "active")
        runs = self._placed(load(self._database, alike))
        seeds: dict[str, list[Any]] = {}
        for one in reversed(runs):
            for name, value in one.params.items():
                if is_seed(name) and value not in seeds.setdefault(name, []):
                    seeds[name].append(value)
        finished = and_(alike, _run.c.status == Status.FINISHED.value)
        metrics = self._database.transact(lambda connection: spreads(connection, finished))
        return Same(recipe=run.recipe, runs=runs, metrics=metrics, seeds=seeds)

    def unfinished(self, job: str, *, gone: bool) -> list[RunDetails]:
        """See `Store.unfinished`."""
        query = (
            select(_run.c.uid, _writer.c.state, _writer.c.host)
            .select_from(_run.outerjoin(_writer, _writer.c.id == _run.c.owner_id))
            .where(
                _run.c.job == job,
                _run.c.lifecycle == "active",
                _run.c.status != Status.FINISHED.value,
            )
            .order_by(_run.c.start_us.desc(), _run.c.id.desc())
        )
        with self._database.read() as connection:
            rows = connection.execute(query).all()
        here = this_process().host
        return [
            self.details(row.uid)
            for row in rows
            if row.state in ("dead", "closed", "lost")
            # Of a process that cannot be seen from here only the scheduler knows.
            or (gone and (row.state == "silent" or row.host != here))
        ]

    def delete_run(self, ref: str, recursive: bool = False) -> int:
        """See `Store.delete_run`."""

        def work(connection: Connection) -> int:
            return delete(connection, find_run(connection, ref), recursive=recursive)

        return self._database.transact(work)

    def restore_run(self, ref: str) -> int:
        """See `Store.restore_run`."""

        def work(connection: Connection) -> int:
            return restore(connection, find_run(connection, ref))

        return self._database.transact(work)

    def move_run(self, ref: str, parent: str | None) -> None:
        """See `Store.move_run`."""

        def work(connection: Connection) -> None:
            over = None if parent is None else find_run(connection, parent)
            tree.move(connection, find_run(connection, ref), over)

        self._database.transact(work)

    def experiments(self) -> list[Experiment]:
        """See `Store.experiments`."""
        query = (
            select(_experiment.c.name, _experiment.c.created_us, func.count(_run.c.id))
            .select_from(
                _experiment.outerjoin(
                    _run,
                    (_run.c.experiment_id == _experiment.c.id) & (_run.c.lifecycle == "active"),
                )
            )
            .group_by(_experiment.c.id, _experiment.c.name, _experiment.c.created_us)
            .order_by(_experiment.c.name)
        )
        with self._database.read() as connection:
            rows = connection.execute(query).all()
        return [Experiment(name=name, created=us // 1000, runs=runs) for name, us, runs in rows]

    def metric_keys(self, ref: str) -> list[str]:
        """See `Store.metric_keys`."""
        return sorted(self._metrics(ref)[1].values())

    def history(
        self,
        ref: str,
        key: str,
        *,
        context: Context = None,
        attempt: Attempt = None,
        steps: tuple[int, int] | None = None,
    ) -> History:
        """See `Store.history`."""
        with self._database.read() as connection:
            row, key_id = self._metric(connection, ref, key)
            found = read_history(
                connection, row.id, key_id, context=context, attempt=attempt, steps=steps
            )
        return found if found is not None else self._unknown(row, key)

    def histories(self, ref: str, *, attempt: Attempt = None) -> Iterator[tuple[str, History]]:
        """See `Store.histories`."""
        run_id, names = self._metrics(ref)
        with self._database.read() as connection:
            yield from read_histories(connection, run_id, names, attempt)

    def downsample(
        self,
        ref: str,
        key: str,
        *,
        buckets: int = 1000,
        context: Context = None,
        attempt: Attempt = None,
        steps: tuple[int, int] | None = None,
    ) -> Downsampled:
        """See `Store.downsample`."""
        if buckets < 1:
            raise UsageError(f"downsample() takes one bucket or more, not {buckets}")
        with self._database.read() as connection:
            row, key_id = self._metric(connection, ref, key)
            found = downsample(
                connection, row.id, key_id, buckets, context=context, attempt=attempt, steps=steps
            )
        return found if found is not None else self._unknown(row, key)

    def seal(self, budget: int = MAX_VALUES) -> int:
        """See `Store.seal`."""
        if not self.writable:
            return 0
        done = 0
        while done < budget:
            with self._database.read() as connection:
                runs = worth_sealing(connection)
            before = done
            for run_id in runs:
                if done < budget:
                    limit = min(budget - done, MAX_VALUES)
                    done += self._database.transact(partial(seal, run_id=run_id, limit=limit))
            if done == before:
                break
        return done

    def _metric(self, connection: Connection, ref: str, key: str) -> tuple[Any, int]:
        """Return the row of a run and the id of a name, -1 if no run has such a metric."""
        row = find_run(connection, ref)
        query = select(_key.c.id).where(_key.c.kind == "metric", _key.c.name == key)
        return row, connection.execute(query).scalar() or -1

    def _metrics(self, ref: str) -> tuple[int, dict[int, str]]:
        """Return the id of a run and its metrics by id, after counting what is new."""
        with self._database.read() as connection:
            row = find_run(connection, ref)
        if row.tail_no > row.clean_no:
            self._database.transact(partial(materialise, run_ids=[row.id]))
        query = (
            select(_key.c.id, _key.c.name)
            .join_from(_series, _key, _key.c.id == _series.c.key_id)
            .where(_series.c.run_id == row.id)
            .distinct()
        )
        with self._database.read() as connection:
            return row.id, {one.id: one.name for one in connection.execute(query)}

    def _unknown(self, row: Any, key: str) -> NoReturn:
        names = sorted(self._metrics(row.uid)[1].values())
        hint = near(key, names)
        if not hint:
            hint = f" It has {', '.join(names[:20])}." if names else " It has no metrics."
        raise NotFoundError(f"run {row.name} has no metric {key!r}.{hint}")

    def record_model(self, ref: str, model: Model) -> None:
        """See `Store.record_model`."""
        with self._database.write() as connection:
            put_model(connection, find_run(connection, ref).id, model)

    def record_event(self, ref: str, event: Event) -> None:
        """See `Store.record_event`."""
        with self._database.write() as connection:
            put_event(connection, find_run(connection, ref).id, event)

    def identity(self) -> str:
        """See `Store.identity`."""
        return identity(self._database)

    def take_out(self, ref: str) -> AbstractContextManager[Portrait]:
        """See `Store.take_out`."""
        return take_out(self._database, ref)

    def take_in(self, portrait: Portrait) -> Taken:
        """See `Store.take_in`."""
        return take_in(self._database, self._names, portrait)

    def removal(self) -> SqlRemoval:
        """See `Store.removal`."""
        return SqlRemoval(self._database)

    def usage(self) -> Usage:
        """See `Store.usage`."""
        return usage(self._database)

    def is_current(self) -> bool:
        """See `Store.is_current`."""
        path = self._database.path
        if path is None or _identity_of(path) != self._file:
            return False
        with self._database.read() as connection:
            revision = connection.execute(_REVISION).scalar()
        return revision == HEAD

    def close(self) -> None:
        """See `Store.close`."""
        self._database.close()

    def _found(self, wanted: Search) -> RunList:
        runs, token, total = search(self._database, wanted)
        return RunList(self._placed(runs), token, total)

    def _one(self, run_id: int) -> Run:
        found = load(self._database, _run.c.id == run_id)
        if not found:
            raise NotFoundError("the run was deleted while it was read")
        return self._placed(found)[0]

    def _placed(self, runs: list[Run]) -> list[Run]:
        """Say where artifacts lie; documents do not, as a store may be moved."""
        uri = self.location.artifacts.as_uri()
        for run in runs:
            # Nobody else has seen these yet, and a copy of each takes as long as reading it.
            msgspec.structs.force_setattr(run, "artifact_uri", uri)
        return runs


def _identity_of(path: Path) -> tuple[int, int] | None:
    """Tell a file from another one at the same place; None if there is none."""
    try:
        found = path.stat()
    except OSError:
        return None
    return found.st_dev, found.st_ino
