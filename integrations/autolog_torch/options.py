"""The options of this integration: `autolog(torch={...})`."""

from __future__ import annotations

from dataclasses import dataclass

__all__ = ["Options"]


@dataclass(frozen=True)
class Options:
    """What is recorded beside the defaults."""
