"""Removes runs, and the names of files that are not needed, in transactions of bounded size.

A run that is about to go is marked first, so that nobody restores it half removed; a removal that
was killed is continued by the next. Rows go by their keys, some hundred at a time, from every
table that has a `run_id`, whatever tables there are.
"""

from __future__ import annotations

import re
import time
from collections import defaultdict
from collections.abc import Collection, Iterable
from typing import Any, Final

from sqlalchemy import Connection, Table, and_, delete, exists, func, or_, select, tuple_, update

from autolog.entities import Status
from autolog.errors import NotFoundError
from autolog.store.removal import Doomed, Retention
from autolog.store.sql.connect import Database
from autolog.store.sql.find import near
from autolog.store.sql.names import batched
from autolog.store.sql.schema import metadata
from autolog.store.sql.series import materialise
from autolog.store.sql.values import to_json

__all__ = ["SqlRemoval"]

_run = metadata.tables["run"]
_experiment = metadata.tables["experiment"]
_writer = metadata.tables["writer"]
_process = metadata.tables["process"]
_event = metadata.tables["event"]
_artifact = metadata.tables["artifact"]
_model = metadata.tables["model"]
_version = metadata.tables["model_version"]
_series = metadata.tables["series"]
_tail = metadata.tables["tail"]
_chunk = metadata.tables["chunk"]
_key = metadata.tables["key"]
_tag = metadata.tables["tag"]
_param = metadata.tables["param"]

_ROWS: Final = 200
"""Rows of one transaction; the largest are blobs of points, of some hundred kB at most."""

_REMOVING: Final = "removing"
_HEX: Final = 64
_DIGEST: Final = re.compile(rf"(?<![0-9a-f])[0-9a-f]{{{_HEX}}}(?![0-9a-f])")
_LISTED: Final = 100
_KEPT_TABLES: Final = ("model_version",)
"""Tables that name runs and outlive them."""

_registered = exists().where(_version.c.run_id == _run.c.id)


