"""Deletes and restores runs with all below them; nothing is removed, and no data is touched.

A deleted run is one that listings pass over. What was deleted by one call carries one time, so
that it is brought back together, and nothing that was deleted before it.
"""

from __future__ import annotations

import time
from collections.abc import Iterable, Sequence
from typing import Any

from sqlalchemy import Connection, Row, bindparam, select, update

from autolog.errors import UsageError
from autolog.store.sql import tree
from autolog.store.sql.adoption import ABSORBED, mark_of
from autolog.store.sql.names import batched
from autolog.store.sql.schema import metadata

__all__ = ["delete", "restore"]

_run = metadata.tables["run"]
_event = metadata.tables["event"]


def delete(connection: Connection, run: Row[Any], *, recursive: bool) -> int:
    """Delete a run, and with `recursive` all below it; return how many that were.

    Raises:
        UsageError: it has children, and `recursive` is not set.
    """
    if run.lifecycle == "deleted":
        return 0
    nodes = tree.below(connection, [run.uid])
    active = [node for node in nodes.values() if node.lifecycle == "active"]
    children = sum(node.parent_uid == run.uid for node in active)
    if children and not recursive:
        below = len([node for node in active if node.uid != run.uid])
        raise UsageError(
            f"run {run.name} has {children} children ({below} runs in all below it):"
            " delete them with it by recursive=True"
        )
    # What was deleted earlier must stay apart from this, even if the clock was set back.
    earlier = max((node.deleted_us or 0 for node in nodes.values()), default=0)
    now_us = max(time.time_ns() // 1000, earlier + 1)
    chosen = [node for node in nodes.values() if node.lifecycle != "deleted"]
    _set(connection, [(node, "deleted", now_us) for node in chosen])
    tree.changed_below(connection, [run.parent_uid])
    return len(active)


def restore(connection: Connection, run: Row[Any]) -> int:
    """Bring a deleted run back with what was deleted together with it; return how many runs.

    Raises:
        UsageError: a run above it is deleted: that one has to be restored first.
    """
    if run.lifecycle != "deleted":
        return 0
    over = tree.above(connection, [run.uid])
    parent = over.get(run.parent_uid or "")
    if parent is not None and parent.lifecycle == "deleted":
        highest = min(
            (node for node in over.values() if node.lifecycle == "deleted"),
            key=lambda node: node.depth,
        )
        raise UsageError(
            f"run {run.name} is below {highest.name}, which is deleted too: restore that one"
        )
    nodes = tree.below(connection, [run.uid])
    together = [
        node
        for node in nodes.values()
        if node.lifecycle == "deleted" and node.deleted_us == run.deleted_us
    ]
    absorbed = _absorbed(connection, [node.uid for node in together])
    chosen: list[tuple[tree.Node, str, int | None]] = []
    for node in sorted(together, key=lambda node: node.depth):
        if node.parent_uid in absorbed:
            absorbed.add(node.uid)
        chosen.append((node, ABSORBED if node.uid in absorbed else "active", None))
    _set(connection, chosen)
    tree.changed_below(connection, [run.parent_uid])
    return sum(lifecycle == "active" for _, lifecycle, _ in chosen)


def _set(connection: Connection, chosen: Sequence[tuple[tree.Node, str, int | None]]) -> None:
    rows = [
        {"b_id": node.id, "b_lifecycle": lifecycle, "b_deleted": deleted_us}
        for node, lifecycle, deleted_us in sorted(chosen)
    ]
    statement = update(_run).where(_run.c.id == bindparam("b_id"))
    statement = statement.values(
        lifecycle=bindparam("b_lifecycle"),
        deleted_us=bindparam("b_deleted"),
        ver=_run.c.ver + 1,
    )
    connection.execute(statement, rows)


def _absorbed(connection: Connection, uids: Iterable[str]) -> set[str]:
    """Return those of these runs that were absorbed by others."""
    marks = {mark_of(uid): uid for uid in uids}
    found: set[str] = set()
    for piece in batched(marks):
        query = select(_event.c.mark).where(_event.c.mark.in_(piece))
        found.update(marks[mark] for mark in connection.execute(query).scalars())
    return found
