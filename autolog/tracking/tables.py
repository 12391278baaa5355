"""Tables that a run records: feature importances, a confusion matrix, the points of a curve.

A small table is an event in the journal, which costs one record; a larger one is a JSON file of
the run, as `DataFrame.to_json(orient="split")` writes it and MLflow's `log_table` does.
"""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from typing import Any, Final, cast

from autolog.errors import UsageError
from autolog.tracking.values import plain, well_formed

__all__ = ["CELLS_IN_JOURNAL", "as_columns", "as_json"]

CELLS_IN_JOURNAL: Final = 2000
"""A table of more cells is stored as a file."""

_PLAIN_KINDS: Final = frozenset("bf")
"""Kinds of arrays whose `tolist` gives numbers that any reader takes."""


def as_columns(data: Any) -> dict[str, list[Any]]:
    """Return the columns of a table as lists of plain values.

    Args:
        data: a dictionary of columns (lists, tuples, one-dimensional arrays), or a DataFrame of
            pandas or polars.

    Raises:
        UsageError: it is no table, or its columns differ in length.
    """
    if hasattr(data, "columns") and hasattr(data, "__getitem__"):
        frame = data
        data = {name: frame[name] for name in frame.columns}
    if not isinstance(data, Mapping):
        raise UsageError(
            f"log_table takes a dictionary of columns or a DataFrame, not a {type(data).__name__}"
        )
    named = cast("Mapping[Any, Any]", data)
    columns = {well_formed(str(name)): _cells(name, column) for name, column in named.items()}
    lengths = {name: len(column) for name, column in columns.items()}
    if len(set(lengths.values())) > 1:
        raise UsageError(f"log_table: the columns differ in length: {lengths}")
    return columns


def as_json(columns: Mapping[str, Sequence[Any]]) -> str:
    """Write a table row by row, `{"columns": [...], "data": [[...], ...]}`."""
    rows = [list(row) for row in zip(*columns.values(), strict=True)]
    return json.dumps({"columns": list(columns), "data": rows})


def _cells(name: object, column: Any) -> list[Any]:
    if type(column) in (list, tuple):
        return [plain(cell) for cell in column]
    for method in ("tolist", "to_list"):  # arrays and pandas, polars
        if hasattr(column, method) and not isinstance(column, (str, bytes)):
            cells = getattr(column, method)()
            if type(cells) is list:
                if getattr(getattr(column, "dtype", None), "kind", None) in _PLAIN_KINDS:
                    return cast("list[Any]", cells)
                return [plain(cell) for cell in cast("list[Any]", cells)]
    raise UsageError(
        f"log_table: column {str(name)!r} is a {type(column).__name__}, not a list or an array"
    )
