"""What is removed from a store for good: deleted runs, and files that nobody needs any more."""

from __future__ import annotations

from collections.abc import Collection
from typing import Literal, Protocol

import msgspec

__all__ = ["Doomed", "Removal", "Retention"]


class Retention(msgspec.Struct, frozen=True, kw_only=True):
    """Which runs keep their files, in each experiment: the union of the best and the last.

    Attributes:
        best: how many of those with the best last value of `by`.
        by: a metric.
        mode: whether high or low values are good.
        last: how many of those that began last.
    """

    best: int = 0
    by: str | None = None
    mode: Literal["max", "min"] = "max"
    last: int = 0


class Doomed(msgspec.Struct, frozen=True, kw_only=True):
    """A run that goes, or whose files go: what it has, and `id`, its number in the store."""

    id: int
    run_id: str
    name: str
    experiment: str
    files: int
    bytes: int
    points: int = 0


class Removal(Protocol):
    """The steps of `autolog gc` in the store. Each may be killed anywhere and started again."""

    def deleted(self, before_us: int, experiment: str | None) -> list[Doomed]:
        """Return runs that were deleted before then and may go, those below others first.

        A run stays while a model of it is registered, while one below it stays, and while its
        process was heard of since.
        """
        ...

    def remove(self, run: Doomed) -> bool:
        """Remove a run with all its rows, a bounded number at a time.

        Returns:
            False if it was restored in the meantime; nothing is removed then.
        """
        ...

    def outside(self, rules: Retention, experiment: str | None) -> list[Doomed]:
        """Return ended runs that have files or models and that the rules do not keep.

        A run with a registered model or a tag `keep` (other than `false`) is always kept.
        """
        ...

    def strip(self, run: Doomed, rules: Retention) -> None:
        """Take files and models away from a run; an event says which and why."""
        ...

    def named(self, prefix: str, without: Collection[int]) -> set[str]:
        """Return the digests of files of runs that begin so, but for runs of these numbers."""
        ...

    def spoken_of(self, without: Collection[int]) -> set[str]:
        """Return every digest that stands anywhere else but for runs of these numbers.

        These are what processes said, events, models, parameters, tags and registered versions.
        """
        ...
