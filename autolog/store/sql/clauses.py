"""Filters as conditions in SQL: a clause asks whether a row exists, so no join multiplies runs."""

from __future__ import annotations

import math
import operator
from collections.abc import Callable, Mapping, Sequence
from typing import Any, Final, cast

from sqlalchemy import (
    ColumnElement,
    Dialect,
    Double,
    and_,
    bindparam,
    case,
    exists,
    false,
    func,
    literal,
    not_,
    or_,
    select,
    true,
)
from sqlalchemy.sql.elements import Grouping

from autolog.query.compare import milliseconds, real
from autolog.query.names import type_of
from autolog.query.nodes import (
    And,
    Between,
    Clause,
    Comparison,
    Field,
    In,
    IsNull,
    Node,
    Not,
    Or,
    Value,
)
from autolog.query.words import lower_pairs, lowered
from autolog.store.sql.documents import NO_EXPERIMENT
from autolog.store.sql.schema import metadata
from autolog.store.sql.words import Word

__all__ = ["VALUES", "Filters", "attribute", "number", "part_column", "shown", "tested", "word"]

_run = metadata.tables["run"]
_experiment = metadata.tables["experiment"]
_series = metadata.tables["series"]
_param = metadata.tables["param"]
_tag = metadata.tables["tag"]

# Made once: an alias costs SQLAlchemy as much as a clause. Each is the only one of its SELECT.
VALUES: Final[dict[str, Any]] = {
    "metric": _series.alias("metric_value"),
    "param": _param.alias("param_value"),
    "tag": _tag.alias("tag_value"),
}
_other: Any = _run.alias("other_run")

_Condition = ColumnElement[bool]
_DOUBLE: Final = cast("Any", Double())

_OPERATORS: Final[dict[str, Callable[[Any, Any], Any]]] = {
    "=": operator.eq,
    "<": operator.lt,
    "<=": operator.le,
    ">": operator.gt,
    ">=": operator.ge,
}

_COLUMNS: Final = {
    "run_id": "uid",
    "user": "user_name",
    "commit": "commit_id",
    "parent_id": "parent_uid",
    "root_id": "root_uid",
    "start_time": "start_us",
    "end_time": "end_us",
}

_FARTHEST_MS: Final = 1 << 52


def word(value: str) -> ColumnElement[str]:
    """Return a text as a bound value."""
    return literal(value, Word)


def number(value: float) -> ColumnElement[float]:
    """Return a number as a bound value."""
    return literal(real(value), _DOUBLE)


def shown(series: Any) -> ColumnElement[Any]:
    """Return the condition of the indexes of `series`, written as they have it.

    SQLite does not see that `shown = 1`, which a plain column would become, is the same.
    """
    return Grouping(series.c.shown)


def tested(*conditions: ColumnElement[bool]) -> ColumnElement[bool]:
    """Return conditions in a form that no index is looked for.

    SQLite knows no statistics and would walk the list of all runs for the sake of `lifecycle`.
    """
    return case((and_(*conditions), true()), else_=false()).is_(true())


def part_column(series: Any, field: Field) -> ColumnElement[Any]:
    """Return the column of a metric's last, first, least or greatest value."""
    return series.c[f"{field.part}_value"]


