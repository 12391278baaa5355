"""What a store answers besides the plain entities: runs that were found, and sums over runs."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Final, overload

import msgspec

from autolog.entities import Run

__all__ = ["Rollup", "RunList", "RunPage", "Same", "Spread"]


_NAMED: Final = 5
"""Runs that the short form of an answer names."""


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
        from autolog.store.run_frames import to_pandas

        return to_pandas(self._runs)

    def to_polars(self) -> Any:
        """Return a polars DataFrame; see `to_pandas`. Values that do not agree become text.

        Raises:
            UsageError: polars is not installed.
        """
        from autolog.store.run_frames import to_polars

        return to_polars(self._runs)

    def to_arrow(self) -> Any:
        """Return a pyarrow Table; see `to_pandas`. Values that do not agree become text.

        Raises:
            UsageError: pyarrow is not installed.
        """
        from autolog.store.run_frames import to_arrow

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
        names = [run.name for run in self._runs[:_NAMED]]
        names += ["..."] * (len(self) > _NAMED)
        head = f"{len(self)} run{'s' * (len(self) != 1)}{'' if self.complete else ', more follow'}"
        return f"<{head}{': ' * bool(names)}{', '.join(names)}>"


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
