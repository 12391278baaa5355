"""Numbers of Keras' logs, of its variables and of the tensors of its backends.

`number` reads them wherever they are, `number_here` only those that Keras has brought to the host.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any, Final, cast

__all__ = ["named", "number", "number_here", "numbers"]

LOSS: Final = "loss"

_MOST: Final = 32
"""A log with more elements (a curve, a matrix) is no number for each of them."""


def numbers(logs: Mapping[str, Any]) -> Iterator[tuple[str, float]]:
    """Give the numbers among logs: one for each element of a small array."""
    for key, value in logs.items():
        if isinstance(value, dict):
            yield from numbers(cast("dict[str, Any]", value))
            continue
        found = number(value)
        if found is not None:
            yield str(key), found
            continue
        elements = getattr(value, "flat", value)
        if isinstance(elements, str) or not hasattr(elements, "__len__"):
            continue
        if 1 < len(elements) <= _MOST:
            for at, element in enumerate(elements):
                found = number(element)
                if found is not None:
                    yield f"{key}/{at}", found


def number(value: Any) -> float | None:
    """Return a number, a variable or a tensor of one element as a float; None if it is more."""
    if isinstance(value, (int, float)):
        return float(value)
    inner = getattr(value, "value", value)  # of a variable of Keras 3 what the backend holds
    inner = value if callable(inner) else inner
    try:
        # Not float() of a tensor: PyTorch may warn, and of TensorFlow's NumPy does.
        return float(inner.item() if hasattr(inner, "item") else inner.numpy())
    except (TypeError, ValueError, RuntimeError, AttributeError):
        return None


def number_here(value: Any) -> float | None:
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
        found = number_here(value)
        if found is not None:
            values[str(key)] = found
    return values
