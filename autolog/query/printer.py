"""Writes a syntax tree as text that reads back as the same tree."""

from __future__ import annotations

from autolog.query.nodes import (
    And,
    Between,
    Comparison,
    Field,
    In,
    Node,
    Not,
    Or,
    OrderKey,
    Value,
)
from autolog.query.reference import PLAIN_KEY

__all__ = ["print_filter", "print_order"]


def print_filter(node: Node | None) -> str:
    """Return the text of a filter; nothing for the one that every run passes."""
    if node is None:
        return ""
    if isinstance(node, And):
        return " and ".join(_inside(part, And, Or) for part in node.parts)
    if isinstance(node, Or):
        return " or ".join(_inside(part, Or) for part in node.parts)
    if isinstance(node, Not):
        return f"not {_inside(node.part, And, Or)}"
    field = _field(node.field)
    no = "" if isinstance(node, Comparison) or not node.negated else "not "
    if isinstance(node, Comparison):
        return f"{field} {node.operator} {_value(node.value)}"
    if isinstance(node, In):
        return f"{field} {no}in ({', '.join(map(_value, node.values))})"
    if isinstance(node, Between):
        return f"{field} {no}between {_value(node.low)} and {_value(node.high)}"
    return f"{field} is {no}null"


def print_order(key: OrderKey) -> str:
    """Return the text of a key of an order."""
    return f"{_field(key.field)}{' desc' if key.descending else ''}"


def _inside(node: Node, *grouped: type) -> str:
    text = print_filter(node)
    return f"({text})" if isinstance(node, grouped) else text


def _field(field: Field) -> str:
    relation = f"{field.relation}." if field.relation else ""
    if field.kind == "attribute":
        return f"{relation}{field.name}"
    name = field.name
    if not PLAIN_KEY.fullmatch(name):
        name = f"`{name.replace('`', '``')}`"
    written = f"{relation}{field.kind}s.{name}"
    return written if field.part == "last" else f"{field.part}({written})"


def _value(value: Value) -> str:
    if isinstance(value, bool):
        return "true" if value else "false"
    return "'" + value.replace("'", "''") + "'" if isinstance(value, str) else repr(value)
