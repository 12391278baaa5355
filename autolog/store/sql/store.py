"""The Store protocol over an SQL database."""

from __future__ import annotations

import time
from collections.abc import Iterable, Mapping, Sequence
from typing import Any

import msgspec
from sqlalchemy import func, select, update

from autolog.entities import Event, Experiment, Model, Run, RunDetails
from autolog.errors import NotFoundError
from autolog.journal.reader import Cursor
from autolog.query.nodes import And, Comparison, Field, IsNull, Node
from autolog.query.parser import parse_filter, parse_order
from autolog.store.answers import History, RunList, RunPage
from autolog.store.batch import Batch, WriterRow
from autolog.store.location import Location
from autolog.store.sql import apply as applying
from autolog.store.sql import deaths, tree
from autolog.store.sql.connect import Database
from autolog.store.sql.detail import details
from autolog.store.sql.documents import load
from autolog.store.sql.find import find_run, near
from autolog.store.sql.history import read_history
from autolog.store.sql.names import Names, batched, insert
from autolog.store.sql.request import Search
from autolog.store.sql.schema import metadata
from autolog.store.sql.search import search
from autolog.store.sql.series import materialise
from autolog.store.sql.values import to_json

__all__ = ["SqlStore"]

_run = metadata.tables["run"]
_writer = metadata.tables["writer"]
_experiment = metadata.tables["experiment"]
_key = metadata.tables["key"]
_series = metadata.tables["series"]


class SqlStore:
    """See `autolog.store.Store` for what each method does."""

    def __init__(self, database: Database, location: Location, *, writable: bool) -> None:
        self._database = database
        self._names = Names(database)
        self.location = location
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

    def beat(self, writers: Iterable[str], every: float) -> None:
        """See `Store.beat`."""
        uids = list(writers)
        if uids:
            self._database.transact(lambda connection: deaths.beat(connection, uids, every))

    def judge_silent(self) -> int:
        """See `Store.judge_silent`."""
        with self._database.read() as connection:
            overdue = deaths.overdue(connection)
        if not overdue:
            return 0
        return self._database.transact(deaths.judge)

    def silence(self, writer: str) -> None:
        """See `Store.silence`."""
        self._database.transact(lambda connection: deaths.silence(connection, writer))

    def link_parents(self) -> int:
        """See `Store.link_parents`."""
        with self._database.read() as connection:
            if connection.execute(select(_run.c.id).where(_run.c.adopt).limit(1)).first() is None:
                return 0
        return self._database.transact(tree.adopt)

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
        with self._database.read() as connection:
            row = find_run(connection, ref)
        if row.tail_no > row.clean_no:
            with self._database.write() as connection:
                materialise(connection, [row.id])
        query = (
            select(_key.c.name)
            .join_from(_series, _key, _key.c.id == _series.c.key_id)
            .where(_series.c.run_id == row.id)
            .distinct()
        )
        with self._database.read() as connection:
            return sorted(connection.execute(query).scalars())

    def history(
        self,
        ref: str,
        key: str,
        *,
        context: str | Mapping[str, Any] | None = None,
        attempt: int | None = None,
    ) -> History:
        """See `Store.history`."""
        with self._database.read() as connection:
            row = find_run(connection, ref)
            found = read_history(connection, row.id, key, context, attempt)
        if found is not None:
            return found
        names = self.metric_keys(row.uid)
        hint = near(key, names)
        if not hint:
            hint = f" It has {', '.join(names[:20])}." if names else " It has no metrics."
        raise NotFoundError(f"run {row.name} has no metric {key!r}.{hint}")

    def record_model(self, ref: str, model: Model) -> None:
        """See `Store.record_model`."""
        with self._database.write() as connection:
            run_id = find_run(connection, ref).id
            for file in model.files:
                row = msgspec.structs.asdict(file) | {"run_id": run_id}
                self._put(connection, "artifact", row, "run_id", "path")
            row = {
                "run_id": run_id,
                "name": model.name,
                "format": model.format,
                "safe": model.safe,
                "size": model.size,
                "paths": to_json([file.path for file in model.files]),
                "manifest": to_json(model.manifest),
                "wall_us": time.time_ns() // 1000,
            }
            self._put(connection, "model", row, "run_id", "name", "format")
            connection.execute(update(_run).where(_run.c.id == run_id).values(ver=_run.c.ver + 1))

    def record_event(self, ref: str, event: Event) -> None:
        """See `Store.record_event`."""
        with self._database.write() as connection:
            run_id = find_run(connection, ref).id
            row = {
                "run_id": run_id,
                "kind": event.kind,
                "wall_us": event.time * 1000,
                "data": to_json(event.data),
            }
            connection.execute(metadata.tables["event"].insert(), row)
            connection.execute(update(_run).where(_run.c.id == run_id).values(ver=_run.c.ver + 1))

    def close(self) -> None:
        """See `Store.close`."""
        self._database.close()

    def _found(self, wanted: Search) -> RunList:
        runs, token, total = search(self._database, wanted)
        return RunList(self._placed(runs), token, total)

    def _one(self, run_id: int) -> Run:
        found = load(self._database, run_id)
        if found is None:
            raise NotFoundError("the run was deleted while it was read")
        return self._placed([found])[0]

    def _placed(self, runs: list[Run]) -> list[Run]:
        """Say where artifacts lie; documents do not, as a store may be moved."""
        uri = self.location.artifacts.as_uri()
        for run in runs:
            # Nobody else has seen these yet, and a copy of each takes as long as reading it.
            msgspec.structs.force_setattr(run, "artifact_uri", uri)
        return runs

    @staticmethod
    def _put(connection: Any, table: str, row: dict[str, Any], *keys: str) -> None:
        statement = insert(connection, metadata.tables[table]).values(row)
        new = {name: value for name, value in row.items() if name not in keys}
        connection.execute(statement.on_conflict_do_update(index_elements=keys, set_=new))
