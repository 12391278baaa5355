"""The learning rate of an optimizer, as its newest step had it."""

from __future__ import annotations

from typing import Any, Final

__all__ = ["EVERY", "rate_of", "read"]

EVERY: Final = 50
"""The rate is read at one step of so many: it is a variable, or computed by a schedule, and to read
it takes an operation of TensorFlow, which can cost more than all else that is done for a step."""


def rate_of(optimizer: Any) -> Any:
    """Return a number, or a tensor of one element that is read later; None if there is none."""
    optimizer = getattr(optimizer, "inner_optimizer", optimizer)
    rate: Any = None
    for name in ("_learning_rate", "learning_rate", "_lr"):
        rate = getattr(optimizer, name, None)
        if rate is not None:
            break
    if callable(rate) and not hasattr(rate, "assign"):
        counter = getattr(optimizer, "_iterations", getattr(optimizer, "iterations", None))
        if not hasattr(rate, "get_config"):
            return None  # the user's own function: it may count its calls
        rate = rate(counter - 1) if counter is not None else None
    if isinstance(rate, (int, float)):
        return float(rate)
    value = read(rate)
    return value if value is not None and value.shape.num_elements() == 1 else None


def read(variable: Any) -> Any:
    """Return the value of a variable of Keras or TensorFlow as an eager tensor, else None."""
    value: Any = getattr(variable, "value", variable)  # a Keras variable has a property of the name
    value = value() if callable(value) else value
    value = value.read_value() if hasattr(value, "read_value") else value
    return value if hasattr(value, "numpy") else None
