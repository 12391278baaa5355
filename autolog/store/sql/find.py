"""Finds runs: by what a user calls them, and page by page."""

from __future__ import annotations

import difflib
import re
import time
from typing import Any, Final

from sqlalchemy import ColumnElement, Connection, and_, or_, select

from autolog.errors import NotFoundError, UsageError
from autolog.store.answers import RunPage
from autolog.store.sql.connect import Database
from autolog.store.sql.documents import load, select_runs
from autolog.store.sql.schema import metadata

__all__ = ["find_run", "near", "page"]

_run = metadata.tables["run"]
_experiment = metadata.tables["experiment"]

_UUID: Final = re.compile(r"[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}")
_HEX: Final = re.compile(r"[0-9a-f]{4,32}")
_TOKEN: Final = re.compile(r"(-?\d+)\.([0-9a-f]+)")
_CANDIDATES: Final = 10
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
        .where(or_(*matches))
        .order_by((_run.c.uid == lowered).desc(), (_run.c.name == text).desc())
        .order_by(_run.c.start_us.desc())
        .limit(_CANDIDATES + 1)
    )
    rows = connection.execute(query).all()
    if not rows:
        raise NotFoundError(_unknown(connection, text))
    named = [row for row in rows if row.name == text]
    if len(rows) == 1 or rows[0].uid == lowered:
        return rows[0]
    if len(named) == 1:
        return named[0]
    raise NotFoundError(_ambiguous(text, named or list(rows)))


def page(
    database: Database,
    *,
    experiment: str | None,
    parent: str | None,
    status: str | None,
    kind: str | None,
    roots_only: bool,
    limit: int,
    after: str | None,
) -> RunPage:
    """Return one page of runs, newest first."""
    if limit < 1:
        raise UsageError(f"limit is {limit}; a page has at least one run")
    wanted: list[ColumnElement[bool]] = [_run.c.lifecycle == "active"]
    if experiment is not None:
        number = select(_experiment.c.id).where(_experiment.c.name == experiment)
        wanted.append(_run.c.experiment_id == number.scalar_subquery())
    if parent is not None:
        with database.read() as connection:
            wanted.append(_run.c.parent_uid == find_run(connection, parent).uid)
    if status is not None:
        wanted.append(_run.c.status == status)
    if kind is not None:
        wanted.append(_run.c.kind == kind)
    if roots_only:
        wanted.append(_run.c.parent_uid.is_(None))
    if after is not None:
        start_us, uid = _position(after)
        earlier = or_(
            _run.c.start_us < start_us, and_(_run.c.start_us == start_us, _run.c.uid < uid)
        )
        wanted += [_run.c.start_us <= start_us, earlier]
    query = select_runs().where(*wanted).order_by(_run.c.start_us.desc(), _run.c.uid.desc())
    found = load(database, query.limit(limit + 1))
    last = found[limit - 1][0] if len(found) > limit else None
    token = None if last is None else f"{last.start_us}.{last.uid}"
    return RunPage([run for _, run in found[:limit]], token)


def near(name: str, names: list[str]) -> str:
    """Return a hint that lists the names closest to one that is unknown, or nothing."""
    close = difflib.get_close_matches(name, names, n=3, cutoff=0.5)
    return f" Did you mean {', '.join(close)}?" if close else ""


def _position(token: str) -> tuple[int, str]:
    match = _TOKEN.fullmatch(token)
    if match is None:
        raise UsageError(f"{token!r} is no page token; pass the `next` of the page before")
    return int(match[1]), match[2]


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
