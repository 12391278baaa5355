"""What trains in a loop: its optimizers and their schedules, its model, and the data it is given.

Recorded once, after the first step. Nothing is iterated, drawn, or asked of a model that it does
not know already.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from importlib import import_module
from typing import Any, Final, cast

from autolog.integration import Capture, Detach, Loop
from autolog_tensorflow import models
from autolog_tensorflow.current import on_loop
from autolog_tensorflow.framework import first_leaf
from autolog_tensorflow.passes import Pass
from autolog_tensorflow.steps import tracking

__all__ = ["attach", "describe_data"]

_STATE: Final = "tensorflow.described"


def attach(capture: Capture) -> Detach:
    """Describe each loop and each optimizer in it."""
    return on_loop(capture.guarded(_seen))


def _seen(loop: Loop, optimizer: Any) -> None:
    """Record what has made its first step."""
    known: list[str] = loop.span.state.setdefault(_STATE, [])
    tracked = tracking.of(optimizer)
    first = not known
    if loop.several and tracked.known is not None:
        place = f".{tracked.known.label}"
    else:
        place = "" if first else str(len(known) + 1)
    known.append(place)
    params = _optimizer(optimizer, f"optimizer{place}")
    variables = tracked.parameters()
    model = models.of_variables(variables)
    where = place if place.startswith(".") else ""
    if first or where:
        if model is not None:
            params[f"model{where}"] = type(model).__name__
        params[f"trainable_parameters{where}"] = sum(_elements(one) for one in variables)
    loop.span.params(params)


def _elements(variable: Any) -> int:
    return math.prod(int(size or 0) for size in variable.shape)


def _optimizer(optimizer: Any, prefix: str) -> dict[str, Any]:
    """Describe an optimizer by its class and its own account of how it is set."""
    found: dict[str, Any] = {prefix: type(optimizer).__name__}
    describe = getattr(optimizer, "get_config", None)
    if describe is not None:
        try:
            found |= _flat(describe(), prefix)
        except Exception:  # a user's class may not be able to say
            return found
    return found


def _flat(config: Mapping[str, Any], prefix: str) -> dict[str, Any]:
    """Return a configuration with nested objects (a schedule, an inner optimizer) in place."""
    found: dict[str, Any] = {}
    for key, value in config.items():
        name = f"{prefix}.{key}"
        if key == "name" and isinstance(value, str):
            continue
        if isinstance(value, dict):
            nested: Any = cast("Any", value)
            if "class_name" in nested:
                found[name] = str(nested["class_name"]).rpartition(">")[2]
                nested = nested.get("config") or {}
            found |= _flat(nested, name)
        elif isinstance(value, float):
            found[name] = _plain(value)
        elif isinstance(value, (bool, int, str, list, tuple, type(None))):
            found[name] = value
        elif hasattr(value, "get_config"):
            found[name] = type(value).__name__
            found |= _flat(value.get_config(), name)
        else:
            found[name] = getattr(value, "__name__", None) or type(value).__name__
    return found


def _plain(value: float) -> float:
    """Return what the user wrote, 0.1, for what became of it in 32 bits."""
    single = import_module("numpy").float32(value)
    return float(str(single)) if float(single) == value else value


def describe_data(loop: Loop, one: Pass) -> None:
    """Record what a dataset gives and how many batches it has, as far as it knows that itself."""
    dataset = one.source.reference()
    if dataset is None:
        return
    found: dict[str, Any] = {"dataset.element_spec": _spec(dataset.element_spec)}
    size = _batch_size(dataset.element_spec)
    if size is not None:
        found["batch_size"] = size
    length = dataset.cardinality()  # it is known from how the dataset was put together
    if hasattr(length, "numpy") and int(length.numpy()) >= 0:
        found["batches_per_epoch"] = int(length.numpy())
    loop.span.params(found)


def _spec(spec: Any) -> str:
    if isinstance(spec, dict):
        named = cast("dict[str, Any]", spec)
        return "{" + ", ".join(f"{key}: {_spec(one)}" for key, one in named.items()) + "}"
    if isinstance(spec, (tuple, list)):
        return "(" + ", ".join(map(_spec, cast("list[Any]", spec))) + ")"
    shape = getattr(spec, "shape", None)
    dtype = getattr(getattr(spec, "dtype", None), "name", None)
    if shape is None or dtype is None:
        return type(spec).__name__
    return f"{dtype}{tuple(shape) if shape.rank is not None else '(...)'}"


def _batch_size(spec: Any) -> int | None:
    shape = getattr(first_leaf(spec), "shape", None)
    return int(shape[0]) if shape is not None and shape.rank and shape[0] is not None else None
