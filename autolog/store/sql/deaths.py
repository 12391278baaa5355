"""What becomes of runs whose process is gone, or of which nothing is heard any more.

A beat and the judgement of it read the same clock: the server's, where there is one.
"""

from __future__ import annotations

import time
from collections.abc import Sequence
from typing import Any, Final

from sqlalchemy import (
    Connection,
    and_,
    bindparam,
    case,
    exists,
    literal,
    literal_column,
    select,
    text,
    update,
)

from autolog.entities import Status
from autolog.store.sql.names import batched
from autolog.store.sql.schema import Big, metadata

__all__ = ["beat", "bury", "clock", "judge", "now", "overdue", "silence"]

_run = metadata.tables["run"]
_writer = metadata.tables["writer"]

_SERVER_CLOCK: Final = literal_column(
    "(extract(epoch FROM clock_timestamp()) * 1000000)::bigint", Big
)
_MISSED: Final = 4
"""So many beats too late, a writer is silent; a later look at twice as many finds it lost."""


def bury(connection: Connection, uid: str) -> int:
    """End the running runs of a writer whose process is gone; return how many that were."""
    query = select(_writer).where(_writer.c.uid == uid).with_for_update()
    row = connection.execute(query).first()
    return 0 if row is None else _end_runs(connection, row, Status.KILLED, "dead")


def silence(connection: Connection, uid: str) -> None:
    """Note that nobody here can tell whether the process of a writer lives."""
    mine = update(_writer).where(_writer.c.uid == uid, _writer.c.state == "open")
    connection.execute(mine.values(state="silent"))


def beat(connection: Connection, uids: Sequence[str], every: float, ago: float) -> None:
    """Note that writers lived some seconds ago, and how often that will be said.

    A beat that is late already brings no silent writer back.
    """
    said: dict[str, Any] = {"beat_us": clock(connection), "beat_every_us": round(every * 1e6)}
    if ago <= _MISSED * every:
        said["state"] = "open"
    if ago:
        then = clock(connection) - round(ago * 1e6)
        said["beat_us"] = case((_writer.c.beat_us > then, _writer.c.beat_us), else_=then)
    for piece in batched(sorted(uids)):
        mine = update(_writer).where(
            _writer.c.uid.in_(piece), _writer.c.state.in_(("open", "silent"))
        )
        connection.execute(mine.values(**said))


def overdue(dialect: str) -> Any:
    """Return the condition that `judge` has something to do; `now` gives its parameters."""
    return exists(_late(_SERVER_CLOCK if dialect == "postgresql" else bindparam("now", type_=Big)))


def now(connection: Connection) -> dict[str, int]:
    """Return the parameters of `overdue`: a server has a clock of its own."""
    own = connection.dialect.name == "postgresql"
    return {} if own else {"now": time.time_ns() // 1000}


def judge(connection: Connection) -> int:
    """Call writers silent whose beat is late, and lost those that were silent before."""
    lost = 0
    for row in connection.execute(_late(clock(connection)).with_for_update()).all():
        if row.state == "silent":
            lost += _end_runs(connection, row, Status.LOST, "lost")
        else:
            mine = update(_writer).where(_writer.c.id == row.id)
            connection.execute(mine.values(state="silent"))
    return lost


def _late(now: Any) -> Any:
    """Select the writers to judge: open ones after some beats, silent ones after twice as many."""
    missed = case((_writer.c.state == "silent", 2 * _MISSED), else_=_MISSED)
    watched = and_(_writer.c.beat_us.is_not(None), text("state IN ('open', 'silent')"))
    late = now - _writer.c.beat_us > missed * _writer.c.beat_every_us
    return select(_writer).where(watched, late).order_by(_writer.c.id)


def _end_runs(connection: Connection, writer: Any, status: Status, state: str) -> int:
    mine = update(_run).where(_run.c.owner_id == writer.id, _run.c.status == Status.RUNNING.value)
    ended = connection.execute(
        mine.values(
            status=status.value,
            ended_by="lease",
            end_us=case((_run.c.start_us > writer.last_us, _run.c.start_us), else_=writer.last_us),
            ver=_run.c.ver + 1,
        )
    ).rowcount
    connection.execute(update(_writer).where(_writer.c.id == writer.id).values(state=state))
    return ended


def clock(connection: Connection) -> Any:
    """Return the time of now in a statement, in microseconds since the epoch."""
    if connection.dialect.name == "postgresql":
        return _SERVER_CLOCK
    return literal(time.time_ns() // 1000, Big)
