"""Numbers of Keras' logs, of its variables and of the tensors of its backends."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any, Final, cast

__all__ = ["number", "numbers"]

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
