"""LightGBM's own text format, which holds trees and numbers and runs no code when it is read.

A wrapper of the scikit-learn API is stored as its booster's text and its attributes as JSON.
What cannot be written that way (a custom objective, a generator of random numbers, a subclass of
the user's) is refused, not guessed.
"""

from __future__ import annotations

import contextlib
import json
import weakref
from collections import OrderedDict, defaultdict
from collections.abc import Generator
from importlib import import_module
from pathlib import Path
from typing import Any, Final, cast

from autolog_lightgbm.extract import booster_of, class_of, known_of

__all__ = ["known_text", "load", "save"]

_WRAPPERS: Final = ("LGBMModel", "LGBMClassifier", "LGBMRegressor", "LGBMRanker")
_MODEL: Final = "model.txt"
_WRAPPER: Final = "wrapper.json"
_MARK: Final = "#"

_NOT_KEPT: Final = frozenset({"_Booster", "_parent_callback_ctx"})
"""Attributes that are not stored: the booster is, as text; the second is there only while a
pipeline or a search of scikit-learn 1.9 fits the wrapper."""

_texts: weakref.WeakKeyDictionary[Any, str] = weakref.WeakKeyDictionary()


@contextlib.contextmanager
def known_text(booster: Any, text: str | None) -> Generator[None]:
    """Save `booster` by a text that is at hand inside the block: writing one takes milliseconds."""
    if text is not None:
        _texts[booster] = text
    try:
        yield
    finally:
        _texts.pop(booster, None)


def save(model: Any, directory: Path) -> None:
    """Save a booster or a wrapper.

    Raises:
        ValueError: an attribute, or the class, cannot be stored as text.
    """
    booster = booster_of(model)
    kind = class_of(model)
    written: dict[str, Any] = {
        "class": kind.__qualname__,
        "best_iteration": booster.best_iteration,
        "best_score": _encoded(booster.best_score, "best_score"),
    }
    if booster is not model:
        if kind.__module__ != "lightgbm.sklearn" or kind.__qualname__ not in _WRAPPERS:
            raise ValueError(f"{kind.__module__}.{kind.__qualname__} is no class of LightGBM's own")
        written["attributes"] = {
            name: _encoded(value, name)
            for name, value in known_of(model).items()
            if name not in _NOT_KEPT
        }
    text = _texts.get(booster)
    if text is None:
        text = booster.model_to_string(num_iteration=-1)
    (directory / _MODEL).write_text(text, encoding="utf-8")
    (directory / _WRAPPER).write_text(json.dumps(written), encoding="utf-8")


def load(directory: Path) -> Any:
    """Load what `save` stored: an object of the same class that predicts the same bits.

    Raises:
        ValueError: the file names another class.
    """
    written = json.loads((directory / _WRAPPER).read_text(encoding="utf-8"))
    framework: Any = import_module("lightgbm")
    booster = framework.Booster(model_str=(directory / _MODEL).read_text(encoding="utf-8"))
    booster.best_iteration = written["best_iteration"]
    booster.best_score = _decoded(written["best_score"])
    name = written["class"]
    if name == "Booster":
        return booster
    if name not in _WRAPPERS:
        raise ValueError(f"{name!r} is no class of LightGBM's own")
    model = getattr(framework, name)()  # attributes that are newer than the file get defaults
    attributes = known_of(model)
    attributes.update({key: _decoded(value) for key, value in written["attributes"].items()})
    attributes["_Booster"] = booster
    return model


def _encoded(value: Any, name: str) -> Any:
    """Return a value as JSON; everything but plain scalars and lists carries a mark."""
    kind = class_of(value)
    if value is None or kind in (bool, int, float, str):
        return value
    if kind is list:
        return [_encoded(item, name) for item in cast("list[Any]", value)]
    if kind is tuple:
        return {_MARK: "tuple", "items": [_encoded(item, name) for item in value]}
    if kind in (dict, OrderedDict, defaultdict):
        pairs = [[_encoded(key, name), _encoded(item, name)] for key, item in value.items()]
        return {_MARK: kind.__name__, "items": pairs}
    if kind.__module__ == "numpy" and value.dtype.kind in "biufU":
        mark = "array" if kind.__name__ == "ndarray" else "scalar"
        return {_MARK: mark, "dtype": value.dtype.str, "items": value.tolist()}
    if kind.__module__ == "numpy" and kind.__name__ == "ndarray" and value.dtype.kind == "O":
        items = value.tolist()
        if all(type(item) in (bool, int, float, str) for item in items):
            return {_MARK: "array", "dtype": "O", "items": items}
    if kind.__name__ == "LabelEncoder" and kind.__module__.startswith("sklearn."):
        return {_MARK: "labels", "items": _encoded(value.classes_, name)}
    raise ValueError(f"{name} holds a {kind.__module__}.{kind.__qualname__}")


def _decoded(value: Any) -> Any:
    if isinstance(value, list):
        return [_decoded(item) for item in cast("list[Any]", value)]
    if not isinstance(value, dict):
        return value
    marked = cast("dict[str, Any]", value)
    mark, items = marked[_MARK], marked["items"]
    if mark == "tuple":
        return tuple(_decoded(item) for item in items)
    if mark in ("dict", "OrderedDict", "defaultdict"):
        pairs = [(_decoded(key), _decoded(item)) for key, item in items]
        if mark == "defaultdict":
            return defaultdict(OrderedDict, pairs)
        return OrderedDict(pairs) if mark == "OrderedDict" else dict(pairs)
    if mark == "labels":
        preprocessing: Any = import_module("sklearn.preprocessing")
        encoder: Any = preprocessing.LabelEncoder()
        encoder.classes_ = _decoded(items)
        return encoder
    numpy: Any = import_module("numpy")
    array: Any = numpy.array(items, dtype=marked["dtype"])
    return array if mark == "array" else array[()]
