"""Which model variables belong to: the Keras model or `tf.Module` that has all of them.

Models tell of themselves as they are built, and are referred to weakly. Those that were there
before autolog was on are looked for once, among the objects of the process.
"""

from __future__ import annotations

import gc
import sys
import weakref
from collections.abc import Mapping
from importlib import import_module
from typing import Any, Final

from autolog.integration import Capture, Detach, Tap

__all__ = ["attach", "attach_keras", "attach_tf_keras", "of_variables"]

_models: Final[dict[int, weakref.ref[Any]]] = {}
_looked_around = False
_OWN: Final = ("keras.", "tf_keras.", "tensorflow.")
_MODELS: Final = frozenset({"Functional", "Model", "Sequential"})


def attach(capture: Capture) -> Detach:
    """Listen to modules as they are built."""
    untap = capture.tap(import_module("tensorflow").Module, "__init__", Tap(exit=_built))

    def detach() -> None:
        global _looked_around
        untap()
        _models.clear()
        _looked_around = False

    return detach


def attach_keras(capture: Capture) -> list[Detach]:
    """Listen to models of Keras as they are built."""
    model: Any = import_module("keras").Model
    functional: Any = import_module("keras.src.models.functional").Functional
    return [capture.tap(one, "__init__", Tap(exit=_built)) for one in (model, functional)]


def attach_tf_keras(capture: Capture) -> list[Detach]:
    """Listen to models of tf_keras as they are built; its layers are modules, too."""
    del capture
    return []


def of_variables(variables: list[Any]) -> Any:
    """Return the smallest model that has all of these variables; None if there is none."""
    if not variables:
        return None
    found = _smallest(variables)
    if found is None:
        _look_around()
        found = _smallest(variables)
    return found


def _smallest(variables: list[Any]) -> Any:
    wanted = set(map(id, variables))
    found: list[tuple[int, bool, int, Any]] = []
    for reference in list(_models.values()):
        model = reference()
        if model is None:
            continue
        own = _variables_of(model)
        if wanted <= own:
            # Of a model and its only part the model is meant: it began to be built first.
            found.append((len(own), type(model).__name__ in _MODELS, len(found), model))
    return min(found, key=lambda one: one[:3])[3] if found else None


def _variables_of(model: Any) -> set[int]:
    try:
        return set(map(id, model.trainable_variables))
    except Exception:  # a model that is not built yet, or a property of the user's own
        return set()


def _is_model(cls: Any) -> bool:
    """Whether it is what a user calls a model: none of the layers and optimizers of a framework."""
    return cls.__name__ in _MODELS or not cls.__module__.startswith(_OWN)


def _built(_: Any, args: tuple[Any, ...], __: Mapping[str, Any], ___: Any) -> None:
    _note(args[0])


def _note(model: Any) -> None:
    key = id(model)
    if not _is_model(type(model)):
        return

    def gone(reference: weakref.ref[Any]) -> None:
        if _models.get(key) is reference:
            del _models[key]

    _models[key] = weakref.ref(model, gone)


def _look_around() -> None:
    """Find the models that were built before autolog was on."""
    global _looked_around
    if _looked_around:
        return
    _looked_around = True
    classes: list[Any] = [import_module("tensorflow").Module]
    for name in ("keras", "tf_keras"):
        module: Any = sys.modules.get(name)
        if module is not None and hasattr(module, "Model"):
            classes.append(module.Model)
    wanted = tuple(classes)
    for thing in gc.get_objects():
        if issubclass(type(thing), wanted):
            _note(thing)
