"""Links the roots of child processes to the runs of their ancestors, and of ranks to their group.

A process journals nothing of its parent but the pids of its ancestors, so who was above its runs
is found here, after a fold:

* born while an ancestor had a training open: the framework started that process for its work.
  A training in it is part of the ancestor's run and is *absorbed*: kept whole, shown there, in no
  listing of its own. A run that the user opened by hand in it is a child instead, as is
  everything in a process that a study's trial started: such a trial is the user's code.
* else a child of the run that the user had open in the nearest ancestor that had one.
* opened by a rank above 0 of a process group: absorbed by the run that rank 0 had then. What the
  rank logged through a handle to that run (kind `rank`) is moved into it.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import Any, Final, NamedTuple

from sqlalchemy import (
    ColumnElement,
    Connection,
    bindparam,
    exists,
    literal,
    null,
    or_,
    select,
    union_all,
    update,
)

from autolog.entities import Kind
from autolog.store.sql import ranks, tree
from autolog.store.sql.names import batched, insert
from autolog.store.sql.schema import metadata
from autolog.store.sql.values import from_json, to_json

__all__ = [
    "ABSORBED",
    "adopt",
    "ask_for_group",
    "mark_of",
]

_run = metadata.tables["run"]
_writer = metadata.tables["writer"]
_process = metadata.tables["process"]
_span = metadata.tables["span"]
_event = metadata.tables["event"]
_attempt = metadata.tables["attempt"]

ABSORBED: Final = "absorbed"
"""The lifecycle of a run that is part of another one, and the kind of event that says so there."""

_TICK_US: Final = 10_000
"""How coarse the start of a process is known."""


class _Link(NamedTuple):
    run: Any
    owner: str
    why: str | None
    """Why it is absorbed; None makes it a child."""
    attempt: int = 0
    """On which attempt of the owner a rank was at work."""


def adopt(connection: Connection, before_us: int | None) -> int:
    """Settle where root runs belong, for those that nobody has asked for yet.

    An ancestor journals its run before it can start a child: after a fold that began when the
    child had begun (`before_us`), whoever finds nothing above itself never will. A rank waits
    until rank 0 is there.

    Returns:
        How many runs got a parent.
    """
    query = (
        select(
            _run.c.id,
            _run.c.uid,
            _run.c.name,
            _run.c.kind,
            _run.c.user_opened,
            _run.c.start_us,
            _writer.c.id.label("writer_id"),
            _writer.c.ancestors,
            _writer.c.host,
            _writer.c.boot,
            _writer.c.pid_namespace,
            _writer.c.start_us.label("writer_us"),
            _writer.c.group_key,
            _writer.c.group_rank,
        )
        .join_from(_run, _writer, _writer.c.id == _run.c.origin_id)
        .where(_run.c.adopt)
        .order_by(_run.c.id)
        .with_for_update(of=_run)
    )
    rows = connection.execute(query).all()
    links: list[_Link] = []
    settled: list[int] = []
    leaders = _leaders(connection, {row.group_key for row in rows if row.group_rank})
    above: dict[int, Any] = {}
    for row in rows:
        if row.group_rank:
            link = _to_leader(row, leaders.get(row.group_key, ()))
        else:
            if row.writer_id not in above:
                above[row.writer_id] = _above(connection, row)
            link = _to_ancestor(row, above[row.writer_id])
        if link is not None:
            links.append(link)
        elif row.group_rank or (before_us is not None and row.writer_us >= before_us):
            continue
        settled.append(row.id)
    if links:
        _link(connection, links)
    for piece in batched(settled):
        connection.execute(update(_run).where(_run.c.id.in_(piece)).values(adopt=False))
    return len(links)


def _outermost() -> ColumnElement[bool]:
    """Return the condition that no run of the same process is above a run."""
    parent = _run.alias("parent")
    same = exists().where(parent.c.uid == _run.c.parent_uid, parent.c.origin_id == _run.c.origin_id)
    return ~same


def ask_for_group(connection: Connection, writer_id: int) -> None:
    """Have the runs of a rank above 0 asked for the group's run, whatever is above them now."""
    mine = update(_run).where(_run.c.origin_id == writer_id, _run.c.lifecycle == "active")
    connection.execute(mine.where(_outermost()).values(adopt=True))


def mark_of(uid: str) -> str:
    """Return the mark of the event that a run was absorbed: it is the only one of its kind."""
    return f"{ABSORBED}:{uid}"


def _link(connection: Connection, links: Sequence[_Link]) -> None:
    statement = update(_run).where(_run.c.id == bindparam("b_id"))
    statement = statement.values(parent_uid=bindparam("b_parent"), ver=_run.c.ver + 1)
    connection.execute(statement, [{"b_id": link.run.id, "b_parent": link.owner} for link in links])
    absorbed = [link for link in links if link.why is not None]
    logged = [link for link in links if link.run.kind == Kind.RANK.value and link.why is not None]
    if logged:
        ranks.move(connection, [(link.run.id, link.owner, link.attempt) for link in logged])
    if absorbed:
        gone = update(_run).where(_run.c.id == bindparam("b_id"), _run.c.lifecycle == "active")
        rows = [{"b_id": link.run.id} for link in absorbed]
        connection.execute(gone.values(lifecycle=ABSORBED), rows)
        owners = _ids(connection, {link.owner for link in absorbed})
        told = [
            {
                "run_id": owners[link.owner],
                "kind": ABSORBED,
                "wall_us": link.run.start_us,
                "data": to_json(
                    {
                        "run": link.run.uid,
                        "name": link.run.name,
                        "kind": link.run.kind,
                        "why": link.why,
                    }
                ),
                "mark": mark_of(link.run.uid),
            }
            for link in absorbed
        ]
        connection.execute(insert(connection, _event).on_conflict_do_nothing(), told)
    tree.place(connection, [link.run.uid for link in links])


