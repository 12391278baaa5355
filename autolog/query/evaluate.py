"""What a filter and an order mean, over plain runs in memory.

This is the definition: it looks at one run after the other and knows no shortcut. A store answers
the same from its indexes, and its tests compare the two.
"""

from __future__ import annotations

import math
from collections import defaultdict
from collections.abc import Callable, Iterable, Sequence
from typing import Any, Final

from autolog.entities import Run
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
    OrderKey,
    Part,
    Value,
)
from autolog.query.words import is_like

__all__ = ["Collection"]

Summary = Callable[[Run, str, Part], float | None]

_ORDERS: Final[dict[str, Callable[[Any, Any], bool]]] = {
    "<": lambda a, b: a < b,
    "<=": lambda a, b: a <= b,
    ">": lambda a, b: a > b,
    ">=": lambda a, b: a >= b,
}


def _last(run: Run, key: str, part: Part) -> float | None:
    if part != "last":
        raise NotImplementedError(f"{part}() needs the history of a metric; give `summary`")
    return run.metrics.get(key)


class Collection:
    """Runs that are searched together; parents, roots and children are looked for among them.

    Args:
        runs: the runs.
        summary: returns the first, last, least or greatest value of a metric of a run (NaN if it
            is NaN, or all are), None if there is none. By default only last values are known.
    """

    def __init__(self, runs: Iterable[Run], summary: Summary = _last) -> None:
        self._runs = list(runs)
        self._summary = summary
        self._by_id = {run.run_id: run for run in self._runs}
        self._children: dict[str, list[Run]] = defaultdict(list)
        for run in self._runs:
            if run.parent_id is not None:
                self._children[run.parent_id].append(run)

    def search(self, node: Node | None, order: Sequence[OrderKey] = ()) -> list[Run]:
        """Return the runs that pass a filter, in order; equal ones newest first."""
        found = [run for run in self._runs if node is None or self.passes(node, run)]
        found.sort(key=lambda run: (run.start_time, run.run_id), reverse=True)
        for key in reversed(order):
            classes: dict[int, list[tuple[Any, Run]]] = defaultdict(list)
            for run in found:
                number, value = self._rank(key, run)
                classes[number].append((value, run))
            for number in (0, 1):
                classes[number].sort(key=lambda pair: pair[0], reverse=key.descending)
            found = [run for number in range(4) for _, run in classes[number]]
        return found

    def passes(self, node: Node, run: Run) -> bool:
        """Whether a run passes a filter."""
        if isinstance(node, And):
            return all(self.passes(part, run) for part in node.parts)
        if isinstance(node, Or):
            return any(self.passes(part, run) for part in node.parts)
        if isinstance(node, Not):
            return not self.passes(node.part, run)
        field = node.field
        return any(_holds(node, self._read(field, one)) for one in self._meant(field, run))

    def _meant(self, field: Field, run: Run) -> Sequence[Run]:
        """Return the runs whose value a field is."""
        if field.relation == "children":
            return self._children[run.run_id]
        if field.relation:
            wanted = run.parent_id if field.relation == "parent" else run.root_id
            return [self._by_id[wanted]] if wanted in self._by_id else []
        return [run]

    def _read(self, field: Field, run: Run) -> Any:
        if field.kind == "metric":
            return self._summary(run, field.name, field.part)
        if field.kind == "param":
            return run.params.get(field.name)
        if field.kind == "tag":
            return run.tags.get(field.name)
        if field.name == "duration":
            return None if run.end_time is None else (run.end_time - run.start_time) / 1000
        return getattr(run, field.name)

    def _rank(self, key: OrderKey, run: Run) -> tuple[int, Any]:
        """Return a class (0 numbers, 1 texts, 2 NaN, 3 nothing) and the value to compare in it."""
        meant = self._meant(key.field, run)
        value = self._read(key.field, meant[0]) if meant else None
        if value is None:
            return 3, None
        number = _number(value)
        if number is None:
            return 1, str(value)
        return (2, None) if math.isnan(number) else (0, number)


def _holds(clause: Clause, value: Any) -> bool:
    if isinstance(clause, IsNull):
        return (value is None) != clause.negated
    if value is None:
        return False
    if isinstance(clause, In):
        found = any(_equal(clause.field, value, one) for one in clause.values)
        return found != clause.negated
    if isinstance(clause, Between):
        low = _ordered(clause.field, ">=", value, clause.low)
        return (low and _ordered(clause.field, "<=", value, clause.high)) != clause.negated
    return _compared(clause, value)


def _compared(clause: Comparison, value: Any) -> bool:
    operator, wanted = clause.operator, clause.value
    if operator in ("=", "!="):
        return _equal(clause.field, value, wanted) == (operator == "=")
    if operator in _ORDERS:
        return _ordered(clause.field, operator, value, wanted)
    no, _, like = operator.rpartition(" ")
    return is_like(str(value), str(wanted), ignore_case=like == "ilike") != bool(no)


def _equal(field: Field, value: Any, wanted: Value) -> bool:
    a, b = _pair(field, value, wanted)
    return a is not None and a == b


def _ordered(field: Field, operator: str, value: Any, wanted: Value) -> bool:
    a, b = _pair(field, value, wanted)
    return a is not None and _ORDERS[operator](a, b)


def _pair(field: Field, value: Any, wanted: Value) -> tuple[Any, Any]:
    """Return a value as what it is compared with, and that; None if they do not compare."""
    if type_of(field) == "time":
        return value, milliseconds(wanted)
    if isinstance(wanted, bool):
        return (value if isinstance(value, bool) else None), wanted
    if isinstance(wanted, str):
        return str(value), wanted
    return _number(value), real(wanted)


def _number(value: Any) -> float | None:
    """Return a number as a float, NaN if none is large enough; None for other values."""
    if isinstance(value, bool) or not isinstance(value, (int, float)):
        return None
    try:
        return float(value)
    except OverflowError:
        return math.nan
