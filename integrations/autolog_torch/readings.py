"""Numbers that are still on their device: read when they have arrived, never waited for."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

__all__ = ["Reading", "readable"]


class Reading:
    """Numbers on their way."""

    def __init__(self, values: Mapping[str, Any]) -> None:
        self._values = values

    def ready(self) -> bool:
        """Whether all have arrived."""
        return True

    def values(self) -> dict[str, float]:
        """Return them."""
        return {key: float(value) for key, value in self._values.items()}


def readable(values: dict[str, Any]) -> dict[str, float] | Reading:
    """Return numbers at once, if all are on the CPU."""
    for key, value in values.items():
        if type(value) is not float:
            values[key] = value.item() if hasattr(value, "item") else float(value)
    return values