def _ids(connection: Connection, uids: Iterable[str]) -> dict[str, int]:
    found: dict[str, int] = {}
    for piece in batched(uids):
        query = select(_run.c.uid, _run.c.id).where(_run.c.uid.in_(piece))
        found.update((uid, number) for uid, number in connection.execute(query))
    return found


def _to_ancestor(row: Any, found: Any) -> _Link | None:
    if found is None:
        return None
    if found.role in (None, "study", "trial") or row.user_opened:
        return _Link(row, found.uid, None)
    return _Link(row, found.uid, f"its process was started by the {found.kind} {found.name}")


def _above(connection: Connection, row: Any) -> Any:
    """Return what the nearest ancestor that had anything open had open at the process's start.

    That is the innermost of its trainings, with a `role`, else of the runs that the user opened.
    """
    if row.ancestors is None:
        return None
    start_us = _process_start(connection, row)
    for pid, start in from_json(row.ancestors):
        same = (
            _writer.c.pid == pid,
            _writer.c.pid_start == start,
            _writer.c.host == row.host,
            _writer.c.boot == row.boot,
            _writer.c.pid_namespace == row.pid_namespace,
        )
        training = (
            select(_run.c.uid, _span.c.role, _span.c.kind, _span.c.name)
            .join_from(_span, _writer, _writer.c.id == _span.c.writer_id)
            .join(_run, _run.c.id == _span.c.run_id)
            .where(
                *same,
                _span.c.open_us <= start_us + _TICK_US,
                or_(_span.c.close_us.is_(None), _span.c.close_us >= start_us),
            )
            .order_by(_span.c.open_us.desc(), _span.c.span.desc())
        )
        opened = (
            select(_run.c.uid, null().label("role"))
            .join_from(_run, _writer, _writer.c.id == _run.c.origin_id)
            .where(
                *same,
                _run.c.user_opened,
                _run.c.start_us <= row.writer_us,
                or_(_run.c.end_us.is_(None), _run.c.end_us >= row.writer_us),
            )
            .order_by(_run.c.start_us.desc(), _run.c.id.desc())
        )
        for query in (training, opened):
            found = connection.execute(query.limit(1)).first()
            if found is not None:
                return found
    return None


def _process_start(connection: Connection, row: Any) -> int:
    """Return when the process of a run began; if it did not say, when it first journalled."""
    query = select(_process.c.data).where(_process.c.writer_id == row.writer_id)
    data = connection.execute(query.order_by(_process.c.seq).limit(1)).scalar()
    said = from_json(data)["details"].get("started_us") if data is not None else None
    return min(said, row.writer_us) if isinstance(said, int) else row.writer_us


def _leaders(connection: Connection, groups: Iterable[str]) -> dict[str, list[Any]]:
    """Return the outermost runs of rank 0 of each group, in the order of their start.

    A run that another process of rank 0 had begun, and this one continued, began with its attempt.
    """
    found: dict[str, list[Any]] = {}
    for piece in batched(groups):
        leads = (_writer.c.group_key.in_(piece), _writer.c.group_rank == 0, _outermost())
        columns = (_writer.c.group_key, _run.c.uid, _run.c.name)
        opened = (
            select(*columns, _run.c.start_us, literal(0).label("attempt"))
            .join_from(_run, _writer, _writer.c.id == _run.c.origin_id)
            .where(*leads)
        )
        continued = (
            select(*columns, _attempt.c.start_us, _attempt.c.attempt)
            .join_from(_attempt, _writer, _writer.c.id == _attempt.c.writer_id)
            .join(_run, _run.c.id == _attempt.c.run_id)
            .where(*leads, _attempt.c.attempt > 0)
        )
        either = union_all(opened, continued).subquery()
        order = (either.c.start_us, either.c.attempt, either.c.uid)
        for row in connection.execute(select(either).order_by(*order)):
            found.setdefault(row.group_key, []).append(row)
    return found


def _to_leader(row: Any, leaders: Sequence[Any]) -> _Link | None:
    """Choose the run of rank 0 that had begun last when this one began, else its first one.

    Where the program has named them, only one of this name.
    """
    if not leaders:
        return None
    leaders = [leader for leader in leaders if leader.name == row.name] or leaders
    begun = [leader for leader in leaders if leader.start_us <= row.start_us]
    leader = begun[-1] if begun else leaders[0]
    why = f"rank {row.group_rank} of the group of {leader.name}"
    return _Link(row, leader.uid, why, leader.attempt)
