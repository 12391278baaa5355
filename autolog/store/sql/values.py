"""Typed values as columns: JSON that keeps every type, a number to compare, the text MLflow sees.

The JSON is Python's: `NaN`, `Infinity` and integers of any length stand in it.
"""

from __future__ import annotations

import json
import math
from typing import Any, Final, NamedTuple

__all__ = ["ParamColumns", "from_json", "param_columns", "param_value", "real", "to_json"]

_encode = json.JSONEncoder(ensure_ascii=False, separators=(",", ":")).encode
_TYPES: Final = {bool: "bool", int: "int", float: "float", str: "str", type(None): "null"}


class ParamColumns(NamedTuple):
    """A parameter as its row has it; `json` is None for text."""

    type: str
    json: str | None
    num: float | None
    text: str


def to_json(value: Any) -> str:
    """Write JSON without blanks; characters stand for themselves."""
    return _encode(value)


def from_json(text: str) -> Any:
    """Read what `to_json` wrote."""
    return json.loads(text)


def param_columns(value: Any) -> ParamColumns:
    """Split a parameter into its columns. `num` is set for finite and infinite numbers alone."""
    if type(value) is str:
        return ParamColumns("str", None, None, value)
    if type(value) in _TYPES:
        number = _number(value) if type(value) in (int, float) else None
        return ParamColumns(_TYPES[type(value)], to_json(value), number, str(value))
    kind = "object" if isinstance(value, dict) else "list"
    return ParamColumns(kind, to_json(value), None, str(value))  # type: ignore[reportUnknownArgumentType]


def param_value(json_text: str | None, text: str) -> Any:
    """Read a parameter back from its columns."""
    return text if json_text is None else from_json(json_text)


def real(value: float) -> float | None:
    """Return a float as a column holds it: None for NaN."""
    return None if math.isnan(value) else value


def _number(value: float) -> float | None:
    try:
        return real(float(value))
    except OverflowError:
        return None
