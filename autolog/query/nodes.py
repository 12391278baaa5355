"""The syntax tree of a filter and the keys of an order: frozen, comparable, plain data."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Final, Literal

__all__ = [
    "COMPARISONS",
    "And",
    "Between",
    "Clause",
    "Comparison",
    "Field",
    "In",
    "IsNull",
    "Node",
    "Not",
    "Or",
    "OrderKey",
    "Value",
    "fields",
]

Value = bool | int | float | str

Operator = Literal["=", "!=", "<", "<=", ">", ">=", "like", "not like", "ilike", "not ilike"]
Relation = Literal["", "parent", "root", "children"]
Part = Literal["last", "first", "min", "max"]

COMPARISONS: Final = ("=", "!=", "<", "<=", ">", ">=")


@dataclass(frozen=True, slots=True)
class Field:
    """Something that a run, or a run related to it, has.

    Attributes:
        kind: where it is found.
        name: the key, or the name of an attribute.
        relation: whose it is; of several children any one will do.
        part: which value of a metric's history.
    """

    kind: Literal["metric", "param", "tag", "attribute"]
    name: str
    relation: Relation = ""
    part: Part = "last"


@dataclass(frozen=True, slots=True)
class Comparison:
    """A field against a value; `like` and `ilike` know `%` and `_`, and no escape."""

    field: Field
    operator: Operator
    value: Value


@dataclass(frozen=True, slots=True)
class In:
    """A field equal to one of several values, or to none of them."""

    field: Field
    values: tuple[Value, ...]
    negated: bool = False


@dataclass(frozen=True, slots=True)
class Between:
    """A field from `low` to `high`, both included, or outside of that."""

    field: Field
    low: Value
    high: Value
    negated: bool = False


@dataclass(frozen=True, slots=True)
class IsNull:
    """A field that a run has not, or has. A parameter that is None counts as missing."""

    field: Field
    negated: bool = False


@dataclass(frozen=True, slots=True)
class And:
    """All of two or more parts."""

    parts: tuple[Node, ...]


@dataclass(frozen=True, slots=True)
class Or:
    """Any of two or more parts."""

    parts: tuple[Node, ...]


@dataclass(frozen=True, slots=True)
class Not:
    """The opposite of a part."""

    part: Node


Clause = Comparison | In | Between | IsNull
Node = Clause | And | Or | Not


@dataclass(frozen=True, slots=True)
class OrderKey:
    """A field to sort by. Runs without a value come last in both directions."""

    field: Field
    descending: bool = False


def fields(node: Node | None) -> Iterator[Field]:
    """Yield the field of every clause."""
    if isinstance(node, (And, Or)):
        for part in node.parts:
            yield from fields(part)
    elif isinstance(node, Not):
        yield from fields(node.part)
    elif node is not None:
        yield node.field
