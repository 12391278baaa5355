"""The numbers that Keras has already brought to the host, and what it calls them."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Final, cast

__all__ = ["named", "number"]

LOSS: Final = "loss"


def number(value: Any) -> float | None:
    """Return a number of Python or NumPy, or a NumPy array of one; None for others.

    A tensor of a backend is none: reading it could wait for a device.
    """
    if isinstance(value, (bool, int, float)):
        return float(value)
    if type(value).__module__ == "numpy" and getattr(value, "size", 0) == 1:
        try:
            return float(value.item())
        except (TypeError, ValueError):
            return None
    return None


def named(result: Any, logs: Any) -> dict[str, float]:
    """Name the numbers that a call of one batch returned.

    Args:
        result: what it returned: a number, a list or a dictionary.
        logs: the same as a dictionary, if Keras had one.
    """
    given: Mapping[Any, Any]
    if isinstance(result, dict):
        given = cast("dict[Any, Any]", result)
    elif isinstance(logs, dict):
        given = cast("dict[Any, Any]", logs)
    else:  # of a list that nobody has named, the first is the loss
        several = cast("list[Any]", result) if isinstance(result, list) else [result]
        given = dict(zip([LOSS], several, strict=False))
    values: dict[str, float] = {}
    for key, value in given.items():
        found = number(value)
        if found is not None:
            values[str(key)] = found
    return values
