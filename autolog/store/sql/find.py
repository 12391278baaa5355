"""Finds a run by what a user calls it."""

from __future__ import annotations

import difflib
import re
import time
from typing import Any, Final

from sqlalchemy import Connection, and_, or_, select

from autolog.entities import Kind
from autolog.errors import NotFoundError
from autolog.store.sql.schema import metadata

__all__ = ["find_run", "near"]

_run = metadata.tables["run"]

_UUID: Final = re.compile(r"[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}")
_HEX: Final = re.compile(r"[0-9a-f]{4,32}")
_CANDIDATES: Final = 10
_moved: Final = and_(_run.c.kind == Kind.RANK.value, _run.c.lifecycle != "active")
"""What a rank has logged, once it is part of the run of the group: its id stands for that run."""

_RECENT: Final = 2000


def find_run(connection: Connection, ref: str) -> Any:
    """Return the row of the run that `ref` names: its id, a prefix of four or more, its name.

    Raises:
        NotFoundError: there is no such run, or there are several.
    """
    text = ref.strip()
    lowered = text.lower()
    if _UUID.fullmatch(lowered):
        lowered = lowered.replace("-", "")
    matches = [_run.c.name == text]
    if _HEX.fullmatch(lowered):
        # Hex digits end before `g`: a range that an index answers.
        matches.append(and_(_run.c.uid >= lowered, _run.c.uid < lowered + "g"))
    query = (
        select(_run)
        .where(or_(*matches), or_(~_moved, _run.c.uid == lowered))
        .order_by((_run.c.uid == lowered).desc(), (_run.c.name == text).desc())
        .order_by(_run.c.start_us.desc())
        .limit(_CANDIDATES + 1)
    )
    rows = connection.execute(query).all()
    if rows and rows[0].kind == Kind.RANK.value and rows[0].lifecycle != "active":
        return find_run(connection, rows[0].parent_uid) if rows[0].parent_uid else rows[0]
    if not rows:
        raise NotFoundError(_unknown(connection, text))
    named = [row for row in rows if row.name == text]
    if len(rows) == 1 or rows[0].uid == lowered:
        return rows[0]
    if len(named) == 1:
        return named[0]
    raise NotFoundError(_ambiguous(text, named or list(rows)))


def near(name: str, names: list[str]) -> str:
    """Return a hint that lists the names closest to one that is unknown, or nothing."""
    close = difflib.get_close_matches(name, names, n=3, cutoff=0.5)
    return f" Did you mean {', '.join(close)}?" if close else ""


def _unknown(connection: Connection, text: str) -> str:
    query = select(_run.c.name).order_by(_run.c.start_us.desc()).limit(_RECENT)
    names = list(dict.fromkeys(connection.execute(query).scalars()))
    if not names:
        return f"no run {text!r}: the store is empty"
    hint = near(text, names) or " `autolog ls` lists the runs."
    return f"no run {text!r}.{hint}"


def _ambiguous(text: str, rows: list[Any]) -> str:
    shown = ", ".join(
        f"{row.name} ({row.uid}, {_started(row.start_us)})" for row in rows[:_CANDIDATES]
    )
    more = " and more" if len(rows) > _CANDIDATES else ""
    return f"{text!r} names several runs: {shown}{more}. Write more of the id."


def _started(start_us: int) -> str:
    return time.strftime("%Y-%m-%d %H:%M", time.localtime(start_us / 1e6))
