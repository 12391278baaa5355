"""The place of a run in its tree: `root_uid` and `depth`, kept when parents come late or change.

A parent is named by its uid, so a child may be there first (a journal that was synced earlier)
and is found by its parent once that arrives. Two rules hold for every run at any time: no run is
above itself, and none below a deleted or absorbed run is active.
"""

from __future__ import annotations

import time
from collections.abc import Iterable, Mapping, Sequence
from typing import Any, NamedTuple

from sqlalchemy import CTE, ColumnElement, Connection, Row, and_, bindparam, func, select, update

from autolog.errors import UsageError
from autolog.store.sql.names import batched
from autolog.store.sql.schema import metadata
from autolog.store.sql.values import to_json

__all__ = [
    "Node",
    "above",
    "below",
    "changed_below",
    "child_counts",
    "is_below",
    "move",
    "note",
    "place",
]

_run = metadata.tables["run"]
_event = metadata.tables["event"]


class Node(NamedTuple):
    """A run as its tree sees it."""

    id: int
    uid: str
    name: str
    parent_uid: str | None
    root_uid: str
    depth: int
    lifecycle: str
    deleted_us: int | None


_COLUMNS = tuple(_run.c[name] for name in Node._fields)


def above(connection: Connection, uids: Iterable[str]) -> dict[str, Node]:
    """Return these runs and all their ancestors by uid, in one statement."""
    return _reached(connection, uids, upwards=True)


def below(connection: Connection, uids: Iterable[str]) -> dict[str, Node]:
    """Return these runs and all their descendants by uid, in one statement."""
    return _reached(connection, uids, upwards=False)


def _reached(connection: Connection, uids: Iterable[str], *, upwards: bool) -> dict[str, Node]:
    found: dict[str, Node] = {}
    for piece in batched(uids):
        walk = _walk(piece, upwards=upwards)
        query = select(*_COLUMNS).join(walk, walk.c.uid == _run.c.uid)
        found.update((row.uid, Node._make(row)) for row in connection.execute(query))
    return found


def is_below(uid: str) -> ColumnElement[bool]:
    """Return the condition that a run is below the run `uid`, at any depth."""
    return and_(_run.c.uid.in_(select(_walk([uid], upwards=False).c.uid)), _run.c.uid != uid)


def _walk(uids: Sequence[str], *, upwards: bool) -> CTE:
    link = select(_run.c.uid, _run.c.parent_uid)
    walk = link.where(_run.c.uid.in_(uids)).cte(recursive=True)
    on = _run.c.uid == walk.c.parent_uid if upwards else _run.c.parent_uid == walk.c.uid
    # UNION drops what was reached before: a circle, which an old store may hold, ends.
    return walk.union(link.join(walk, on))


def place(connection: Connection, uids: Iterable[str]) -> None:
    """Set root and depth of these runs, and of all below them, after their parents were named.

    A run whose parent would be above and below it becomes a root, with an event. What comes
    below a deleted or absorbed run shares its fate.
    """
    wanted = sorted(uids)
    if not wanted:
        return
    nodes = above(connection, wanted)
    under = below(connection, wanted)
    nodes |= under
    for uid in wanted:
        if _circle(nodes, uid):
            _cut(connection, nodes[uid])
            under[uid] = nodes[uid] = nodes[uid]._replace(parent_uid=None)
    places: dict[str, tuple[str, int]] = {}
    for uid in under:
        _locate(nodes, uid, places)
    moved: list[dict[str, Any]] = []
    for node in sorted(under.values(), key=lambda node: places[node.uid][1]):
        over = nodes.get(node.parent_uid or "")
        lifecycle, deleted_us = node.lifecycle, node.deleted_us
        if over is not None and over.lifecycle != "active" and lifecycle == "active":
            lifecycle, deleted_us = over.lifecycle, over.deleted_us
        root, depth = places[node.uid]
        new = node._replace(root_uid=root, depth=depth, lifecycle=lifecycle, deleted_us=deleted_us)
        nodes[node.uid] = new
        if new != node:
            values = {
                "id": node.id,
                "root": root,
                "depth": depth,
                "lifecycle": lifecycle,
                "deleted": deleted_us,
            }
            moved.append({f"b_{name}": value for name, value in values.items()})
    if moved:
        statement = update(_run).where(_run.c.id == bindparam("b_id"))
        statement = statement.values(
            root_uid=bindparam("b_root"),
            depth=bindparam("b_depth"),
            lifecycle=bindparam("b_lifecycle"),
            deleted_us=bindparam("b_deleted"),
            ver=_run.c.ver + 1,
        )
        connection.execute(statement, sorted(moved, key=lambda row: row["b_id"]))
    changed_below(connection, (nodes[uid].parent_uid for uid in wanted))


