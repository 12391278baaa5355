"""Orders as SQL: what to sort by, in which parts a long list is read, and where a page begins.

A field sorts by its class first (numbers, texts, NaN, nothing) and then by its value, so that what
has no value is last in both directions. Equal runs come newest first.
"""

from __future__ import annotations

import functools
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Final

from sqlalchemy import (
    BigInteger,
    Boolean,
    ColumnElement,
    Double,
    Integer,
    and_,
    case,
    exists,
    literal,
    not_,
    null,
    or_,
    select,
    true,
)

from autolog.query.nodes import Between, Comparison, Field, In, Node, OrderKey
from autolog.store.sql.clauses import Filters, attribute, part_column, shown
from autolog.store.sql.schema import metadata
from autolog.store.sql.words import Word

__all__ = ["Position", "Stretch", "stretches", "whole"]

_run = metadata.tables["run"]

Position = Sequence[Any]
"""The values of a run in every term of an order; None where its class has no value."""

_TABLES: Final = {"metric": "series", "param": "param", "tag": "tag"}

_NUMBER: Final = 0
_TEXT: Final = 1
_NAN: Final = 2
_NOTHING: Final = 3


@dataclass(frozen=True, slots=True)
class Term:
    """One thing to sort by.

    Attributes:
        expression: None where all runs of a stretch have the same `fixed` value.
        type: of the expression's values, which a page token brings back.
        descending: the direction.
        fixed: see `expression`.
    """

    expression: Any
    type: Any
    descending: bool = False
    fixed: Any = None


@dataclass(frozen=True, slots=True)
class Stretch:
    """A part of the sorted list that one query reads.

    Attributes:
        source: what to select from.
        where: what makes a run belong to it.
        terms: of the order; the same ones, in number and type, for every stretch.
        index: the query of the first varying term's values, which an index gives in order;
            None if none does.
        listed: whether the list of runs leads to the rows, and not an index of values.
    """

    source: Any
    where: tuple[ColumnElement[bool], ...]
    terms: tuple[Term, ...]
    index: Any = None
    listed: bool = True

    def order_by(self, columns: Sequence[Any] | None = None) -> list[Any]:
        """Return the ORDER BY of the stretch, of its own or of these columns for its terms."""
        varying = [term for term in self.terms if term.expression is not None]
        columns = [term.expression for term in varying] if columns is None else columns
        pairs = zip(columns, varying, strict=True)
        return [column.desc() if term.descending else column.asc() for column, term in pairs]

    def position(self, values: Sequence[Any]) -> Position:
        """Return the position of a run from the values of the terms that vary."""
        rest = iter(values)
        return [term.fixed if term.expression is None else next(rest) for term in self.terms]

    def after(self, position: Position) -> ColumnElement[bool] | None:
        """Return the condition that a run comes after a position; None if none here does."""
        ways: list[ColumnElement[bool]] = []
        equal: list[ColumnElement[bool]] = []
        for term, value in zip(self.terms, position, strict=True):
            if term.expression is None:
                order = _compare(term.fixed, value)
                if order == 0:
                    continue
                if order > 0:
                    ways.append(and_(true(), *equal))
                break
            if value is None:  # of a class without values, in which all are equal
                continue
            bound = literal(value, term.type)
            beyond = term.expression < bound if term.descending else term.expression > bound
            ways.append(and_(*equal, beyond))
            equal.append(term.expression == bound)
        return or_(*ways) if ways else None

    def from_index(self, position: Position) -> list[ColumnElement[bool]]:
        """Return the range of the index in which all of `after` lies."""
        at = self._leading()
        if self.index is None or position[at] is None:
            return []
        bound = literal(position[at], self.terms[at].type)
        column = self.terms[at].expression
        return [column <= bound if self.terms[at].descending else column >= bound]

    def until(self, border: Any) -> ColumnElement[bool]:
        """Return the condition that a run comes no later than a value of the leading term."""
        term = self.terms[self._leading()]
        bound = literal(border, term.type)
        return term.expression >= bound if term.descending else term.expression <= bound

    def border(self, position: Position | None, distance: int) -> Any:
        """Return the query of the leading term's value so many runs into the stretch.

        Its answer is nothing where the stretch is shorter. None if it has no index.
        """
        if self.index is None:
            return None
        query = self.index
        if position is not None:
            if self.after(position) is None:
                return None
            query = query.where(*self.from_index(position))
        term = self.terms[self._leading()]
        order = term.expression.desc() if term.descending else term.expression.asc()
        return query.order_by(order).limit(1).offset(distance)

    def _leading(self) -> int:
        return next(at for at, term in enumerate(self.terms) if term.expression is not None)


def _compare(a: Any, b: Any) -> int:
    if a is None or b is None:
        return 0
    return (a > b) - (a < b)


def whole(filters: Filters, order: Sequence[OrderKey]) -> Stretch:
    """Return the whole list as one stretch, which the database must sort."""
    source, terms = _with_keys(filters, _run, order)
    return Stretch(source, (), (*terms, *_newest()))


