"""Points of a metric as a store answers them: every one, or summed up in buckets of steps."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

__all__ = ["Downsampled", "History"]


@dataclass(frozen=True, slots=True, repr=False)
class History:
    """Points of a metric, ordered by step, then time. All arrays have one entry per point.

    Attributes:
        step: int64.
        value: float64; NaN and infinities as they were logged.
        timestamp: int64, microseconds since the epoch.
        epoch: float64, NaN where the point has no epoch.
        attempt: int64, which attempt of the run wrote the point.
        context_index: int64, which of `contexts` the point has.
        contexts: dictionaries such as `{"phase": "fit"}`.
    """

    step: NDArray[np.int64]
    value: NDArray[np.float64]
    timestamp: NDArray[np.int64]
    epoch: NDArray[np.float64]
    attempt: NDArray[np.int64]
    context_index: NDArray[np.intp]
    contexts: tuple[dict[str, Any], ...]

    def __repr__(self) -> str:
        if not len(self):
            return "<no points>"
        first, last = self.step[0], self.step[-1]
        many = f"{len(self)} point{'s' * (len(self) != 1)}"
        return f"<{many}, steps {first} to {last}, last value {self.value[-1]:g}>"

    @property
    def context(self) -> NDArray[Any]:
        """The dictionary of each point, as objects; equal ones are shared."""
        import numpy as np

        bodies = np.empty(len(self.contexts), object)
        bodies[:] = self.contexts
        return bodies[self.context_index]

    def __len__(self) -> int:
        return len(self.step)

    def to_pandas(self) -> Any:
        """Return a DataFrame of the columns step, value, timestamp (UTC), epoch, attempt, phase.

        More columns follow for what else the contexts say: dataset, model, rank.

        Raises:
            UsageError: pandas is not installed.
        """
        from autolog.store import point_frames

        return point_frames.to_pandas(self)

    def to_polars(self) -> Any:
        """Return a polars DataFrame; see `to_pandas`.

        Raises:
            UsageError: polars is not installed.
        """
        from autolog.store import point_frames

        return point_frames.to_polars(self)

    def to_arrow(self) -> Any:
        """Return a pyarrow Table; see `to_pandas`.

        Raises:
            UsageError: pyarrow is not installed.
        """
        from autolog.store import point_frames

        return point_frames.to_arrow(self)


@dataclass(frozen=True, slots=True)
class Downsampled:
    """A metric in buckets of steps, in order. All arrays have one entry per bucket.

    A bucket is `width` steps wide, a power of two, and starts at a multiple of `width`: points
    that come later never move an older bucket. Where there are no more points than buckets were
    asked for, `width` is 0 and each point is a bucket of its own. Empty buckets are left out.

    Attributes:
        width: in steps.
        start: int64, the first step that the bucket covers.
        count: int64, how many points it has, those with the value NaN included.
        nan_count: int64.
        min: float64, the smallest value that is not NaN; NaN if there is no other.
        max: float64, likewise.
        first_step: int64, of the first point.
        first: float64, its value.
        last_step: int64, of the last point.
        last: float64, its value.
    """

    width: int
    start: NDArray[np.int64]
    count: NDArray[np.int64]
    nan_count: NDArray[np.int64]
    min: NDArray[np.float64]
    max: NDArray[np.float64]
    first_step: NDArray[np.int64]
    first: NDArray[np.float64]
    last_step: NDArray[np.int64]
    last: NDArray[np.float64]

    def __len__(self) -> int:
        return len(self.start)
