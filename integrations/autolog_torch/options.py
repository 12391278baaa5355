"""The options of this integration: `autolog(torch={...})`."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

__all__ = ["Options"]


@dataclass(frozen=True)
class Options:
    """What is recorded beside the defaults.

    Args:
        checkpoint_every: weights are stored after so many steps, or after each "epoch", while the
            program waits; the last and the best are kept. By default those at the end alone, of a
            program that saves none itself.
    """

    checkpoint_every: int | Literal["epoch"] | None = None
