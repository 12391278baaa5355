"""How much a store holds."""

from __future__ import annotations

import msgspec

__all__ = ["Usage"]


class Usage(msgspec.Struct, frozen=True, kw_only=True):
    """Counts of what is in the database, and of the files that it names.

    Attributes:
        revision: of the schema; None for a store that is not there yet.
        runs: how many, by lifecycle (`active`, `deleted`, ...).
        statuses: how many of the active runs, by status.
        experiments: how many.
        points: how many values of metrics.
        unsealed: how many of them wait in the order in which they came.
        files: names of files, over all runs.
        file_bytes: their sizes, as if each were stored for itself.
        blobs: different files among them.
        shared: those that several names share.
        saved_bytes: what sharing saves.
    """

    revision: str | None
    runs: dict[str, int]
    statuses: dict[str, int]
    experiments: int
    points: int
    unsealed: int
    files: int
    file_bytes: int
    blobs: int
    shared: int
    saved_bytes: int
