"""Describes data by what its container already knows, and by a fingerprint of its values.

Nothing is copied, iterated or converted, and no data is constructed. A container of an unknown
class is named by its class alone: its attributes may be computed by the user's code.
"""

from __future__ import annotations

import types
from typing import Any, Final, cast

from autolog.tracking.digesting import Digest
from autolog.tracking.fingerprints import fingerprint

__all__ = ["describe"]

_COLUMNS: Final = 1000
"""More column names than this are counted, not listed."""

_PARTS: Final = 64
"""Data in more parts than this, of all levels, is not looked into: these are rows."""

_LOADER: Final = ("torch.utils.data.dataloader", "DataLoader")

_FRAMES: Final = {"DataFrame", "Series", "Table", "RecordBatch", "ChunkedArray", "Index"}
"""What has columns at hand; a lazy frame would have to compute them."""


def describe(data: object, share: int = 1) -> dict[str, Any]:
    """Return a profile of data as it is at this moment.

    It has `class`, and where known `shape`, `dtype`, `columns`, `nnz`, and of the fingerprint
    `digest` and `covered`, the share of the values that went into it, or `undigested`, why there
    is none. Lists and dictionaries of arrays have `parts`, pipelines `elements` and `batches`, and
    what stands for other data says in `of` which.

    Args:
        data: the data, or what it will be drawn from.
        share: how many such parts share the cost of one.
    """
    kind = type(data)
    name = f"{kind.__module__.partition('.')[0]}.{kind.__qualname__}"
    profile: dict[str, Any] = {"class": name.removeprefix("builtins.")}
    root = kind.__module__.partition(".")[0]
    if kind in (list, tuple, dict) and share <= _PARTS and (parts := _parts(data, kind)):
        return _structure(parts, profile, share)
    if kind in (list, tuple):
        profile["shape"] = [len(cast("list[Any]", data))]
    elif kind.__module__ == "torch.utils.data.dataset":
        return _torch_dataset(data, profile)
    elif _drawn_from(data, profile):
        return profile
    elif root in {"numpy", "scipy", "torch", "jax", "jaxlib", "cupy", "tensorflow"}:
        _array(data, profile)
    elif root in {"pandas", "polars", "pyarrow"} and kind.__name__ in _FRAMES:
        _frame(data, profile)
    elif root == "xgboost" and hasattr(data, "num_row"):
        _matrix(data, profile)
    elif root == "lightgbm" and kind.__name__ == "Dataset":
        return _dataset(data, profile)
    profile.update(fingerprint(data, share))
    return profile


def _parts(data: Any, kind: type) -> dict[str, Any]:
    """Return what the inputs are that a list or a dictionary holds; nothing if these are rows."""
    if not 0 < len(data) <= _PARTS:
        return {}
    named: dict[Any, Any] = data if kind is dict else dict(zip(range(len(data)), data, strict=True))
    kinds: set[Any] = set(map(type, named.values()))
    structures = kinds & {list, tuple, dict}
    arrays = {one for one in kinds if hasattr(one, "shape") and hasattr(one, "__len__")}
    if kinds != structures | arrays or not (arrays or kind is dict):
        return {}
    return {str(key): part for key, part in named.items()}


def _structure(parts: dict[str, Any], profile: dict[str, Any], share: int) -> dict[str, Any]:
    """Describe inputs of several parts, each by itself and all by one fingerprint."""
    share *= max(2, len(parts))
    described = {key: describe(part, share) for key, part in parts.items()}
    profile["parts"] = described if profile["class"] == "dict" else list(described.values())
    rows = {part["shape"][0] if part.get("shape") else None for part in described.values()}
    if len(rows) == 1 and None not in rows:
        profile["shape"] = list(rows)
    if all("digest" in part for part in described.values()):
        digest = Digest("parts-1")
        for key, part in described.items():
            digest.note(key, part["digest"])
        profile["digest"] = digest.text
        profile["covered"] = min(part["covered"] for part in described.values())
    return profile


def _drawn_from(data: Any, profile: dict[str, Any]) -> bool:
    """Describe what gives its rows only when it is iterated, by what is known without that."""
    kind = cast("Any", type(data))
    root = kind.__module__.partition(".")[0]
    if kind is types.GeneratorType:
        profile["of"] = data.__qualname__
    elif root == "tensorflow" and hasattr(kind, "element_spec"):
        profile["elements"] = _specification(data.element_spec)
        count = int(data.cardinality()) if hasattr(kind, "cardinality") else -2
        if count != -2:  # -2 is what cannot be told without reading it
            profile["batches"] = count if count >= 0 else "infinite"
    elif any((base.__module__, base.__name__) == _LOADER for base in kind.__mro__):
        profile |= {"batch_size": data.batch_size, "of": describe(data.dataset)}
    else:
        return False
    return True


