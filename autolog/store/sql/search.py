"""Searches runs: metrics are brought up to date, the plan is followed, documents are read."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Final

from sqlalchemy import ColumnElement, Connection, select

from autolog.entities import Run
from autolog.errors import UsageError
from autolog.store.sql.connect import Database
from autolog.store.sql.documents import finished
from autolog.store.sql.plan import Found, Plan
from autolog.store.sql.request import Known, Scope, Search
from autolog.store.sql.schema import metadata
from autolog.store.sql.series import materialise
from autolog.store.sql.tokens import write_token

__all__ = ["search"]

_run = metadata.tables["run"]

_MATERIALISED_AT_ONCE: Final = 500


def search(database: Database, wanted: Search) -> tuple[list[Run], str | None, int | None]:
    """Return the runs of a page, the token of the next one, and how many there are in all.

    Raises:
        UsageError: the limit or the page token makes no sense.
    """
    if wanted.limit is not None and (not isinstance(wanted.limit, int) or wanted.limit < 1):  # type: ignore[reportUnnecessaryIsInstance]
        raise UsageError(f"limit is {wanted.limit!r}; it is a number of runs, at least 1, or None")
    scope = Scope(wanted)
    with database.read() as connection:
        known = Known(connection, wanted, scope)
        answer = None if known.dirty else _answer(connection, wanted, scope, known)
    if answer is None:
        _materialise_all(database, known.unread)
        with database.read() as connection:
            answer = _answer(connection, wanted, scope, known)
    rows, total = answer
    more = wanted.limit is not None and len(rows) > wanted.limit
    rows = rows[: wanted.limit]
    token = write_token(wanted.identity, rows[-1].position()) if more else None
    return finished(database, [found.row for found in rows]), token, total


def _answer(
    connection: Connection, wanted: Search, scope: Scope, known: Known
) -> tuple[list[Found], int | None]:
    plan = Plan(connection, wanted, scope, known)
    return plan.rows(), plan.count() if wanted.total else None


def _materialise_all(database: Database, unread: Sequence[ColumnElement[bool]]) -> None:
    """Bring the metrics of all these runs up to date, some of them in each transaction."""

    def some(connection: Connection) -> int | None:
        query = select(_run.c.id).where(*unread, _run.c.id > at).order_by(_run.c.id)
        ids = list(connection.execute(query.limit(_MATERIALISED_AT_ONCE)).scalars())
        materialise(connection, ids)
        return ids[-1] if ids else None

    at: int | None = 0
    while at is not None:
        at = database.transact(some)
