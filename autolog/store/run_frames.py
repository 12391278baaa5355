"""Runs as tables of pandas, polars and Arrow: a row a run, a column for everything any run has."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Any, Final

from autolog.entities import Run
from autolog.store.libraries import library

__all__ = ["to_arrow", "to_pandas", "to_polars"]

_GROUPS: Final = ("params", "metrics", "tags")
_ATTRIBUTES: Final = {name: "text" for name in Run.__struct_fields__ if name not in _GROUPS} | {
    "dirty": "boolean",
    "depth": "integer",
    "children": "integer",
    "start_time": "time",
    "end_time": "time",
    "logging_errors": "texts",
}
_KINDS: Final[dict[frozenset[type], str]] = {
    frozenset((bool,)): "boolean",
    frozenset((int,)): "integer",
    frozenset((float,)): "real",
    frozenset((int, float)): "real",
    frozenset((str,)): "text",
}
_NONE: Final = type(None)


def to_pandas(runs: Sequence[Run]) -> Any:
    """Return a DataFrame; see `autolog.store.answers.RunList.to_pandas`."""
    pandas: Any = library("pandas")
    import numpy as np

    def series(kind: str, values: list[Any]) -> Any:
        if kind == "real":
            return np.array(values, dtype=np.float64)
        if kind == "time":
            times = np.array(["NaT" if ms is None else ms for ms in values], dtype="datetime64[ms]")
            return pandas.DatetimeIndex(times, tz="UTC")
        if kind in ("integer", "boolean"):
            nullable, plain = {"integer": ("Int64", "int64"), "boolean": ("boolean", "bool")}[kind]
            return pandas.array(values, dtype=nullable if None in values else plain)
        return pandas.Series(values, dtype=None if kind == "text" else object)

    return pandas.DataFrame({name: series(kind, values) for name, kind, values in _columns(runs)})


def to_polars(runs: Sequence[Run]) -> Any:
    """Return a DataFrame; see `autolog.store.answers.RunList.to_polars`."""
    polars: Any = library("polars")
    types = {
        "real": polars.Float64,
        "integer": polars.Int64,
        "boolean": polars.Boolean,
        "text": polars.String,
        "texts": polars.List(polars.String),
    }

    def series(name: str, kind: str, values: list[Any]) -> Any:
        if kind == "time":
            made = polars.Series(name, values, dtype=polars.Int64)
            return made.cast(polars.Datetime("ms", "UTC"))
        kind, values = _agreed(kind, values)
        return polars.Series(name, values, dtype=types[kind], strict=False)

    return polars.DataFrame([series(*column) for column in _columns(runs)])


def to_arrow(runs: Sequence[Run]) -> Any:
    """Return a Table; see `autolog.store.answers.RunList.to_arrow`."""
    arrow: Any = library("pyarrow")
    types = {
        "real": arrow.float64(),
        "integer": arrow.int64(),
        "boolean": arrow.bool_(),
        "text": arrow.string(),
        "texts": arrow.list_(arrow.string()),
        "time": arrow.timestamp("ms", tz="UTC"),
    }
    names: list[str] = []
    arrays: list[Any] = []
    for name, given, cells in _columns(runs):
        kind, values = _agreed(given, cells)
        names.append(name)
        arrays.append(arrow.array(values, type=types[kind]))
    return arrow.table(arrays, names=names)


def _columns(runs: Sequence[Run]) -> Iterator[tuple[str, str, list[Any]]]:
    """Yield name, kind and values of each column; None where a run has no value."""
    for name, kind in _ATTRIBUTES.items():
        yield name, kind, [getattr(run, name) for run in runs]
    for group in _GROUPS:
        of_runs: list[dict[str, Any]] = [getattr(run, group) for run in runs]
        keys: set[str] = set()
        for key in sorted(keys.union(*of_runs)):
            values = [given.get(key) for given in of_runs]
            yield f"{group}.{key}", _kind(values), values


def _kind(values: list[Any]) -> str:
    kind = _KINDS.get(frozenset(map(type, values)) - {_NONE}, "mixed")
    if kind == "integer" and not all(v is None or -(1 << 63) <= v < 1 << 63 for v in values):
        return "mixed"
    return kind


def _agreed(kind: str, values: list[Any]) -> tuple[str, list[Any]]:
    """Turn values of several types into the texts that MLflow would show."""
    if kind != "mixed":
        return kind, values
    return "text", [None if value is None else str(value) for value in values]