class SqlRemoval:
    """See `autolog.store.removal.Removal` for what each method does."""

    def __init__(self, database: Database) -> None:
        self._database = database

    def deleted(self, before_us: int, experiment: str | None) -> list[Doomed]:
        """See `Removal.deleted`."""
        silent = or_(_run.c.status != Status.RUNNING.value, _run.c.last_us < before_us)
        old = and_(_run.c.lifecycle == "deleted", _run.c.deleted_us < before_us, silent)
        query = (
            select(_run.c.id, _run.c.uid, _run.c.parent_uid)
            .where(or_(_run.c.lifecycle == _REMOVING, old), ~_registered)
            .order_by(_run.c.depth.desc(), _run.c.id)
        )
        if experiment is not None:
            query = query.where(_run.c.experiment_id == _number_of(experiment))
        with self._database.read() as connection:
            rows = connection.execute(query).all()
            staying = _below_that_stay(connection, rows)
            return _described(connection, [row.id for row in rows if row.uid not in staying])

    def remove(self, run: Doomed) -> bool:
        """See `Removal.remove`."""
        mine = _run.c.id == run.id
        with self._database.write() as connection:
            marked = update(_run).where(mine, _run.c.lifecycle.in_(("deleted", _REMOVING)))
            if not connection.execute(marked.values(lifecycle=_REMOVING)).rowcount:
                return False
        for table in metadata.tables.values():
            if "run_id" in table.c and table.name not in _KEPT_TABLES:
                self._delete(table, table.c.run_id == run.id)
        with self._database.write() as connection:
            row = connection.execute(select(_run.c.origin_id, _run.c.owner_id).where(mine)).first()
            connection.execute(delete(_run).where(mine))
        for writer_id in sorted({number for number in row or () if number is not None}):
            self._forget_process(writer_id)
        return True

    def outside(self, rules: Retention, experiment: str | None) -> list[Doomed]:
        """See `Removal.outside`."""
        if rules.by is not None:
            self._materialise()
        with self._database.read() as connection:
            if rules.by is not None:
                _require_metric(connection, rules.by)
            by_experiment: dict[int | None, list[Any]] = defaultdict(list)
            for row in connection.execute(_candidates(rules, experiment)):
                by_experiment[row.experiment_id].append(row)
            spared = _spared(connection)
            doomed = [
                row.id
                for rows in by_experiment.values()
                for row in _losers(rows, rules)
                if row.id not in spared
            ]
            return _described(connection, sorted(doomed))

    def strip(self, run: Doomed, rules: Retention) -> None:
        """See `Removal.strip`."""
        with self._database.write() as connection:
            row = connection.execute(select(_run.c.id).where(_run.c.id == run.id).with_for_update())
            if row.first() is None:
                return
            paths = select(_artifact.c.path).where(_artifact.c.run_id == run.id)
            models = select(_model.c.name).distinct().where(_model.c.run_id == run.id)
            data = {
                "why": "retention",
                "kept": {
                    "best": rules.best,
                    "by": rules.by,
                    "mode": rules.mode,
                    "last": rules.last,
                },
                "models": sorted(connection.execute(models).scalars()),
                "files": run.files,
                "bytes": run.bytes,
                "paths": list(
                    connection.execute(paths.order_by(_artifact.c.path).limit(_LISTED)).scalars()
                ),
            }
            now_us = time.time_ns() // 1000
            event = {"run_id": run.id, "kind": "removed", "wall_us": now_us, "data": to_json(data)}
            connection.execute(_event.insert(), event)
            connection.execute(delete(_model).where(_model.c.run_id == run.id))
            connection.execute(delete(_artifact).where(_artifact.c.run_id == run.id))
            connection.execute(update(_run).where(_run.c.id == run.id).values(ver=_run.c.ver + 1))

    def named(self, prefix: str, without: Collection[int]) -> set[str]:
        """See `Removal.named`."""
        query = select(_artifact.c.sha256, _artifact.c.run_id)
        # Hex digits end before `g`: a range that an index answers.
        query = query.where(_artifact.c.sha256 >= prefix, _artifact.c.sha256 < f"{prefix}g")
        with self._database.read() as connection:
            rows = connection.execute(query)
            return {sha256 for sha256, run_id in rows if run_id not in without}

    def spoken_of(self, without: Collection[int]) -> set[str]:
        """See `Removal.spoken_of`."""
        found: set[str] = set()
        with self._database.read() as connection:
            gone = _processes_of_none_but(connection, without)
            for owner, text in _texts(connection):
                if owner not in gone:
                    found.update(_DIGEST.findall(text))
            for run_id, text in _texts_of_runs(connection):
                if run_id not in without:
                    found.update(_DIGEST.findall(text))
            versions = connection.execute(select(_version.c.sha256)).scalars()
            found.update(sha256 for sha256 in versions if sha256 is not None)
        return found

    def _delete(self, table: Table, which: Any) -> None:
        keys = list(table.primary_key)
        some = select(*keys).where(which).limit(_ROWS)
        while True:
            with self._database.write() as connection:
                rows = [tuple(row) for row in connection.execute(some)]
                if rows:
                    connection.execute(delete(table).where(tuple_(*keys).in_(rows)))
            if len(rows) < _ROWS:
                return

    def _forget_process(self, writer_id: int) -> None:
        """Remove what a process said of itself once it has ended and no run is left of it.

        Its cursor stays: its journal may still be there.
        """
        with self._database.write() as connection:
            of_it = or_(_run.c.origin_id == writer_id, _run.c.owner_id == writer_id)
            lives = and_(_writer.c.id == writer_id, _writer.c.state.in_(("open", "silent")))
            if connection.execute(
                select(or_(exists().where(of_it), exists().where(lives)))
            ).scalar():
                return
            connection.execute(delete(_process).where(_process.c.writer_id == writer_id))
            own = and_(_event.c.writer_id == writer_id, _event.c.run_id.is_(None))
            connection.execute(delete(_event).where(own))

    def _materialise(self) -> None:
        """Bring the last values of all metrics up to date."""
        dirty = select(_run.c.id).where(_run.c.tail_no > _run.c.clean_no)
        with self._database.read() as connection:
            ids = list(connection.execute(dirty).scalars())
        for piece in batched(ids, _ROWS):
            with self._database.write() as connection:
                materialise(connection, piece)


def _number_of(experiment: str) -> Any:
    return select(_experiment.c.id).where(_experiment.c.name == experiment).scalar_subquery()


def _below_that_stay(connection: Connection, rows: Iterable[Any]) -> set[str]:
    """Return the uids of those runs that have a run below them that stays."""
    parents = {row.uid: row.parent_uid for row in rows}
    staying: set[str] = set()
    for piece in batched(parents):
        query = select(_run.c.uid, _run.c.parent_uid).where(_run.c.parent_uid.in_(piece))
        for uid, parent in connection.execute(query):
            above: str | None = parent if uid not in parents else None
            while above is not None and above in parents and above not in staying:
                staying.add(above)
                above = parents[above]
    return staying


