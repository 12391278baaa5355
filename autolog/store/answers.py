"""What a store answers besides the plain entities: runs that were found, histories of metrics."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, overload

from autolog.entities import Run

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

__all__ = ["History", "RunList", "RunPage"]


@dataclass(frozen=True, slots=True)
class RunPage:
    """Some runs, newest first. `next` is the token of the following page, None on the last."""

    runs: list[Run]
    next: str | None

    @property
    def complete(self) -> bool:
        """Whether no further page follows."""
        return self.next is None


class RunList(Sequence[Run]):
    """Runs that a search found, in its order.

    Attributes:
        next: the token of the following page; None on the last.
        total: how many runs pass in all; None unless it was asked for.
    """

    __slots__ = ("_runs", "next", "total")

    def __init__(
        self,
        runs: Sequence[Run],
        next: str | None = None,  # noqa: A002  the name of the attribute
        total: int | None = None,
    ) -> None:
        self._runs = runs
        self.next = next
        self.total = total

    @property
    def complete(self) -> bool:
        """Whether no further page follows."""
        return self.next is None

    def to_pandas(self) -> Any:
        """Return a pandas DataFrame with a row a run.

        Its columns are the attributes, then `params.<key>`, `metrics.<key>`, `tags.<key>`. Times
        are UTC. A column has a type of its own where all values agree, else it holds objects.

        Raises:
            UsageError: pandas is not installed.
        """
        from autolog.store.frames import to_pandas

        return to_pandas(self._runs)

    def to_polars(self) -> Any:
        """Return a polars DataFrame; see `to_pandas`. Values that do not agree become text.

        Raises:
            UsageError: polars is not installed.
        """
        from autolog.store.frames import to_polars

        return to_polars(self._runs)

    def to_arrow(self) -> Any:
        """Return a pyarrow Table; see `to_pandas`. Values that do not agree become text.

        Raises:
            UsageError: pyarrow is not installed.
        """
        from autolog.store.frames import to_arrow

        return to_arrow(self._runs)

    @overload
    def __getitem__(self, at: int) -> Run: ...

    @overload
    def __getitem__(self, at: slice) -> Sequence[Run]: ...

    def __getitem__(self, at: int | slice) -> Run | Sequence[Run]:
        return self._runs[at]

    def __len__(self) -> int:
        return len(self._runs)

    def __eq__(self, other: object) -> bool:
        if isinstance(other, (RunList, list)):
            return list(self) == list(other)  # type: ignore[reportUnknownArgumentType]
        return NotImplemented

    __hash__ = None  # type: ignore[assignment]

    def __repr__(self) -> str:
        more = "" if self.complete else ", more follow"
        return f"<{len(self)} runs{more}: {', '.join(run.name for run in self._runs[:5])}>"


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