def attribute(run: Any, name: str) -> ColumnElement[Any]:
    """Return an attribute of a run as its document shows it, but times in microseconds."""
    if name == "experiment":
        query = select(_experiment.c.name).where(_experiment.c.id == run.c.experiment_id)
        return func.coalesce(query.correlate(run).scalar_subquery(), word(NO_EXPERIMENT))
    if name == "duration":
        return (run.c.end_us // 1000 - run.c.start_us // 1000) / number(1000)
    return run.c[_COLUMNS.get(name, name)]


class Filters:
    """Writes filters for one database.

    Args:
        keys: ids of metric, param and tag names, by kind and name; a name that is not there
            belongs to no run.
        dialect: of the database.
        deleted: whether deleted runs are searched too.
    """

    def __init__(
        self, keys: Mapping[tuple[str, str], int], dialect: Dialect, *, deleted: bool
    ) -> None:
        self._keys = keys
        self._postgres = dialect.name == "postgresql"
        self._deleted = deleted

    def key(self, field: Field) -> int | None:
        """Return the id of a field's name."""
        return self._keys.get((field.kind, field.name))

    def alive(self, run: Any) -> _Condition:
        """Return the condition that a run is one of those searched."""
        return true() if self._deleted else run.c.lifecycle == "active"

    def ordered(self, column: ColumnElement[Any]) -> ColumnElement[Any]:
        """Return text that compares by code points, as Python and SQLite do."""
        return column.collate("C") if self._postgres else column

    def related(self, relation: str, run: Any, other: Any) -> _Condition:
        """Return the condition that `other` is the parent, the root or a child of `run`."""
        if relation == "children":
            link = other.c.parent_uid == run.c.uid
        else:
            link = other.c.uid == run.c[f"{relation}_uid"]
        return and_(link, self.alive(other))

    def condition(self, node: Node, run: Any = _run) -> _Condition:
        """Return a filter as a condition on `run`, true or false but never NULL."""
        if isinstance(node, And):
            return and_(*(self.condition(part, run) for part in node.parts))
        if isinstance(node, Or):
            return or_(*(self.condition(part, run) for part in node.parts))
        if isinstance(node, Not):
            return not_(self.condition(node.part, run))
        if not node.field.relation:
            return self._of(node, run)
        query = select(1).select_from(_other)
        query = query.where(self.related(node.field.relation, run, _other), self._of(node, _other))
        return exists(query.correlate(run))

    def _of(self, clause: Clause, run: Any) -> _Condition:
        field = clause.field
        if field.kind == "attribute":
            column = attribute(run, field.name)
            if isinstance(clause, IsNull):
                return column.is_not(None) if clause.negated else column.is_(None)
            return and_(column.is_not(None), self.holds(clause, column, None))
        table, rows = self._rows(field, run)
        if rows is None:
            return true() if isinstance(clause, IsNull) and not clause.negated else false()
        if isinstance(clause, IsNull):
            found = exists(rows.correlate(run))
            return found if clause.negated else not_(found)
        return exists(rows.where(self.holds_of_row(clause, table)).correlate(run))

    def _rows(self, field: Field, run: Any) -> tuple[Any, Any]:
        """Return a table and the query of the row in it that is the field's value."""
        key_id = self.key(field)
        table = VALUES[field.kind]
        if key_id is None:
            return table, None
        query = select(1).where(table.c.run_id == run.c.id, table.c.key_id == key_id)
        if field.kind == "metric":
            # Written so that SQLite takes the primary key, not an index over all runs.
            query = query.where(table.c.shown)
        elif field.kind == "param":
            query = query.where(table.c.type != "null")
        return table, query

    def holds_of_row(self, clause: Clause, table: Any) -> _Condition:
        """Return whether the row of a metric, a parameter or a tag passes a clause."""
        if clause.field.kind == "metric":
            return self.holds(clause, None, part_column(table, clause.field))
        numbers = table.c.num if clause.field.kind == "param" else None
        truth = table.c.json if clause.field.kind == "param" else None
        return self.holds(clause, table.c.text, numbers, truth)

    def holds(
        self,
        clause: Clause,
        column: ColumnElement[Any] | None,
        numbers: ColumnElement[Any] | None,
        truth: ColumnElement[Any] | None = None,
    ) -> _Condition:
        """Return whether a value, which is there, passes a clause.

        Args:
            clause: no IsNull.
            column: what texts are compared with, and all values of attributes.
            numbers: what numbers are compared with, NULL for NaN and for what is no number.
            truth: what holds `true` or `false` for booleans.
        """

        def one(symbol: str, value: Value) -> _Condition:
            if type_of(clause.field) == "time":
                return _time(column, symbol, milliseconds(value))
            if isinstance(value, bool):
                if truth is None:
                    return column == value  # type: ignore[return-value]
                return truth == ("true" if value else "false")
            if isinstance(value, str):
                return self._text(column, symbol, value)
            return _OPERATORS[symbol](column if numbers is None else numbers, number(value))

        negated = not isinstance(clause, (Comparison, IsNull)) and clause.negated
        if isinstance(clause, In):
            found = or_(*self._members(clause, one, column, numbers))
        elif isinstance(clause, Between):
            found = and_(one(">=", clause.low), one("<=", clause.high))
        else:
            assert isinstance(clause, Comparison)
            symbol = clause.operator
            negated = symbol == "!=" or symbol.startswith("not")
            symbol = "=" if symbol == "!=" else symbol.removeprefix("not ")
            if symbol.endswith("like"):
                assert isinstance(clause.value, str)
                assert column is not None
                found = self._like(column, clause.value, ignore_case=symbol == "ilike")
            else:
                found = one(symbol, clause.value)
        return not_(func.coalesce(found, false())) if negated else found

    @staticmethod
    def _members(
        clause: In, one: Callable[[str, Value], _Condition], column: Any, numbers: Any
    ) -> Sequence[_Condition]:
        """Return conditions of which one holds. There are few of them: SQLite's OR is not deep."""
        values = clause.values
        if type_of(clause.field) == "time":
            times = [ms for ms in map(milliseconds, values) if ms % 1 == 0]
            return [_among(column // 1000, times)]
        texts = [value for value in values if isinstance(value, str)]
        truths = {value for value in values if isinstance(value, bool)}
        found = [one("=", value) for value in truths]
        if texts:
            found.append(column.in_(texts))
        if len(texts) + len(truths) < len(values):
            reals = [real(v) for v in values if not isinstance(v, (bool, str))]
            found.append(_among(column if numbers is None else numbers, reals))
        return found

    def _text(self, column: Any, symbol: str, value: str) -> _Condition:
        if symbol == "=":
            return column == word(value)
        return _OPERATORS[symbol](self.ordered(column), word(value))

    def _like(self, column: Any, pattern: str, *, ignore_case: bool) -> _Condition:
        if not self._postgres:
            return func.autolog_like(column, pattern, ignore_case).is_(true())
        if not ignore_case:
            return column.like(word(pattern), escape="")
        return _lowered(column).like(word(lowered(pattern)), escape="")


def _among(column: Any, numbers: Sequence[float]) -> _Condition:
    return column.in_(bindparam(None, numbers, _DOUBLE, expanding=True))


def _time(column: Any, symbol: str, ms: float) -> _Condition:
    """Compare whole milliseconds, written as a range of the microseconds that are stored."""
    ms = max(-_FARTHEST_MS, min(_FARTHEST_MS, ms))
    at, behind = math.ceil(ms) * 1000, (math.floor(ms) + 1) * 1000
    if symbol == "=":
        return and_(column >= at, column < behind)  # of half a millisecond this is nothing
    if symbol in (">", ">="):
        return column >= (behind if symbol == ">" else at)
    return column < (at if symbol == "<" else behind)


def _lowered(column: Any) -> ColumnElement[str]:
    """Return text in Postgres as `autolog.query.words.lowered` gives it."""
    plain: Any = func.lower(column.collate("C"))  # ASCII alone, and fast
    ascii_only = func.octet_length(column) == func.char_length(column)
    return case((ascii_only, plain), else_=func.translate(plain, *lower_pairs()))
