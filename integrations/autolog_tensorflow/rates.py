"""The learning rate of an optimizer, as it is now."""

from __future__ import annotations

from typing import Any, Final

__all__ = ["EVERY", "rate_of"]

EVERY: Final = 50
"""The rate is read at one step of so many: it is a variable, or computed by a schedule, and to read
it takes an operation of TensorFlow, which can cost more than all else that is done for a step."""


def rate_of(optimizer: Any) -> Any:
    """Return a number, or a tensor of one element that is read later; None if there is none."""
    optimizer = getattr(optimizer, "inner_optimizer", optimizer)
    rate = getattr(optimizer, "learning_rate", None)
    if rate is None:
        rate = getattr(optimizer, "_learning_rate", getattr(optimizer, "_lr", None))
    if callable(rate) and not hasattr(rate, "numpy"):
        # tf_keras shows a schedule as it is, Keras what it gives for the next step.
        counter = getattr(optimizer, "iterations", None)
        rate = rate(counter) if hasattr(rate, "get_config") and counter is not None else rate()
    if isinstance(rate, (int, float)):
        return float(rate)
    value = getattr(rate, "value", rate)  # a Keras variable has a property of this name
    value = value() if callable(value) else value
    if hasattr(value, "read_value"):
        value = value.read_value()
    if not hasattr(value, "numpy") or value.shape.num_elements() != 1:
        return None
    return value