def stretches(
    filters: Filters, order: Sequence[OrderKey], experiment: Any, parts: Sequence[Node]
) -> list[Stretch]:
    """Return the list in stretches, the first of which an index gives; [] if none does.

    Args:
        filters: of the search.
        order: its keys.
        experiment: the id of the only one that is searched, if it is one.
        parts: what every run has to pass; those on the first key shorten its stretch.
    """
    if not order:
        return [Stretch(_run, (), _newest(), _started(filters, experiment, parts))]
    first, rest = order[0], order[1:]
    field = first.field
    if field.relation:
        return []
    if field.kind == "attribute":
        if field.name != "start_time":
            return []
        source, terms = _with_keys(filters, _run, order)
        return [Stretch(source, (), (*terms, *_newest()), _started(filters, experiment, parts))]
    key_id = filters.key(field)
    if key_id is None or field.kind == "tag" or field.part != "last":
        return []
    table = _alias(_TABLES[field.kind], 0)
    having = [table.c.key_id == key_id]
    if field.kind == "metric":
        having.append(shown(table))
        if experiment is not None:
            having.append(table.c.experiment_id == experiment)
    else:
        having.append(table.c.type != "null")
    value = part_column(table, field) if field.kind == "metric" else table.c.num
    own = _of_field(parts, field)
    joined, others = _with_keys(filters, _run.join(table, table.c.run_id == _run.c.id), rest)
    alone, others_alone = _with_keys(filters, _run, rest)
    ties, ties_alone = (*others, *_newest()), (*others_alone, *_newest())
    classes, *values = _terms(filters, first, table)
    numbers = (
        Term(None, Integer(), fixed=_NUMBER),
        Term(value, Double(), first.descending),
        *(Term(None, term.type, fixed=None) for term in values[1:]),
    )
    within = (filters.holds_of_row(clause, table) for clause in own)
    known = (*having, value.is_not(None), *within)
    without = exists(select(1).where(table.c.run_id == _run.c.id, *having).correlate(_run))
    nothing = (
        Term(None, Integer(), fixed=_NOTHING),
        *(Term(None, term.type, fixed=None) for term in values),
    )
    return [
        Stretch(joined, known, (*numbers, *ties), select(value).where(*known), listed=False),
        Stretch(joined, (*having, value.is_(None)), (classes, *values, *ties), listed=False),
        Stretch(alone, (not_(without),), (*nothing, *ties_alone)),
    ]


@functools.cache
def _alias(name: str, at: int) -> Any:
    """Return an alias for the key at this place of an order: the same one for every search."""
    return metadata.tables[name].alias(f"{name}_{at}")


def _newest() -> tuple[Term, Term]:
    big = BigInteger()
    return Term(_run.c.start_us, big, descending=True), Term(_run.c.uid, Word(), descending=True)


def _started(filters: Filters, experiment: Any, parts: Sequence[Node]) -> Any:
    """Return the query of the times at which runs started."""
    query = select(_run.c.start_us).where(filters.alive(_run))
    if experiment is not None:
        query = query.where(_run.c.experiment_id == experiment)
    own = _of_field(parts, Field("attribute", "start_time"))
    return query.where(*(filters.condition(clause) for clause in own))


def _of_field(parts: Sequence[Node], field: Field) -> list[Comparison | Between | In]:
    """Return the clauses among these that compare a field with values."""
    return [
        part
        for part in parts
        if isinstance(part, (Comparison, Between, In)) and part.field == field
    ]


def _with_keys(
    filters: Filters, source: Any, order: Sequence[OrderKey]
) -> tuple[Any, tuple[Term, ...]]:
    """Return a FROM with the fields of an order joined to it, and their terms."""
    terms: list[Term] = []
    for at, key in enumerate(order, 1):
        field, run = key.field, _run
        if field.relation:
            run = _alias("run", at)
            source = source.outerjoin(run, filters.related(field.relation, _run, run))
        table: Any = run
        if field.kind != "attribute":
            table = _alias(_TABLES[field.kind], at)
            wanted = [table.c.run_id == run.c.id, table.c.key_id == filters.key(field)]
            if field.kind == "metric":
                wanted.append(shown(table))
            source = source.outerjoin(table, and_(*wanted))
        terms += _terms(filters, key, table)
    return source, tuple(terms)


def _terms(filters: Filters, key: OrderKey, table: Any) -> list[Term]:
    """Return the class and the values of a field whose row, if there is one, is in `table`."""
    field, down = key.field, key.descending
    if field.kind == "metric":
        value = part_column(table, field)
        classes = case((table.c.run_id.is_(None), _NOTHING), (value.is_(None), _NAN), else_=_NUMBER)
        return [Term(classes, Integer()), Term(value, Double(), down)]
    if field.kind == "param":
        kind = table.c.type
        classes = case(
            (or_(kind.is_(None), kind == "null"), _NOTHING),
            (table.c.num.is_not(None), _NUMBER),
            (kind.in_(("int", "float")), _NAN),
            else_=_TEXT,
        )
        words = case((classes == _TEXT, table.c.text), else_=null())
        words_term = Term(filters.ordered(words), Word(), down)
        return [Term(classes, Integer()), Term(table.c.num, Double(), down), words_term]
    if field.kind == "tag":
        column, type_ = filters.ordered(table.c.text), Word()
    else:
        column, type_ = attribute(table, field.name), _ATTRIBUTE_TYPES.get(field.name, Word())
        if type_.__class__ is Word:
            column = filters.ordered(column)
    if field.kind == "attribute" and field.name == "start_time" and not field.relation:
        return [Term(column, type_, down)]
    classes = case((column.is_(None), _NOTHING), else_=_NUMBER)
    return [Term(classes, Integer()), Term(column, type_, down)]


_ATTRIBUTE_TYPES: Final[dict[str, Any]] = {
    "start_time": BigInteger(),
    "end_time": BigInteger(),
    "depth": BigInteger(),
    "duration": Double(),
    "dirty": Boolean(),
}
