"""An optimizer of Keras as parameters: its class and all that it is set up with, flat.

Only plain attributes are read where the optimizer's own description of itself would call a function
of the user's: a learning rate may be one.
"""

from __future__ import annotations

import struct
from collections.abc import Mapping
from typing import Any, Final, cast

from autolog_keras.kinds import attributes, unwarned

__all__ = ["optimizer_params"]

_NOISE: Final = frozenset({"name", "is_legacy_optimizer"})
_PLAIN: Final = (str, int, float, bool, type(None))
_SCALING: Final = ("dynamic", "initial_scale", "dynamic_growth_steps")


def optimizer_params(optimizer: Any, prefix: str) -> dict[str, Any]:
    """Return the class of an optimizer under `prefix` and its configuration under `prefix.*`."""
    found: dict[str, Any] = {}
    inner = getattr(optimizer, "inner_optimizer", None)
    if inner is not None:
        found[f"{prefix}.loss_scale"] = type(optimizer).__name__
        for name in _SCALING:
            value = getattr(optimizer, name, None)
            if isinstance(value, _PLAIN) and value is not None:
                found[f"{prefix}.loss_scale.{name}"] = value
        optimizer = inner
    found[prefix] = type(optimizer).__name__
    try:
        config = _config(optimizer)
    except Exception:  # a class of the user's that does not describe itself
        config = _attributes(optimizer)
    for key, value in config.items():
        if key not in _NOISE:
            found |= _flat(f"{prefix}.{key}", value)
    return found


def _config(optimizer: Any) -> Mapping[str, Any]:
    rate = _rate(optimizer)
    if _is_function(rate):  # describing it would call it (tf_keras) or warn of a lambda (Keras 3)
        name = getattr(rate, "__name__", type(rate).__name__)
        return {**_attributes(optimizer), "learning_rate": name}
    with unwarned():
        return cast("Mapping[str, Any]", optimizer.get_config())


def _rate(optimizer: Any) -> Any:
    state = attributes(optimizer)
    hyper: Any = state.get("_hyper")  # a legacy optimizer of tf_keras
    if isinstance(hyper, dict):
        return cast("dict[str, Any]", hyper).get("learning_rate")
    return state.get("_learning_rate")


def _is_function(rate: Any) -> bool:
    """Whether it is called without an argument: schedules are described, variables are read."""
    return callable(rate) and not hasattr(rate, "get_config") and not hasattr(rate, "dtype")


def _attributes(optimizer: Any) -> dict[str, Any]:
    return {
        name: value
        for name, value in attributes(optimizer).items()
        if not name.startswith("_") and isinstance(value, _PLAIN) and name != "built"
    }


def _flat(key: str, value: Any) -> dict[str, Any]:
    """Return one setting: an object that Keras serialised by its class and its settings."""
    if isinstance(value, dict):
        serialised = cast("dict[str, Any]", value)
        if "class_name" not in serialised:
            return {
                name: item
                for inner, part in serialised.items()
                for name, item in _flat(f"{key}.{inner}", part).items()
            }
        config: Any = serialised.get("config")
        if not isinstance(config, dict):  # a function, by its name
            return {key: config if config is not None else serialised["class_name"]}
        found: dict[str, Any] = {key: serialised["class_name"]}
        for inner, part in cast("dict[str, Any]", config).items():
            if inner not in _NOISE:
                found |= _flat(f"{key}.{inner}", part)
        return found
    if isinstance(value, bool) or value is None or isinstance(value, (str, int)):
        return {key: value}
    if isinstance(value, (list, tuple)):
        return {key: [_number(one) for one in cast("list[Any]", value)]}
    return {key: _number(value)}


def _number(value: Any) -> Any:
    """Return a number as it was written: a variable of 32 bits that was given 0.1 says so."""
    if isinstance(value, (bool, int, str)) or value is None:
        return value
    number = float(value)
    try:
        if struct.unpack("f", struct.pack("f", number))[0] != number:
            return number
    except OverflowError:
        return number
    for digits in range(1, 10):
        short = float(f"{number:.{digits}g}")
        if struct.pack("f", short) == struct.pack("f", number):
            return short
    return number
