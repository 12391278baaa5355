"""A model described by its parts: counts from the shapes of its variables, a table, its config.

Nothing is built, computed or read from a device, and the methods are Keras' own: users override
`summary`, and what theirs do is not known.
"""

from __future__ import annotations

import json
import math
import types
from importlib import import_module
from typing import Any

from autolog_keras.kinds import PACKAGES, attributes, class_of, package_of

__all__ = ["config_json", "is_built", "size_params", "summary"]


def is_built(model: Any) -> bool:
    """Whether a model has its variables: one that is subclassed may get them with the first batch.

    TensorFlow builds it when it is traced, the other backends before the training begins.
    """
    return bool(getattr(model, "built", False))


def size_params(model: Any) -> dict[str, Any]:
    """Return the class of a model and, as far as it is built, how many parameters it has."""
    found: dict[str, Any] = {"model": type(model).__name__}
    layers = _layers(model)
    if layers is not None:
        found["model.layers"] = len(layers)
    if is_built(model):
        trained, fixed = _count(model.trainable_weights), _count(model.non_trainable_weights)
        found["model.parameters"] = trained + fixed
        found["model.trainable_parameters"] = trained
        found["model.non_trainable_parameters"] = fixed
    return found


def _layers(model: Any) -> list[Any] | None:
    try:
        return list(model.layers)
    except Exception:  # a property of the user's
        return None


def _count(weights: Any) -> int:
    return sum(math.prod(int(size) for size in one.shape) for one in weights)


def summary(model: Any) -> str:
    """Return the table of a model's layers as Keras prints it, without colours.

    Empty if Keras cannot make one: of a model that is not built, in a very narrow terminal.
    """
    lines: list[str] = []

    def keep(text: str, **_: Any) -> None:  # tf_keras gives each line, Keras 3 the whole
        lines.append(text)

    try:
        _own_method(model, "summary")(model, print_fn=keep)
    except Exception:
        return ""
    return "\n".join(lines).rstrip() + "\n"


def config_json(model: Any) -> str | None:
    """Return what `to_json` gives; None if the model has no configuration.

    Without that of `compile`, which is recorded by its items. Serialising a lambda makes Keras
    warn: a layer that was given one has no configuration either, except for the Lambda layer.
    """
    try:
        if any(map(_holds_lambda, model._flatten_layers(include_self=False))):  # noqa: SLF001
            return None
        if package_of(model) == "tf_keras":
            if _origin(model, "get_config").__name__ == "Model":  # it would only warn
                return None
            return str(_own_method(model, "to_json")(model))
        return json.dumps(_serialized(model))
    except Exception:  # its layers take what cannot be written down
        return None


def _serialized(model: Any) -> dict[str, Any]:
    """Return the form that `model_from_json` takes."""
    saving: Any = import_module("keras.saving")
    cls = class_of(model)
    own = cls.__module__.partition(".")[0] == "keras"
    found = {
        "module": "keras" if own else cls.__module__,
        "class_name": cls.__name__,
        "config": saving.serialize_keras_object(model.get_config()),
        "registered_name": None if own else saving.get_registered_name(cls),
    }
    build = model.get_build_config()
    if build is not None:
        found["build_config"] = saving.serialize_keras_object(build)
    return found


def _holds_lambda(layer: Any) -> bool:
    if type(layer).__name__ == "Lambda" and _is_own(class_of(layer)):
        return False
    state = attributes(layer)
    return any(
        isinstance(value, types.FunctionType) and value.__name__ == "<lambda>"
        for value in state.values()
    )


def _own_method(model: Any, name: str) -> Any:
    """Return Keras' own method, whatever the user's class has under its name."""
    return next(
        vars(base)[name] for base in class_of(model).__mro__ if _is_own(base) and name in vars(base)
    )


def _origin(model: Any, name: str) -> type[Any]:
    """Return the class that a method comes from."""
    return next(base for base in class_of(model).__mro__ if name in vars(base))


def _is_own(cls: type[Any]) -> bool:
    return cls.__module__.partition(".")[0] in PACKAGES
