"""Searches runs. The plan is chosen by how many runs the filter lets pass.

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
from dataclasses import dataclass
from typing import Any, Final, NamedTuple

from sqlalchemy import ColumnElement, Connection, func, literal, or_, select

from autolog.entities import Run
from autolog.errors import UsageError
from autolog.query.nodes import And, Node, OrderKey, fields
from autolog.query.printer import print_filter, print_order
from autolog.store.sql.clauses import Filters, tested
from autolog.store.sql.connect import Database
from autolog.store.sql.documents import NO_EXPERIMENT, document_columns, finished
from autolog.store.sql.drivers import driver
from autolog.store.sql.ordering import Position, Stretch, stretches, whole
from autolog.store.sql.schema import metadata
from autolog.store.sql.series import materialise
from autolog.store.sql.tokens import read_token, write_token

__all__ = ["Search", "search"]

_run = metadata.tables["run"]
_doc = metadata.tables["run_doc"]
_key = metadata.tables["key"]
_experiment = metadata.tables["experiment"]

_PATIENCE: Final = 4
"""A walk is given up after testing this many times the runs that it should have to."""

_MATERIALISED_AT_ONCE: Final = 500


@dataclass(frozen=True, slots=True)
class Search:
    """What is looked for.

    Attributes:
        filter: which runs; None is all.
        order: by what they are sorted; then, or if empty, newest first.
        experiments: names of the only ones to search; None is the whole store.
        limit: the most runs that are returned; None is no limit.
        token: the `next` of the page before.
        total: whether all runs that pass are counted.
        deleted: whether deleted runs are searched as well.
    """

    filter: Node | None = None
    order: tuple[OrderKey, ...] = ()
    experiments: tuple[str, ...] | None = None
    limit: int | None = 100
    token: str | None = None
    total: bool = False
    deleted: bool = False

    @property
    def identity(self) -> list[Any]:
        """What a page token is bound to."""
        order = [print_order(key) for key in self.order]
        return [print_filter(self.filter), order, self.experiments, self.deleted]


def search(database: Database, wanted: Search) -> tuple[list[Run], str | None, int | None]:
    """Return the runs of a page, the token of the next one, and how many there are in all.

    Raises:
        UsageError: the limit or the page token makes no sense.
    """
    if wanted.limit is not None and wanted.limit < 1:
        raise UsageError(f"limit is {wanted.limit}; a page has at least one run")
    with database.read() as connection:
        names = _Names(connection, wanted)
        size, dirty = _state(connection, wanted, names)
    if dirty:
        _materialise_all(database, names.scope)
    with database.read() as connection:
        planned = _Plan(connection, wanted, names, size)
        rows = planned.rows()
        total = planned.count() if wanted.total else None
    more = wanted.limit is not None and len(rows) > wanted.limit
    rows = rows[: wanted.limit]
    token = write_token(wanted.identity, rows[-1].position()) if more else None
    return finished(database, [found.row for found in rows]), token, total


class _Names:
    """The ids of what a search names."""

    def __init__(self, connection: Connection, wanted: Search) -> None:
        self.fields = [*fields(wanted.filter), *(key.field for key in wanted.order)]
        pairs = {(f.kind, f.name) for f in self.fields if f.kind != "attribute"}
        experiments = wanted.experiments
        queries: list[Any] = []
        for kind in sorted({kind for kind, _ in pairs}):
            mine = [name for of, name in pairs if of == kind]
            query = select(_key.c.kind, _key.c.name, _key.c.id)
            queries.append(query.where(_key.c.kind == kind, _key.c.name.in_(mine)))
        if experiments:
            query = select(literal("experiment"), _experiment.c.name, _experiment.c.id)
            queries.append(query.where(_experiment.c.name.in_(experiments)))
        self.keys: dict[tuple[str, str], int] = {}
        if queries:
            found: Any = connection.execute(queries[0].union_all(*queries[1:]))
            self.keys.update(((kind, name), number) for kind, name, number in found)
        self.experiments: list[int] | None = None
        self.scope: ColumnElement[bool] | None = None
        self.single: int | None = None
        if experiments is not None:
            known = [self.keys.get(("experiment", name)) for name in experiments]
            self.experiments = [number for number in known if number is not None]
            self.scope = _run.c.experiment_id.in_(self.experiments)
            if NO_EXPERIMENT in experiments:
                self.scope = or_(self.scope, _run.c.experiment_id.is_(None))
            elif len(self.experiments) == 1:
                self.single = self.experiments[0]
                self.scope = _run.c.experiment_id == self.single


def _state(connection: Connection, wanted: Search, names: _Names) -> tuple[int, bool]:
    """Return about how many runs the store has, and whether metrics are to be summarised first.

    Only what the search needs is asked for.
    """
    metrics = [field for field in names.fields if field.kind == "metric"]
    if not metrics and wanted.filter is None and names.scope is None:
        return 0, False
    related = any(field.relation for field in metrics)
    dirty = _dirty(None if related else names.scope)
    size = select(func.max(_run.c.id)).scalar_subquery()
    unread = select(_run.c.id).where(*dirty).limit(1).scalar_subquery()
    row = connection.execute(select(size, unread if metrics else literal(None))).one()
    return row[0] or 0, row[1] is not None


def _dirty(scope: ColumnElement[bool] | None) -> list[ColumnElement[bool]]:
    return [_run.c.tail_no > _run.c.clean_no, *([] if scope is None else [scope])]


def _materialise_all(database: Database, scope: ColumnElement[bool] | None) -> None:
    """Bring the metrics of the runs in scope up to date, some runs in each transaction."""

    def some(connection: Connection) -> int | None:
        query = select(_run.c.id).where(*_dirty(scope), _run.c.id > at).order_by(_run.c.id)
        ids = list(connection.execute(query.limit(_MATERIALISED_AT_ONCE)).scalars())
        materialise(connection, ids)
        return ids[-1] if ids else None

    at: int | None = 0
    while at is not None:
        at = database.transact(some)


class _Found(NamedTuple):
    """A row with `document_columns`, `place`, and the terms of its stretch that vary."""

    row: Any
    stretch: Stretch

    def position(self) -> Position:
        """Return where it stands in the order."""
        values = self.row._mapping  # noqa: SLF001  a public name of SQLAlchemy
        return self.stretch.position([values[name] for name in values if name.startswith("term_")])


class _Plan:
    """How one search is answered; see the module."""

    def __init__(self, connection: Connection, wanted: Search, names: _Names, size: int) -> None:
        self._connection = connection
        self._wanted = wanted
        self._limit = None if wanted.limit is None else wanted.limit + 1
        self._filters = Filters(names.keys, connection.dialect, deleted=wanted.deleted)
        self._scope = names.scope
        self._searched = [self._filters.alive(_run)]
        if names.scope is not None:
            self._searched.append(names.scope)
        self._conditions: list[ColumnElement[bool]] = []
        if wanted.filter is not None:
            self._conditions.append(self._filters.condition(wanted.filter))
        self._whole = whole(self._filters, wanted.order)
        self._walk = stretches(self._filters, wanted.order, names.single)
        self._position: Position | None = None
        if wanted.token is not None:
            types = [term.type for term in self._whole.terms]
            self._position = read_token(wanted.token, wanted.identity, types)
        self._fair = math.isqrt((self._limit or 0) * size) + 1

    def count(self) -> int:
        """Return how many runs pass."""
        return self._connection.execute(
            select(func.count()).select_from(_run).where(*self._searched, *self._conditions)
        ).scalar_one()

    def rows(self) -> list[_Found]:
        """Return the rows of the page and one more, if there is one, with their positions."""
        if self._limit is None:
            return self._read(self._whole, None)
        if self._wanted.filter is None and self._scope is None:
            return self._walked(self._limit) if self._walk else self._read(self._whole, self._limit)
        passing, start, border = self._probed()
        if passing < self._fair or not self._walk:
            return self._read(self._whole, self._limit, start)
        found = self._read(self._walk[0], self._limit, border=border)
        if len(found) == self._limit:
            return found
        if border is not None:
            return self._read(self._whole, self._limit, start)
        return found + self._walked(self._limit - len(found), start=1)

    def _walked(self, limit: int, start: int = 0) -> list[_Found]:
        found: list[_Found] = []
        for stretch in self._walk[start:]:
            if len(found) < limit:
                found += self._read(stretch, limit - len(found))
        return found

    def _probed(self) -> tuple[int, Any, Any]:
        """Count what the filter's indexes give, and look where a walk is to be given up.

        Returns:
            The least count, its query of run ids, and the value of the leading term.
        """
        far = _PATIENCE * self._fair
        drivers = [driver(self._filters, part) for part in _parts(self._wanted.filter)]
        if self._scope is not None:
            drivers.append(select(_run.c.id).where(self._scope))
        drivers = [one for one in drivers if one is not None]
        asked: list[Any] = [
            select(func.count()).select_from(one.limit(far).subquery()).scalar_subquery()
            for one in drivers
        ]
        border = self._walk[0].border(self._position, far) if self._walk else None
        asked.append(literal(None) if border is None else border.scalar_subquery())
        *counts, value = self._connection.execute(select(*asked)).one()
        passing, least = min(zip(counts, drivers, strict=True), key=_first, default=(far, None))
        return passing, least if passing < far else None, value

    def _read(
        self, stretch: Stretch, limit: int | None, start: Any = None, border: Any = None
    ) -> list[_Found]:
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
        return [_Found(row, stretch) for row in rows]


def _parts(node: Node | None) -> Sequence[Node]:
    return node.parts if isinstance(node, And) else () if node is None else (node,)


def _first(pair: tuple[int, Any]) -> int:
    return pair[0]


def _place(row: Any) -> int:
    return row.place
