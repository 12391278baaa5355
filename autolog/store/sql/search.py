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
    scope = _Scope(wanted)
    with database.read() as connection:
        known = _Known(connection, wanted, scope)
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
    connection: Connection, wanted: Search, scope: _Scope, known: _Known
) -> tuple[list[_Found], int | None]:
    plan = _Plan(connection, wanted, scope, known)
    return plan.rows(), plan.count() if wanted.total else None


class _Scope:
    """The experiments that are searched.

    Attributes:
        condition: that a run is in one of them; None is the whole store.
        single: the id of the only one, as a subquery.
    """

    def __init__(self, wanted: Search) -> None:
        self.condition: ColumnElement[bool] | None = None
        self.single: Any = None
        if wanted.experiments is None:
            return
        numbers = select(_experiment.c.id).where(_experiment.c.name.in_(wanted.experiments))
        if NO_EXPERIMENT in wanted.experiments:
            missing = _run.c.experiment_id.is_(None)
            self.condition = or_(_run.c.experiment_id.in_(numbers), missing)
        elif len(wanted.experiments) == 1:
            self.single = numbers.scalar_subquery()
            self.condition = _run.c.experiment_id == self.single
        else:
            self.condition = _run.c.experiment_id.in_(numbers)


class _Known:
    """What a search has to know before it plans; asked in one statement, or none.

    Attributes:
        keys: the ids of the names in it.
        size: about how many runs there are.
        unread: what makes a run one whose metrics are summarised first.
        dirty: whether there is such a run.
    """

    def __init__(self, connection: Connection, wanted: Search, scope: _Scope) -> None:
        named = [*fields(wanted.filter), *(key.field for key in wanted.order)]
        metrics = [field for field in named if field.kind == "metric"]
        self.unread = [_run.c.tail_no > _run.c.clean_no]
        if scope.condition is not None and not any(field.relation for field in metrics):
            self.unread.append(scope.condition)
        queries: list[Any] = []
        for kind in ("metric", "param", "tag"):
            names = {field.name for field in named if field.kind == kind}
            if names:
                query = select(_key.c.kind, _key.c.name, _key.c.id)
                queries.append(query.where(_key.c.kind == kind, _key.c.name.in_(names)))
        if metrics:
            dirty = select(_run.c.id).where(*self.unread).limit(1).scalar_subquery()
            queries.append(select(literal("run"), literal("dirty"), dirty))
        if wanted.filter is not None or scope.condition is not None:
            size = select(func.max(_run.c.id)).scalar_subquery()
            queries.append(select(literal("run"), literal("size"), size))
        self.keys: dict[tuple[str, str], int] = {}
        if queries:
            found: Any = connection.execute(queries[0].union_all(*queries[1:]))
            self.keys.update(((kind, name), number) for kind, name, number in found)
        self.dirty = self.keys.get(("run", "dirty")) is not None
        self.size = self.keys.get(("run", "size")) or 0


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

    def __init__(
        self, connection: Connection, wanted: Search, scope: _Scope, known: _Known
    ) -> None:
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

    def rows(self) -> list[_Found]:
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
        return stretches(self._filters, self._wanted.order, self._scope.single)

    def _walked(
        self, walk: Sequence[Stretch] | None = None, before: Sequence[_Found] = ()
    ) -> list[_Found]:
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
