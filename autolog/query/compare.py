"""Which values a field may be compared with, and times as numbers."""

from __future__ import annotations

from datetime import datetime, timezone

from autolog.entities import Status
from autolog.query.names import Type, type_of
from autolog.query.nodes import Field, Value

__all__ = ["milliseconds", "objection", "real"]

_EPOCH = datetime(1970, 1, 1, tzinfo=timezone.utc)
_STATUSES = tuple(status.value for status in Status)


def objection(field: Field, operator: str, value: Value) -> str | None:
    """Return why a field cannot be compared with a value like this; None if it can."""
    kind = type_of(field)
    if operator.endswith("like"):
        if not isinstance(value, str):
            return f"{operator.upper()} takes a pattern in quotes, as in 'a%'"
        return None if kind in ("text", "any") else f"{operator.upper()} is for text; {_is(kind)}"
    if not _fits(kind, value):
        return _is(kind)
    if isinstance(value, bool) and operator not in ("=", "!=", "in"):
        return "true and false have no order: use = or !="
    if field.kind == "attribute" and field.name == "status" and operator in ("=", "!=", "in"):
        return None if value in _STATUSES else f"a status is one of {', '.join(_STATUSES)}"
    return None


def _fits(kind: Type, value: Value) -> bool:
    if kind == "any":
        return True
    if isinstance(value, bool):
        return kind == "boolean"
    if isinstance(value, str):
        return kind == "text" or (kind == "time" and _is_time(value))
    return kind in ("number", "time")


def _is_time(text: str) -> bool:
    try:
        milliseconds(text)
    except ValueError:
        return False
    return True


def _is(kind: Type) -> str:
    return {
        "text": "this field is a text: write the value in quotes",
        "number": "this field is a number: write the value without quotes",
        "boolean": "this field is true or false",
        "time": "this field is a time: write milliseconds since the epoch, or a date such as"
        " '2026-01-31' or '2026-01-31T12:00+01:00' (without an offset it is UTC)",
        "any": "this field is of any type",
    }[kind]


def milliseconds(value: Value) -> float:
    """Return a time, as a number or an ISO 8601 text, in milliseconds since the epoch.

    Raises:
        ValueError: the text is none.
    """
    if not isinstance(value, str):
        return real(value)
    text = value.strip()
    if text.endswith(("Z", "z")):  # unknown to Python 3.10
        text = text[:-1] + "+00:00"
    when = datetime.fromisoformat(text)
    if when.tzinfo is None:
        when = when.replace(tzinfo=timezone.utc)
    return (when - _EPOCH).total_seconds() * 1000


def real(value: float) -> float:
    """Return a number as all numbers are compared: as a 64-bit float, infinite if too large."""
    try:
        return float(value)
    except OverflowError:
        return float("inf") if value > 0 else float("-inf")
