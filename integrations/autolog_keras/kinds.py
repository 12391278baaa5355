"""Which of Keras' classes a callback or a model is of, by the names of its class and its bases.

`keras` and `tf_keras` have classes of their own under the same names, and users derive from both
(quirk keras-two-namespaces). Only attributes are read.
"""

from __future__ import annotations

import sys
import warnings
from collections.abc import Generator, Iterable
from contextlib import contextmanager
from typing import Any, Final, cast

__all__ = [
    "PACKAGES",
    "attributes",
    "backend_of",
    "history",
    "is_own",
    "kind_of",
    "listed",
    "mode_of",
    "model_of",
    "package_of",
    "unwarned",
]

PACKAGES: Final = frozenset({"keras", "tf_keras"})
"""Where classes are Keras' own."""
_OWN: Final = frozenset({"History", "ProgbarLogger", "BaseLogger"})
"""Callbacks that Keras adds to every fit."""


def listed(callbacks: Any) -> tuple[Any, ...]:
    """Return the callbacks of a fit in any form: None, one, a list, a `CallbackList`."""
    if callbacks is None:
        return ()
    if isinstance(callbacks, (list, tuple)):  # lists in lists are legal
        return tuple(one for part in cast("list[Any]", callbacks) for one in listed(part))
    if type(callbacks).__name__ == "CallbackList":
        return listed(callbacks.callbacks)
    return (callbacks,)


def attributes(thing: Any) -> dict[str, Any]:
    """Return what an object itself holds, past the properties of its class."""
    return cast("dict[str, Any]", thing.__dict__)


def class_of(thing: Any) -> type[Any]:
    """Return the class of an object."""
    return cast("type[Any]", type(thing))


def model_of(callback: Any) -> Any:
    """Return the model of a callback; None if it has none.

    Not by its property `model`, which on JAX puts the state of the training back into the model:
    for each batch, that costs more than the batch.
    """
    state = attributes(callback)
    return state.get("_model", state.get("model"))


@contextmanager
def unwarned() -> Generator[None]:
    """Keep NumPy from warning of how Keras reads its variables on JAX.

    Where warnings are errors there would be no configuration and no model.
    """
    with warnings.catch_warnings():
        warnings.filterwarnings("ignore", "__array__ implementation", DeprecationWarning)
        yield


def package_of(thing: Any) -> str:
    """Return whether a model, a layer or a callback is one of `keras` or of `tf_keras`."""
    for base in type(thing).__mro__:
        package = base.__module__.partition(".")[0]
        if package in PACKAGES:
            return package
    return "keras"


def backend_of(package: str) -> str:
    """Return the name of the backend that a package runs on."""
    if package == "tf_keras":
        return "tensorflow"
    keras: Any = sys.modules[package]
    return str(keras.config.backend())


def kind_of(callback: Any) -> str:
    """Return the name of the first class of Keras' own that a callback is derived from."""
    for base in type(callback).__mro__:
        if base.__module__.partition(".")[0] in PACKAGES:
            return base.__name__
    return type(callback).__name__


def is_own(callback: Any) -> bool:
    """Whether Keras added a callback itself."""
    return type(callback).__name__ in _OWN and kind_of(callback) == type(callback).__name__


def mode_of(callback: Any) -> str | None:
    """Return whether less or more of what is monitored is better, `min` or `max`, once known."""
    operation = getattr(callback, "monitor_op", None)
    known = {"less": "min", "greater": "max"}.get(getattr(operation, "__name__", ""))
    return known or getattr(callback, "mode", None)


def history(callbacks: Iterable[Any], name: str) -> dict[int, float]:
    """Return a quantity by the number that Keras gave the epoch, as its History has them."""
    for one in callbacks:
        if kind_of(one) != "History":
            continue
        values = one.history.get(name, ())
        epochs = one.epoch[len(one.epoch) - len(values) :]  # one that began late has the last
        return {epoch: float(value) for epoch, value in zip(epochs, values, strict=False)}
    return {}