def _described(connection: Connection, ids: list[int]) -> list[Doomed]:
    """Return what runs have, in the order of their ids as given."""
    found: dict[int, Doomed] = {}
    for piece in batched(ids):
        files = (
            select(
                _artifact.c.run_id, func.count().label("n"), func.sum(_artifact.c.size).label("b")
            )
            .where(_artifact.c.run_id.in_(piece))
            .group_by(_artifact.c.run_id)
            .subquery()
        )
        points: dict[int, int] = defaultdict(int)
        for table in (_tail, _chunk):
            counted = select(table.c.run_id, func.sum(table.c.n)).where(table.c.run_id.in_(piece))
            for number, n in connection.execute(counted.group_by(table.c.run_id)):
                points[number] += int(n)
        joined = _run.outerjoin(_experiment, _experiment.c.id == _run.c.experiment_id).outerjoin(
            files, files.c.run_id == _run.c.id
        )
        query = select(
            _run.c.id, _run.c.uid, _run.c.name, _experiment.c.name, files.c.n, files.c.b
        ).select_from(joined)
        for number, uid, name, experiment, n, total in connection.execute(
            query.where(_run.c.id.in_(piece))
        ):
            found[number] = Doomed(
                id=number,
                run_id=uid,
                name=name,
                experiment=experiment or "",
                files=n or 0,
                bytes=int(total or 0),
                points=points[number],
            )
    return [found[number] for number in ids if number in found]


def _require_metric(connection: Connection, name: str) -> None:
    names = list(connection.execute(select(_key.c.name).where(_key.c.kind == "metric")).scalars())
    if name not in names:
        raise NotFoundError(f"no run has a metric {name!r}.{near(name, names)}")


def _candidates(rules: Retention, experiment: str | None) -> Any:
    """Return the query of ended runs with files, each with its last value of the metric."""
    value = (
        select(_series.c.run_id, _series.c.last_value)
        .join_from(_series, _key, _key.c.id == _series.c.key_id)
        .where(_series.c.shown, _key.c.kind == "metric", _key.c.name == (rules.by or ""))
        .subquery()
    )
    has = or_(
        exists().where(_artifact.c.run_id == _run.c.id),
        exists().where(_model.c.run_id == _run.c.id),
    )
    query = (
        select(_run.c.id, _run.c.uid, _run.c.experiment_id, _run.c.start_us, value.c.last_value)
        .select_from(_run.outerjoin(value, value.c.run_id == _run.c.id))
        .where(_run.c.lifecycle == "active", _run.c.status != Status.RUNNING.value, has)
    )
    if experiment is not None:
        query = query.where(_run.c.experiment_id == _number_of(experiment))
    return query


def _spared(connection: Connection) -> set[int]:
    """Return the runs that keep their files whatever the rules are."""
    tagged = (
        select(_tag.c.run_id)
        .join_from(_tag, _key, _key.c.id == _tag.c.key_id)
        .where(_key.c.kind == "tag", _key.c.name == "keep", func.lower(_tag.c.text) != "false")
    )
    registered = select(_version.c.run_id).where(_version.c.run_id.is_not(None))
    return {*connection.execute(tagged).scalars(), *connection.execute(registered).scalars()}


def _losers(rows: list[Any], rules: Retention) -> list[Any]:
    """Return the runs of one experiment that are neither among the best nor among the last.

    Where nothing was measured by that name nothing can be judged, and all stay.
    """
    newest = sorted(rows, key=lambda row: (row.start_us, row.uid), reverse=True)
    kept = {row.id for row in newest[: rules.last]}
    measured = [row for row in newest if row.last_value is not None]  # NaN is never the best
    if rules.best and not measured:
        return []
    measured.sort(key=lambda row: row.last_value, reverse=rules.mode == "max")
    kept.update(row.id for row in measured[: rules.best])
    return [row for row in rows if row.id not in kept]


def _processes_of_none_but(connection: Connection, without: Collection[int]) -> set[int]:
    """Return the ended processes all of whose runs are among these: what they said goes too."""
    if not without:
        return set()
    mine: set[int] = set()
    others: set[int] = set()
    for row in connection.execute(select(_run.c.id, _run.c.origin_id, _run.c.owner_id)):
        (mine if row.id in without else others).update((row.origin_id, row.owner_id))
    living = select(_writer.c.id).where(_writer.c.state.in_(("open", "silent")))
    return mine - others - set(connection.execute(living).scalars())


def _texts(connection: Connection) -> Iterable[Any]:
    """Yield what processes said and what happened to them, each with its writer."""
    yield from _scan(connection, select(_process.c.writer_id, _process.c.data))
    of_none = select(_event.c.writer_id, _event.c.data).where(_event.c.run_id.is_(None))
    yield from _scan(connection, of_none)


def _texts_of_runs(connection: Connection) -> Iterable[Any]:
    """Yield every text of runs that is long enough to hold a digest, each with its run."""
    for column in (_event.c.data, _model.c.manifest, _param.c.text, _tag.c.text):
        run_id = column.table.c.run_id
        long = func.length(column) >= _HEX
        yield from _scan(connection, select(run_id, column).where(run_id.is_not(None), long))


def _scan(connection: Connection, query: Any) -> Any:
    """Run a query over a whole table, some rows in memory at a time."""
    return connection.execute(query, execution_options={"yield_per": 1000})
