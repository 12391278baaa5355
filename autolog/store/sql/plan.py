"""Plans a search by how many runs the filter lets pass.

Two ways lead to the first page of a sorted list. One walks the index of the sort key and tests
each run until the page is full: about `limit * runs / passing` tests. The other starts with the
runs that the filter's own index gives and sorts them: `passing` tests. The second is cheaper below
`sqrt(limit * runs)` passing runs, which a count that stops there finds out. Neither then tests more
than about that many runs, unless runs that pass are rare where the list begins: a walk is given up
at a few times that number, and the whole list is sorted.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any, Final, NamedTuple

from sqlalchemy import ColumnElement, Connection, func, select

from autolog.query.nodes import And, Node
from autolog.store.sql.clauses import Filters, tested
from autolog.store.sql.documents import document_columns
from autolog.store.sql.drivers import driver
from autolog.store.sql.ordering import Position, Stretch, stretches, whole
from autolog.store.sql.request import Known, Scope, Search
from autolog.store.sql.schema import metadata
from autolog.store.sql.tokens import read_token

__all__ = ["Found", "Plan"]

_run = metadata.tables["run"]
_doc = metadata.tables["run_doc"]

_PATIENCE: Final = 4
"""A walk is given up after testing this many times the runs that it should have to."""


class Found(NamedTuple):
    """A row with `document_columns`, `place`, and the terms of its stretch that vary."""

    row: Any
    stretch: Stretch

    def position(self) -> Position:
        """Return where it stands in the order."""
        values = self.row._mapping  # noqa: SLF001  a public name of SQLAlchemy
        return self.stretch.position([values[name] for name in values if name.startswith("term_")])


class Plan:
    """How one search is answered; see the module."""

    def __init__(self, connection: Connection, wanted: Search, scope: Scope, known: Known) -> None:
        self._connection = connection
        self._wanted = wanted
        self._limit = None if wanted.limit is None else wanted.limit + 1
        self._filters = Filters(known.keys, connection.dialect, deleted=wanted.deleted)
        self._scope = scope
        self._searched = [self._filters.alive(_run)]
        if scope.condition is not None:
            self._searched.append(scope.condition)
        self._conditions: list[ColumnElement[bool]] = []
        if wanted.filter is not None:
            self._conditions.append(self._filters.condition(wanted.filter))
        self._whole = whole(self._filters, wanted.order)
        self._position: Position | None = None
        if wanted.token is not None:
            types = [term.type for term in self._whole.terms]
            self._position = read_token(wanted.token, wanted.identity, types)
        self._fair = math.isqrt((self._limit or 0) * known.size) + 1

    def count(self) -> int:
        """Return how many runs pass."""
        return self._connection.execute(
            select(func.count()).select_from(_run).where(*self._searched, *self._conditions)
        ).scalar_one()

    def rows(self) -> list[Found]:
        """Return the rows of the page and one more, if there is one."""
        if self._limit is None:
            return self._read(self._whole, None)
        if self._wanted.filter is None and self._scope.condition is None:
            return self._walked() or self._read(self._whole, self._limit)
        far = _PATIENCE * self._fair
        passing, start = self._fewest(far)
        walk = self._stretches() if passing >= self._fair else []
        if not walk:
            return self._read(self._whole, self._limit, start)
        border = self._border(walk[0], far)
        found = self._read(walk[0], self._limit, border=border)
        if len(found) == self._limit:
            return found
        if border is not None:
            return self._read(self._whole, self._limit, start)
        return self._walked(walk[1:], found)

    def _stretches(self) -> list[Stretch]:
        parts = _parts(self._wanted.filter)
        return stretches(self._filters, self._wanted.order, self._scope.single, parts)

    def _walked(
        self, walk: Sequence[Stretch] | None = None, before: Sequence[Found] = ()
    ) -> list[Found]:
        found = list(before)
        for stretch in self._stretches() if walk is None else walk:
            if len(found) < (self._limit or 0):
                found += self._read(stretch, (self._limit or 0) - len(found))
        return found

    def _fewest(self, far: int) -> tuple[int, Any]:
        """Return the least that an index of the filter gives, and its query of run ids.

        From `far` on nothing is counted.
        """
        drivers = [driver(self._filters, part) for part in _parts(self._wanted.filter)]
        if self._scope.condition is not None:
            drivers.append(select(_run.c.id).where(self._scope.condition))
        drivers = [one for one in drivers if one is not None]
        if not drivers:
            return far, None
        counts = self._connection.execute(
            select(
                *(
                    select(func.count()).select_from(one.limit(far).subquery()).scalar_subquery()
                    for one in drivers
                )
            )
        ).one()
        passing, least = min(zip(counts, drivers, strict=True), key=_first)
        return passing, least if passing < far else None

    def _border(self, stretch: Stretch, distance: int) -> Any:
        """Return the value at which a walk is given up; None if the stretch ends before."""
        query = stretch.border(self._position, distance)
        return None if query is None else self._connection.execute(query).scalar()

    def _read(
        self, stretch: Stretch, limit: int | None, start: Any = None, border: Any = None
    ) -> list[Found]:
        conditions = [*self._conditions, *stretch.where]
        if start is not None:
            conditions.append(_run.c.id.in_(start))
        listed = stretch.listed and start is None
        conditions += self._searched if listed else [tested(*self._searched)]
        if border is not None:
            conditions.append(stretch.until(border))
        if self._position is not None:
            after = stretch.after(self._position)
            if after is None:
                return []
            conditions += [after, *stretch.from_index(self._position)]
        varying = [term.expression for term in stretch.terms if term.expression is not None]
        labels = [f"term_{at}" for at in range(len(varying))]
        columns = [column.label(name) for column, name in zip(varying, labels, strict=True)]
        query: Any = select(_run.c.id, *columns).select_from(stretch.source).where(*conditions)
        if limit is not None:
            query = query.order_by(*stretch.order_by()).limit(limit)
        page = query.subquery()
        order = stretch.order_by([page.c[name] for name in labels])
        ranked = select(page, func.row_number().over(order_by=order).label("place")).subquery()
        joined = ranked.join(_run, _run.c.id == ranked.c.id)
        joined = joined.outerjoin(_doc, _doc.c.run_id == _run.c.id)
        values = [ranked.c[name] for name in labels]
        answer = select(*document_columns(), ranked.c.place, *values).select_from(joined)
        # Sorted here: the database would carry the documents through its sorter.
        rows = sorted(self._connection.execute(answer).all(), key=_place)
        return [Found(row, stretch) for row in rows]


def _parts(node: Node | None) -> Sequence[Node]:
    return node.parts if isinstance(node, And) else () if node is None else (node,)


def _first(pair: tuple[int, Any]) -> int:
    return pair[0]


def _place(row: Any) -> int:
    return row.place
