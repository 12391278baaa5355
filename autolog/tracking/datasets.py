"""Describes data by what its container already knows: shape, dtypes, column names.

Nothing is read, copied, iterated or converted. A container of an unknown class is named by its
class alone: its attributes may be computed by the user's code.
"""

from __future__ import annotations

from typing import Any, Final, cast

__all__ = ["describe"]

_COLUMNS: Final = 1000
"""More column names than this are counted, not listed."""


def describe(data: object) -> dict[str, Any]:
    """Return a profile: `class`, and where known `shape`, `dtype`, `columns`, `nnz`."""
    kind = type(data)
    name = f"{kind.__module__.partition('.')[0]}.{kind.__qualname__}"
    profile: dict[str, Any] = {"class": name.removeprefix("builtins.")}
    root = kind.__module__.partition(".")[0]
    if kind in (list, tuple):
        profile["shape"] = [len(cast("list[Any]", data))]
    elif root in {"numpy", "scipy", "torch", "jax", "jaxlib", "cupy", "tensorflow"}:
        _array(data, profile)
    elif root in {"pandas", "polars", "pyarrow"}:
        _frame(data, profile)
    return profile


def _array(data: Any, profile: dict[str, Any]) -> None:
    shape = getattr(data, "shape", None)
    if shape is not None:
        profile["shape"] = [int(size) if size is not None else None for size in shape]
    if hasattr(data, "dtype"):
        profile["dtype"] = str(data.dtype)
    if profile["class"].startswith("scipy.") and hasattr(data, "nnz"):
        profile["nnz"] = int(data.nnz)


def _frame(data: Any, profile: dict[str, Any]) -> None:
    shape = getattr(data, "shape", None)
    if shape is not None:
        profile["shape"] = [int(size) for size in shape]
    if getattr(data, "name", None) is not None:
        profile["name"] = str(data.name)
    dtypes = getattr(data, "dtypes", None)
    columns = getattr(data, "columns", None)
    if columns is None:  # a Series
        profile["dtype"] = str(getattr(data, "dtype", None))
        return
    if dtypes is None or len(columns) > _COLUMNS:
        return
    profile["columns"] = {
        str(column): str(dtype) for column, dtype in zip(columns, dtypes, strict=False)
    }
