"""What a store answers besides the plain entities: pages, histories, and sums over many runs."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import msgspec

from autolog.entities import Run

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

__all__ = ["History", "Rollup", "RunPage", "Same", "Spread"]


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


class Spread(msgspec.Struct, frozen=True, kw_only=True):
    """How the last value of a metric spreads over several runs.

    `n` counts the runs that have a value that is not NaN; `std` is the sample's (n - 1), None for
    a single run; `min_run` and `max_run` are ids, `min_name` and `max_name` what these are called.
    """

    n: int
    mean: float
    std: float | None
    min: float
    min_run: str
    min_name: str
    max: float
    max_run: str
    max_name: str


class Rollup(msgspec.Struct, frozen=True, kw_only=True):
    """The runs below a run: how many, by status and by kind, and their metrics."""

    runs: int
    status: dict[str, int]
    kind: dict[str, int]
    metrics: dict[str, Spread]


class Same(msgspec.Struct, frozen=True, kw_only=True):
    """The runs of one recipe, newest first, and how the metrics of the finished ones spread.

    `seeds` are the values of their seed-like parameters, by name.
    """

    recipe: str
    runs: list[Run]
    metrics: dict[str, Spread]
    seeds: dict[str, list[Any]]
