"""The options of `autolog()` that hold for every integration."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final

__all__ = ["MEGABYTE", "Options"]

MEGABYTE: Final = 1_000_000


@dataclass(frozen=True, slots=True)
class Options:
    """Options that hold for every integration."""

    log_models: str = "auto"
    max_model_bytes: int = 100 * MEGABYTE
    log_datasets: bool = True
