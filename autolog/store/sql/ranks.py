"""Moves what ranks above 0 have logged into the run of their process group.

A rank cannot know that run's id, so it journals a run of kind `rank`, see docs/journal.md. Once
adoption has found the group's run, everything in the run of the rank becomes part of it, and what
its journal says later goes there directly. What is left is an empty, absorbed run that names it.

Such a run is never sealed: its points are whole blobs, which move as they are.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import Any, Final

from sqlalchemy import Connection, delete, select, update

from autolog.entities import Kind
from autolog.store.sql import blob
from autolog.store.sql.names import batched, insert
from autolog.store.sql.schema import metadata
from autolog.store.sql.values import to_json

__all__ = ["group_runs", "move"]

Row = dict[str, Any]

_run = metadata.tables["run"]
_tail = metadata.tables["tail"]
_param = metadata.tables["param"]
_event = metadata.tables["event"]

_FIRST_STAYS: Final = ("param", "tag", "run_input")
"""Of these, what the run of the group has already stays."""

_LAST_COUNTS: Final = ("artifact", "model")
"""Their names begin with the rank: what is there comes from an earlier attempt of it."""


def group_runs(rows: Mapping[str, Row]) -> dict[str, str]:
    """Return, by the uid of each run of a rank that was moved, that of the run it went into."""
    return {
        uid: row["parent_uid"]
        for uid, row in rows.items()
        if row["kind"] == Kind.RANK.value and row["parent_uid"] and row["lifecycle"] != "active"
    }


def move(connection: Connection, moves: Sequence[tuple[int, str, int]]) -> None:
    """Move the contents of runs into others; their own `attempt` then says into which one.

    Args:
        connection: in a transaction that has locked the runs that are moved.
        moves: the id of a run, and the uid and the attempt of the run that it goes into.
    """
    owners = _lock(connection, {uid for _, uid, _ in moves})
    for run_id, uid, attempt in moves:
        owner = owners[uid]
        _move_points(connection, run_id, owner, attempt)
        _move_rest(connection, run_id, owner["id"])
        mine = update(_run).where(_run.c.id == owner["id"])
        values = {name: owner[name] for name in ("tail_no", "tail_n", "last_us")}
        connection.execute(mine.values(**values, recipe=None, ver=_run.c.ver + 1))


def _lock(connection: Connection, uids: set[str]) -> dict[str, Row]:
    found: dict[str, Row] = {}
    for piece in batched(sorted(uids)):
        query = select(_run).where(_run.c.uid.in_(piece)).order_by(_run.c.id).with_for_update()
        found |= {row["uid"]: dict(row) for row in connection.execute(query).mappings()}
    return found


def _move_points(connection: Connection, run_id: int, owner: Row, attempt: int) -> None:
    """Put the blobs of a run behind those of its owner."""
    mine = select(_tail).where(_tail.c.run_id == run_id).order_by(_tail.c.no)
    moved: list[Row] = []
    for tail in connection.execute(mine).mappings():
        owner["tail_no"] += 1
        owner["tail_n"] += tail["n"]
        data = tail["data"]
        if attempt:
            data = blob.encode([replace(block, attempt=attempt) for block in blob.decode(data)])
        place = {"run_id": owner["id"], "no": owner["tail_no"]}
        moved.append(dict(tail) | place | {"data": data})
    last_us = connection.execute(select(_run.c.last_us).where(_run.c.id == run_id)).scalar_one()
    owner["last_us"] = max(owner["last_us"], last_us)
    if moved:
        connection.execute(_tail.insert(), moved)
    for name in ("tail", "series"):
        table = metadata.tables[name]
        connection.execute(delete(table).where(table.c.run_id == run_id))
    empty = update(_run).where(_run.c.id == run_id)
    values = {"attempt": attempt, "tail_n": 0, "clean_no": _run.c.tail_no, "ver": _run.c.ver + 1}
    connection.execute(empty.values(values))


def _move_rest(connection: Connection, run_id: int, owner_id: int) -> None:
    _tell_conflicts(connection, run_id, owner_id)
    for name in (*_FIRST_STAYS, *_LAST_COUNTS):
        table = metadata.tables[name]
        rows = connection.execute(select(table).where(table.c.run_id == run_id)).mappings().all()
        if not rows:
            continue
        statement: Any = insert(connection, table)
        if name in _FIRST_STAYS:
            statement = statement.on_conflict_do_nothing()
        else:
            keys = [column.name for column in table.primary_key]
            new = {c.name: statement.excluded[c.name] for c in table.c if c.name not in keys}
            statement = statement.on_conflict_do_update(index_elements=keys, set_=new)
        connection.execute(statement, [dict(row) | {"run_id": owner_id} for row in rows])
        connection.execute(delete(table).where(table.c.run_id == run_id))
    mine = update(_event).where(_event.c.run_id == run_id)
    connection.execute(mine.values(run_id=owner_id))


def _tell_conflicts(connection: Connection, run_id: int, owner_id: int) -> None:
    """Keep what a rank said of a parameter that rank 0 has said otherwise."""
    theirs = _param.alias("theirs")
    key = metadata.tables["key"]
    query = (
        select(key.c.name, theirs.c.text.label("kept"), _param.c.text.label("refused"))
        .join_from(_param, theirs, theirs.c.key_id == _param.c.key_id)
        .join(key, key.c.id == _param.c.key_id)
        .where(_param.c.run_id == run_id, theirs.c.run_id == owner_id)
        .where(theirs.c.text != _param.c.text)
    )
    start = connection.execute(select(_run.c.start_us).where(_run.c.id == run_id)).scalar_one()
    told = [
        {
            "run_id": owner_id,
            "kind": "conflict",
            "wall_us": start,
            "data": to_json(
                {"field": "param", "key": row.name, "kept": row.kept, "refused": row.refused}
            ),
        }
        for row in connection.execute(query)
    ]
    if told:
        connection.execute(_event.insert(), told)
