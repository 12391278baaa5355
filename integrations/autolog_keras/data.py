"""The data that `fit` is given, in all its forms, and how many rows one batch has.

Nothing is iterated, no item is read and no length is asked for: only what arrays, data sets and
loaders know of themselves.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Final, cast

from autolog_keras.kinds import attributes, class_of

__all__ = ["Part", "batch_size", "describe"]

_DEFAULT_BATCH: Final = 32
"""Rows of a batch where arrays are given and nothing else is said; Keras never had another."""

_BATCHING: Final = frozenset({"_BatchDataset", "_ParallelBatchDataset", "_PaddedBatchDataset"})
_UNCHANGED: Final = frozenset(
    {
        "CacheDataset",
        "_OptionsDataset",
        "_PrefetchDataset",
        "_RepeatDataset",
        "_ShuffleDataset",
        "_SkipDataset",
        "_TakeDataset",
    }
)
"""The stages of a pipeline after which the batches are those before; a function may change them."""

_LONGEST: Final = 32
"""Stages that are looked at."""

_DEEPEST: Final = 8
"""Lists in lists that are looked into."""


@dataclass(frozen=True, slots=True)
class Part:
    """One thing that a training is given.

    Args:
        role: what it is to the training, the `role` of `Span.input`.
        parameter: the parameter of `fit` that it was given by.
        data: the object itself; `Span.input` describes it.
    """

    role: str
    parameter: str
    data: Any


def describe(bound: Mapping[str, Any]) -> list[Part]:
    """Return what a `fit` is given, each with its role, by its arguments without defaults."""
    parts = [Part("train", "x", bound.get("x")), Part("train_target", "y", bound.get("y"))]
    validation = bound.get("validation_data")
    if isinstance(validation, (tuple, list)) and 1 <= len(cast("list[Any]", validation)) <= 3:
        x, y, *_ = (*cast("list[Any]", validation), None)
        parts += [
            Part("validation", "validation_data", x),
            Part("validation_target", "validation_data", y),
        ]
    else:
        parts.append(Part("validation", "validation_data", validation))
    return [part for part in parts if part.data is not None]


def batch_size(bound: Mapping[str, Any]) -> int | None:
    """Return how many rows a batch has, or None where only the data could say, when it is drawn.

    Keras looks at the argument only where it makes the batches itself: of arrays.
    """
    try:
        return _batch_size(bound)
    except Exception:  # a container that is not what it looks like
        return None


def _batch_size(bound: Mapping[str, Any]) -> int | None:
    data: Any = bound.get("x")
    array = _first_array(data)
    if array is not None:
        given = bound.get("batch_size")
        if given:
            return int(given)
        steps = bound.get("steps_per_epoch")
        if not steps:
            return _DEFAULT_BATCH
        rows = _rows(array)
        split = bound.get("validation_split")
        if rows is not None and split and bound.get("validation_data") is None:
            rows = math.floor(rows * (1.0 - split))
        return math.ceil(rows / steps) if rows is not None else None
    if _is_a(data, "DatasetV2", "tensorflow"):
        size = _rows_of_spec(data.element_spec)
        return size if size is not None else _of_pipeline(data)
    if _is_a(data, "DataLoader", "torch"):
        return _of_loader(data)
    if _is_a(data, "Iterator", "keras") or _is_a(data, "TimeseriesGenerator", "keras"):
        return _whole(attributes(data).get("batch_size"))
    return None


def _first_array(data: Any) -> Any:
    """Return the first of the arrays that data is made of; None if it is not made of arrays."""
    for _ in range(_DEEPEST):
        if type(data) not in (list, tuple, dict):
            break
        first = _first(data)
        if isinstance(first, (int, float, str, bytes)):  # rows, as tf_keras takes them
            return data
        data = first
    kind = class_of(data)  # of the class, not of the object: its properties are the user's code
    if hasattr(kind, "__array__") or (hasattr(kind, "shape") and hasattr(kind, "dtype")):
        return data
    return None


def _first(structure: Any) -> Any:
    """Return the first part of a list or a dictionary, None if it is empty."""
    if isinstance(structure, dict):
        structure = cast("dict[Any, Any]", structure).values()
    return next(iter(structure), None)


def _rows(array: Any) -> int | None:
    if type(array) in (list, tuple):
        return len(array)
    shape = array.shape
    return _whole(shape[0]) if len(shape) else None


def _rows_of_spec(spec: Any) -> int | None:
    """Return the first dimension of the first part that has one; None if batches differ."""
    while isinstance(spec, (list, tuple, dict)):
        spec = _first(cast("Any", spec))
    shape = getattr(spec, "shape", None)
    if shape is None or shape.rank is None or not shape.rank:
        return None
    return _whole(shape[0])


def _of_pipeline(data: Any) -> int | None:
    """Return what `batch` was called with, whose last batch may be smaller: no spec has it then."""
    for _ in range(_LONGEST):
        state = attributes(data)
        if type(data).__name__ in _BATCHING:
            return int(state["_batch_size"])
        if type(data).__name__ not in _UNCHANGED:
            return None
        data = state["_input_dataset"]
    return None


def _of_loader(loader: Any) -> int | None:
    size = _whole(loader.batch_size)
    if size is not None:
        return size
    sampler = getattr(loader, "batch_sampler", None)
    return _whole(getattr(sampler, "__dict__", {}).get("batch_size"))


def _whole(value: Any) -> int | None:
    return int(value) if isinstance(value, int) and not isinstance(value, bool) else None


def _is_a(thing: Any, name: str, package: str) -> bool:
    """Whether a thing is of a class of this name, or of one below it, from such a package."""
    return any(
        base.__name__ == name and _root(base.__module__).endswith(package)
        for base in type(thing).__mro__
    )


def _root(module: str) -> str:
    return module.partition(".")[0]
