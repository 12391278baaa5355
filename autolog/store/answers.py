"""What a store answers besides the plain entities: pages of runs and histories of metrics."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from autolog.entities import Run

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

__all__ = ["History", "RunPage"]


@dataclass(frozen=True, slots=True)
class RunPage:
    """Some runs, newest first. `next` is the token of the following page, None on the last."""

    runs: list[Run]
    next: str | None

    @property
    def complete(self) -> bool:
        """Whether no further page follows."""
        return self.next is None


@dataclass(frozen=True, slots=True)
class History:
    """Every point of a metric, ordered by step, then time. All arrays have one entry per point.

    Attributes:
        step: int64.
        value: float64; NaN and infinities as they were logged.
        timestamp: int64, microseconds since the epoch.
        epoch: float64, NaN where the point has no epoch.
        attempt: int64, which attempt of the run wrote the point.
        context: objects, a dictionary per point such as `{"phase": "fit"}`; equal ones are shared.
    """

    step: NDArray[np.int64]
    value: NDArray[np.float64]
    timestamp: NDArray[np.int64]
    epoch: NDArray[np.float64]
    attempt: NDArray[np.int64]
    context: NDArray[Any]

    def __len__(self) -> int:
        return len(self.step)
