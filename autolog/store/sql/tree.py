"""The place of a run in its tree: `root_uid` and `depth`, kept when parents come late.

A parent is named by its uid, so a child may be there first (a journal that was synced earlier)
and is found by its parent once that arrives.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any, Final

from sqlalchemy import Connection, bindparam, or_, select, update

from autolog.store.sql.changes import Row
from autolog.store.sql.names import batched
from autolog.store.sql.schema import metadata
from autolog.store.sql.values import from_json

__all__ = ["adopt", "place"]

_run = metadata.tables["run"]
_writer = metadata.tables["writer"]

_MAX_DEPTH: Final = 1000
"""Where a circle of parents, which only a damaged or foreign journal can hold, is given up."""


def place(connection: Connection, uids: Iterable[str]) -> None:
    """Set root and depth of these runs, and of all below those that moved."""
    parent = _run.alias("parent")
    columns = (_run.c.id, _run.c.uid, _run.c.parent_uid, _run.c.root_uid, _run.c.depth)
    above = (parent.c.root_uid.label("above"), parent.c.depth.label("above_depth"))
    joined = _run.outerjoin(parent, parent.c.uid == _run.c.parent_uid)
    query = select(*columns, *above).select_from(joined).order_by(_run.c.id)
    wanted = list(uids)
    for _ in range(_MAX_DEPTH):
        moved: list[Row] = []
        uids_moved: list[str] = []
        for piece in batched(wanted):
            touched = or_(_run.c.uid.in_(piece), _run.c.parent_uid.in_(piece))
            below = query.where(touched, _run.c.parent_uid.is_not(None))
            for row in connection.execute(below):
                root = row.above or row.parent_uid
                depth = (row.above_depth or 0) + 1
                if (root, depth) != (row.root_uid, row.depth):
                    moved.append({"b_id": row.id, "b_root": root, "b_depth": depth})
                    uids_moved.append(row.uid)
        if not moved:
            return
        statement = update(_run).where(_run.c.id == bindparam("b_id"))
        statement = statement.values(
            root_uid=bindparam("b_root"), depth=bindparam("b_depth"), ver=_run.c.ver + 1
        )
        connection.execute(statement, moved)
        wanted = uids_moved


def adopt(connection: Connection) -> int:
    """Link root runs to the run that an ancestor of their process had open at its start.

    An ancestor journals its run before it can start a child, so after a whole fold whoever finds
    no such run now never will: the question is settled for all that asked.
    """
    query = (
        select(
            _run.c.id.label("run_id"),
            _run.c.uid.label("run_uid"),
            _writer.c.id,
            _writer.c.ancestors,
            _writer.c.host,
            _writer.c.boot,
            _writer.c.pid_namespace,
            _writer.c.start_us,
        )
        .join_from(_run, _writer, _writer.c.id == _run.c.origin_id)
        .where(_run.c.adopt)
        .order_by(_run.c.id)
    )
    adopted: list[Row] = []
    uids: list[str] = []
    parents: dict[int, str | None] = {}
    rows = connection.execute(query).all()
    for row in rows:
        writer_id = row.id
        if writer_id not in parents:
            parents[writer_id] = _open_above(connection, row)
        found = parents[writer_id]
        if found is not None:
            adopted.append({"b_id": row.run_id, "b_parent": found})
            uids.append(row.run_uid)
    if adopted:
        statement = update(_run).where(_run.c.id == bindparam("b_id"))
        connection.execute(
            statement.values(parent_uid=bindparam("b_parent"), ver=_run.c.ver + 1), adopted
        )
        place(connection, uids)
    if rows:
        for piece in batched([row.run_id for row in rows]):
            connection.execute(update(_run).where(_run.c.id.in_(piece)).values(adopt=False))
    return len(adopted)


def _open_above(connection: Connection, row: Any) -> str | None:
    """Return the uid of the innermost user-opened run of the nearest ancestor, at the start."""
    for pid, start in from_json(row.ancestors):
        query = (
            select(_run.c.uid)
            .join_from(_run, _writer, _writer.c.id == _run.c.origin_id)
            .where(
                _writer.c.pid == pid,
                _writer.c.pid_start == start,
                _writer.c.host == row.host,
                _writer.c.boot == row.boot,
                _writer.c.pid_namespace == row.pid_namespace,
                _run.c.user_opened,
                _run.c.start_us <= row.start_us,
                or_(_run.c.end_us.is_(None), _run.c.end_us >= row.start_us),
            )
            .order_by(_run.c.start_us.desc(), _run.c.id.desc())
            .limit(1)
        )
        found = connection.execute(query).scalar()
        if found is not None:
            return str(found)
    return None
