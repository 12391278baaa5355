"""What an estimator says of itself: its kind, its parameters, the model to store.

Facts are read from the instance's own dictionary, never through properties, which may compute
(`feature_importances_` of a forest walks every tree).
"""

from __future__ import annotations

import copy
from collections.abc import Mapping
from functools import partial
from types import FunctionType
from typing import Any, Final, cast

__all__ = [
    "class_name",
    "class_of",
    "goes_on",
    "is_fitted",
    "is_lone_transformer",
    "known_of",
    "last_step",
    "params",
]

_PLAIN: Final = frozenset({type(None), bool, int, float, str})

_PREDICTORS: Final = frozenset({"ClassifierMixin", "RegressorMixin"})
_PREPARES: Final = ("transform", "fit_transform", "kneighbors")

_DEPTH: Final = 8
_LONG: Final = 1000


def class_of(thing: object) -> type[object]:
    """Return the class of a framework's object, which type checkers know nothing of."""
    return type(thing)


def known_of(thing: object) -> Mapping[str, Any]:
    """Return what an object holds itself, without asking its properties; nothing with slots."""
    try:
        known: object = object.__getattribute__(thing, "__dict__")
    except (AttributeError, TypeError):
        return {}
    return cast("dict[str, Any]", known) if isinstance(known, dict) else {}


def class_name(cls: type) -> str:
    """Return a class's public name: `sklearn.svm.SVC`, without private modules."""
    public = [part for part in cls.__module__.split(".") if not part.startswith("_")]
    return ".".join([*public, cls.__qualname__]) if cls.__module__ != "__main__" else cls.__name__


def is_lone_transformer(estimator: Any) -> bool:
    """Whether fitting it trains no model of its own but prepares data for one.

    It transforms or finds neighbours, and has neither `predict` nor `fit_predict`: PCA is one,
    KernelDensity and a user's `fit` with `recommend` are not; a Pipeline is what its last step is.
    A stacking is none, although its `predict` comes with the fit.
    """
    if any(base.__name__ in _PREDICTORS for base in class_of(last_step(estimator)).__mro__):
        return False
    if _has(estimator, "predict") or _has(estimator, "fit_predict"):
        return False
    return any(_has(estimator, name) for name in _PREPARES)


def goes_on(estimator: Any) -> bool:
    """Whether `fit` goes on from what the estimator has learned already (`warm_start`)."""
    return known_of(last_step(estimator)).get("warm_start") is True and is_fitted(estimator)


def is_fitted(estimator: Any) -> bool:
    """Whether it, or a pipeline's last step, has learned: fitted attributes end in underscores."""
    last = last_step(estimator)
    learned = any(_is_learned(name) for name in known_of(last))
    return learned or (last is not estimator and any(map(_is_learned, known_of(estimator))))


def _is_learned(name: str) -> bool:
    return name.endswith("_") and not name.startswith("_")


def params(estimator: Any) -> dict[str, Any]:
    """Return all parameters, nested ones under `outer__inner`; estimators by class name.

    Where `get_params` raises what a missing attribute or a mistake in it raises, they are the
    attributes that the constructor's arguments name; anything else may come from outside, as a
    timeout that the program has set does.
    """
    generator = known_of(estimator).get("random_state")
    if class_of(generator).__module__.startswith("numpy.random") and _describes_itself(estimator):
        # quirk xgboost-get-params-draws-a-seed: it must draw from another than the user's.
        estimator = copy.copy(estimator)
        estimator.random_state = copy.deepcopy(generator)
    try:
        found: dict[str, Any] = estimator.get_params(deep=True)
        values = dict(found.items())
    except (AttributeError, LookupError, NotImplementedError, TypeError, ValueError):
        values = _constructor_arguments(estimator)
    return {key: _described(value) for key, value in values.items()}


def last_step(model: Any) -> Any:
    """Return the last step of a pipeline (of one inside, too), or the model itself."""
    for _ in range(_DEPTH):
        steps = known_of(model).get("steps")
        last: Any = cast("list[Any]", steps)[-1] if type(steps) is list and steps else None
        step: Any = cast("tuple[Any, ...]", last)[-1] if type(last) is tuple and last else None
        if step is None or isinstance(step, str):
            return model
        model = step
    return model


def _has(estimator: Any, name: str) -> bool:
    """Whether a method is there; conditional ones (`available_if`) are asked on the instance.

    So is an object that hands unknown attributes on to another one.
    """
    mro = class_of(estimator).__mro__
    attribute = next((vars(base)[name] for base in mro if name in vars(base)), None)
    if isinstance(attribute, FunctionType):
        return True
    if isinstance(attribute, property) and not _is_sklearns(attribute.fget):
        return True  # a property of the user's may compute
    if attribute is None and not any("__getattr__" in vars(base) for base in mro):
        return False
    try:
        return hasattr(estimator, name)
    except Exception:  # an unfitted delegate may refuse in its own way
        return True


def _is_sklearns(function: Any) -> bool:
    return str(getattr(function, "__module__", "")).startswith("sklearn.")


def _describes_itself(estimator: Any) -> bool:
    """Whether `get_params` is not scikit-learn's own, which only reads attributes."""
    method: Any = class_of(estimator)
    return method.get_params.__module__.partition(".")[0] != "sklearn"


def _constructor_arguments(estimator: Any) -> dict[str, Any]:
    """Return what the object holds under the names of its constructor's arguments."""
    function: Any = class_of(estimator).__init__
    while hasattr(function, "__wrapped__"):
        function = function.__wrapped__
    if not isinstance(function, FunctionType):
        return {}
    code = function.__code__
    names = code.co_varnames[1 : code.co_argcount + code.co_kwonlyargcount]
    known = known_of(estimator)
    return {name: known[name] for name in names if name in known}


def _described(value: Any) -> Any:
    """Replace estimators by their class names; everything else is described by the core."""
    kind = class_of(value)
    if kind in _PLAIN:
        return value
    if hasattr(kind, "get_params"):
        return class_name(kind)
    if kind is partial:
        return _described(cast("partial[Any]", value).func)
    if kind is list:
        return _described_list(cast("list[Any]", value))
    scored = known_of(value).get("_score_func")
    if isinstance(scored, FunctionType):
        return f"make_scorer({scored.__module__}.{scored.__qualname__})"
    return value


def _described_list(items: list[Any]) -> list[Any]:
    """Describe lists of estimators, and the named steps of a pipeline; other lists stay."""
    if all(type(item) is tuple for item in items[:_LONG]):
        return [[_described(part) for part in item] for item in items]
    if any(hasattr(class_of(item), "get_params") for item in items[:_LONG]):
        return [_described(item) for item in items]
    return items