def _circle(nodes: Mapping[str, Node], uid: str) -> list[str]:
    """Return the names on the way up from a run to itself; empty if its way up ends."""
    names: list[str] = []
    seen: set[str] = set()
    at: str | None = uid
    while at is not None and at in nodes and at not in seen:
        seen.add(at)
        names.append(nodes[at].name)
        at = nodes[at].parent_uid
    return [*names, nodes[uid].name] if at == uid else []


def move(connection: Connection, run: Row[Any], parent: Row[Any] | None) -> None:
    """Put a run with all below it under another parent, or make it a root.

    Raises:
        UsageError: the parent is below the run, or was deleted.
    """
    if parent is not None and parent.lifecycle != "active":
        raise UsageError(f"run {parent.name} is {parent.lifecycle}: nothing can be put below it")
    wanted = [run.uid] if parent is None else [run.uid, parent.uid]
    # Locked before it is judged: two moves at once might make a circle that neither sees.
    ids = sorted(node.id for node in above(connection, wanted).values())
    for piece in batched(ids):
        query = select(_run.c.id).where(_run.c.id.in_(piece)).order_by(_run.c.id)
        connection.execute(query.with_for_update())
    nodes = above(connection, wanted)
    new = None if parent is None else parent.uid
    nodes[run.uid] = nodes[run.uid]._replace(parent_uid=new)
    names = _circle(nodes, run.uid)
    if names:
        raise UsageError(
            f"run {run.name} cannot be moved below {names[1]}, which is below it:"
            f" {' < '.join(names)}"
        )
    mine = update(_run).where(_run.c.id == run.id)
    connection.execute(mine.values(parent_uid=new, adopt=False, ver=_run.c.ver + 1))
    note(connection, run.id, "moved", {"from": run.parent_uid, "to": new})
    place(connection, [run.uid])
    changed_below(connection, [run.parent_uid])


def child_counts(connection: Connection, run_ids: Iterable[int]) -> dict[int, int]:
    """Return how many active children each of these runs has, if any."""
    found: dict[int, int] = {}
    parent = _run.alias("parent")
    for piece in batched(run_ids):
        query = select(parent.c.id, func.count()).join(_run, _run.c.parent_uid == parent.c.uid)
        query = query.where(parent.c.id.in_(piece), _run.c.lifecycle == "active")
        rows = connection.execute(query.group_by(parent.c.id))
        found.update((number, children) for number, children in rows)
    return found


def changed_below(connection: Connection, uids: Iterable[str | None]) -> None:
    """Note that the children of these runs, which their documents count, are others now."""
    for piece in batched(sorted({uid for uid in uids if uid is not None})):
        connection.execute(update(_run).where(_run.c.uid.in_(piece)).values(ver=_run.c.ver + 1))


def _locate(nodes: Mapping[str, Node], uid: str, places: dict[str, tuple[str, int]]) -> None:
    """Find root and depth of a run and of all on its way up. A parent still to come is a root."""
    path: dict[str, None] = {}
    at = uid
    while at not in places:
        node = nodes.get(at)
        if node is None or node.parent_uid is None or at in path:
            places[at] = (at, 0)
        else:
            path[at] = None
            at = node.parent_uid
    root, depth = places[at]
    for at in reversed(path):
        depth += 1
        places.setdefault(at, (root, depth))


def _cut(connection: Connection, node: Node) -> None:
    mine = update(_run).where(_run.c.id == node.id)
    connection.execute(mine.values(parent_uid=None, ver=_run.c.ver + 1))
    data = {"field": "parent", "key": None, "kept": None, "refused": node.parent_uid}
    note(connection, node.id, "conflict", data | {"why": "it is below this run"})


def note(connection: Connection, run_id: int, kind: str, data: dict[str, Any]) -> None:
    """Add an event to a run that no journal tells of."""
    row = {"run_id": run_id, "kind": kind, "data": to_json(data)}
    connection.execute(_event.insert(), row | {"wall_us": time.time_ns() // 1000})
