"""Counts what the database holds, each with one statement."""

from __future__ import annotations

from sqlalchemy import func, inspect, select, text

from autolog.store.sql.connect import Database
from autolog.store.sql.schema import metadata
from autolog.store.usage import Usage

__all__ = ["usage"]

_run = metadata.tables["run"]
_experiment = metadata.tables["experiment"]
_tail = metadata.tables["tail"]
_chunk = metadata.tables["chunk"]
_artifact = metadata.tables["artifact"]


def usage(database: Database) -> Usage:
    """See `autolog.store.usage.Usage`."""
    lifecycles = select(_run.c.lifecycle, func.count()).group_by(_run.c.lifecycle)
    statuses = (
        select(_run.c.status, func.count())
        .where(_run.c.lifecycle == "active")
        .group_by(_run.c.status)
    )
    each = (
        select(func.count().label("names"), func.max(_artifact.c.size).label("size"))
        .group_by(_artifact.c.sha256)
        .subquery()
    )
    files = select(
        func.count(),
        func.sum(each.c.names),
        func.sum(each.c.size),
        func.sum(each.c.size * each.c.names),
        func.count().filter(each.c.names > 1),
    ).select_from(each)
    with database.read() as connection:
        runs = {lifecycle: int(many) for lifecycle, many in connection.execute(lifecycles)}
        by_status = {status: int(many) for status, many in connection.execute(statuses)}
        experiments = connection.execute(select(func.count()).select_from(_experiment)).scalar_one()
        unsealed, sealed = (
            int(connection.execute(select(func.coalesce(func.sum(table.c.n), 0))).scalar_one())
            for table in (_tail, _chunk)
        )
        blobs, names, size, total, shared = connection.execute(files).one()
        revision = None
        if inspect(connection).has_table("alembic_version"):
            found = connection.execute(text("SELECT version_num FROM alembic_version"))
            revision = found.scalar()
    return Usage(
        revision=revision,
        runs=runs,
        statuses=by_status,
        experiments=experiments,
        points=unsealed + sealed,
        unsealed=unsealed,
        files=int(names or 0),
        file_bytes=int(total or 0),
        blobs=int(blobs),
        shared=int(shared),
        saved_bytes=int(total or 0) - int(size or 0),
    )
