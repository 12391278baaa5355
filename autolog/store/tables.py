"""A table that a run recorded, as it is read again."""

from __future__ import annotations

from typing import Any

import msgspec

from autolog.store.libraries import library

__all__ = ["Table"]


class Table(msgspec.Struct, frozen=True, kw_only=True):
    """A table by its columns, all of one length: `table.columns["importance"]`."""

    name: str
    columns: dict[str, list[Any]]

    def __len__(self) -> int:
        return max(map(len, self.columns.values()), default=0)

    def to_pandas(self) -> Any:
        """Return a DataFrame of pandas."""
        return library("pandas").DataFrame(self.columns)

    def to_polars(self) -> Any:
        """Return a DataFrame of polars."""
        return library("polars").DataFrame(self.columns, strict=False)

    def to_arrow(self) -> Any:
        """Return a Table of Arrow."""
        return library("pyarrow").table(self.columns)