def _specification(spec: Any, depth: int = 8) -> Any:
    """Return shapes and dtypes in the structure that elements have."""
    if isinstance(spec, dict) and depth:
        inside = cast("dict[Any, Any]", spec)
        return {str(key): _specification(one, depth - 1) for key, one in inside.items()}
    if isinstance(spec, (list, tuple)) and depth:
        return [_specification(one, depth - 1) for one in cast("list[Any]", spec)]
    known: dict[str, Any] = {}
    leaf = cast("Any", spec)
    shape = getattr(leaf, "shape", None)
    if shape is not None and getattr(shape, "rank", None) is not None:
        known["shape"] = [None if size is None else int(size) for size in shape]
    if hasattr(leaf, "dtype"):
        known["dtype"] = str(getattr(leaf.dtype, "name", leaf.dtype))
    return known


def _array(data: Any, profile: dict[str, Any]) -> None:
    shape = getattr(data, "shape", None)
    if shape is not None:
        profile["shape"] = [int(size) if size is not None else None for size in shape]
    if hasattr(data, "dtype"):
        named = profile["class"].startswith("tensorflow.")  # in whose text are brackets
        profile["dtype"] = str(data.dtype.name if named else data.dtype)
    if profile["class"].startswith("scipy.") and hasattr(data, "nnz"):
        profile["nnz"] = int(data.nnz)


def _frame(data: Any, profile: dict[str, Any]) -> None:
    shape = getattr(data, "shape", None)
    profile["shape"] = [int(size) for size in shape] if shape is not None else [len(data)]
    if getattr(data, "name", None) is not None:
        profile["name"] = str(data.name)
    schema = getattr(data, "schema", None) if profile["class"].startswith("pyarrow.") else None
    names = getattr(data, "columns", None) if schema is None else schema.names
    if names is None:  # one column
        profile["dtype"] = str(getattr(data, "dtype", getattr(data, "type", None)))
    elif len(names) <= _COLUMNS:
        dtypes = data.dtypes if schema is None else schema.types
        pairs = zip(names, dtypes, strict=False)
        profile["columns"] = {str(column): str(dtype) for column, dtype in pairs}


def _matrix(data: Any, profile: dict[str, Any]) -> None:
    """Describe a DMatrix by what XGBoost knows of it; its values are in a form of its own."""
    profile["shape"] = [int(data.num_row()), int(data.num_col())]
    names, types = data.feature_names, data.feature_types
    if names is not None and len(names) <= _COLUMNS:
        profile["columns"] = dict(zip(names, types or ["float"] * len(names), strict=False))
    profile["undigested"] = "XGBoost does not give its values back without a copy"


def _dataset(data: Any, profile: dict[str, Any]) -> dict[str, Any]:
    """Describe a Dataset by the data it was made of, which it may have let go once constructed."""
    known = cast("dict[str, Any]", data.__dict__)
    source = known.get("data")
    if source is not None and type(source).__module__.partition(".")[0] != "lightgbm":
        return {**describe(source), "class": profile["class"], "of": describe_class(source)}
    if known.get("_handle") is not None:
        profile["shape"] = [int(data.num_data()), int(data.num_feature())]
    profile["undigested"] = "LightGBM has let go of the values"
    return profile


def _torch_dataset(data: Any, profile: dict[str, Any]) -> dict[str, Any]:
    """Describe a dataset of torch's own by its tensors, or the dataset that it is a part of."""
    known = cast("dict[str, Any]", data.__dict__)
    tensors: Any = known.get("tensors")
    if isinstance(tensors, tuple):
        parts = [describe(one) for one in cast("tuple[Any, ...]", tensors)]
        sizes = [part["shape"][0] for part in parts if part.get("shape")]
        profile |= {"shape": sizes[:1], "tensors": parts}
        covered = [part["covered"] for part in parts if "covered" in part]
        if parts and all("digest" in part for part in parts):
            digest = Digest("tensors-1")
            for part in parts:
                digest.note(part["digest"])
            profile |= {"digest": digest.text, "covered": min(covered)}
    elif isinstance(known.get("indices"), (list, range)):
        profile["shape"] = [len(known["indices"])]
        profile["of"] = describe(known.get("dataset"))
    return profile


def describe_class(data: object) -> str:
    """Return the name of the class of data, with its package."""
    kind = type(data)
    return f"{kind.__module__.partition('.')[0]}.{kind.__qualname__}".removeprefix("builtins.")
