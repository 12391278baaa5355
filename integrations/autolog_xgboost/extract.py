"""What XGBoost's objects say of themselves: parameters, importances, a signature.

Nothing here asks for more than what is known: parameters are read from the instance's own
dictionary (quirk xgboost-get-params-draws-a-seed: `get_params()` draws from a `RandomState` that
was given as `random_state`), and no importance is computed through a property.
"""

from __future__ import annotations

import inspect
import sys
from collections.abc import Callable, Iterator, Mapping, Sequence
from functools import lru_cache
from typing import Any, Final, cast

from autolog.integration import Call

__all__ = [
    "IMPORTANCES",
    "arguments",
    "beyond",
    "class_name",
    "class_of",
    "estimator_params",
    "given",
    "importances",
    "known_of",
    "native_params",
    "signature",
    "versions",
]

IMPORTANCES: Final = ("weight", "gain", "cover", "total_gain", "total_cover")

_MAX_FEATURES: Final = 1000
"""Rows of the importance table, and column names of a signature."""

_NOT_PARAMETERS: Final = frozenset(
    {"params", "dtrain", "evals", "evals_result", "callbacks", "client"}
)
"""Arguments of a training that are data, or that are recorded in their own way."""

_PLAIN: Final = (str, int, float, bool, type(None))

_CONTAINERS: Final = frozenset({"cupy", "numpy", "pandas", "polars", "scipy"})


def arguments(call: Call, function: Callable[..., Any]) -> Mapping[str, Any]:
    """Return the arguments by name, also of a call that XGBoost accepts with a warning.

    Keyword-only arguments may still be given by position; such a call does not bind.
    """
    if call.bound is not None:
        return call.bound
    names = [name for name in inspect.signature(function).parameters if name != "self"]
    return {**dict(zip(names, call.args, strict=False)), **call.kwargs}


def native_params(params: Any) -> dict[str, Any]:
    """Return a booster's parameters; of a list of pairs, repeated names hold all their values."""
    if isinstance(params, Mapping):
        return {str(key): value for key, value in cast("Mapping[Any, Any]", params).items()}
    found: dict[str, Any] = {}
    if not isinstance(params, list):
        return found
    for pair in cast("list[Any]", params):
        if not isinstance(pair, tuple | list):
            continue
        key, value = cast("Sequence[Any]", pair)
        if str(key) not in found:
            found[str(key)] = value
        elif isinstance(found[str(key)], list):
            found[str(key)] = [*found[str(key)], value]
        else:
            found[str(key)] = [found[str(key)], value]
    return found


def given(bound: Mapping[str, Any]) -> dict[str, Any]:
    """Return the arguments of a training besides its data and the booster's parameters."""
    found = {
        key: value
        for key, value in bound.items()
        if key not in _NOT_PARAMETERS and value is not None
    }
    callbacks = bound.get("callbacks")
    if isinstance(callbacks, list | tuple) and callbacks:
        names = [class_of(one).__name__ for one in cast("Sequence[Any]", callbacks)]
        found["callbacks"] = names
    return found


def estimator_params(estimator: Any) -> dict[str, Any]:
    """Return what `get_params()` would give, and draw no random number for it."""
    known = known_of(estimator)
    names = _parameter_names(class_of(estimator))
    found = {name: known[name] for name in names if name in known}
    extra = known.get("kwargs")
    if isinstance(extra, dict):
        found.update({str(key): val for key, val in cast("dict[Any, Any]", extra).items()})
    return found


def beyond(native: Mapping[str, Any], known: Mapping[str, Any]) -> dict[str, Any]:
    """Return what the booster was given that its estimator's parameters do not say.

    What they say differently (`multi:softprob` for `binary:logistic`, the seed that was drawn)
    stands under `native.`.
    """
    found: dict[str, Any] = {}
    for key, value in native.items():
        if key not in known:
            found[key] = value
        elif isinstance(value, _PLAIN) and _differs(value, known[key]):
            found[f"native.{key}"] = value
    return found


def class_of(thing: object) -> type[object]:
    """Return the class of a framework's object, which type checkers know nothing of."""
    return type(thing)


def known_of(thing: object) -> dict[str, Any]:
    """Return what an object holds itself, without asking its properties."""
    return vars(thing)


def class_name(cls: type) -> str:
    """Return a class's name with its module, `xgboost.sklearn.XGBClassifier`."""
    return f"{cls.__module__}.{cls.__qualname__}" if cls.__module__ != "__main__" else cls.__name__


def importances(booster: Any, *, linear: bool) -> dict[str, list[Any]]:
    """Return the importances of every type as columns, the most important feature first.

    A linear booster has coefficients instead, one column for each output. Features that no split
    uses are left out by XGBoost; of a stump or a constant model nothing is left.
    """
    if linear:
        return _coefficients(booster.get_score(importance_type="weight"))
    scores = {kind: booster.get_score(importance_type=kind) for kind in IMPORTANCES}
    gains = scores["total_gain"]
    features = sorted(gains, key=lambda name: -gains[name])[:_MAX_FEATURES]
    if not features:
        return {}
    columns: dict[str, list[Any]] = {"feature": features}
    columns.update({kind: [score[name] for name in features] for kind, score in scores.items()})
    return columns


def _coefficients(scores: Mapping[str, Any]) -> dict[str, list[Any]]:
    rows = {
        name: cast("list[float]", score) if isinstance(score, list) else [float(score)]
        for name, score in scores.items()
    }
    features = sorted(rows, key=lambda name: -max(map(abs, rows[name]), default=0.0))
    features = features[:_MAX_FEATURES]
    if not features:
        return {}
    outputs = len(rows[features[0]])
    columns: dict[str, list[Any]] = {"feature": features}
    for output in range(outputs):
        name = "coefficient" if outputs == 1 else f"coefficient_{output}"
        columns[name] = [rows[feature][output] for feature in features]
    return columns


def signature(booster: Any, data: Any = None, target: Any = None) -> dict[str, Any]:
    """Describe what the model takes and gives, from the names that the booster keeps."""
    inputs: dict[str, Any] = {**_described(data)}
    names, types = booster.feature_names, booster.feature_types
    if names is not None and len(names) <= _MAX_FEATURES:
        inputs["columns"] = [str(name) for name in names]
        if types is not None:
            inputs["types"] = [str(kind) for kind in types]
    return {"inputs": inputs, "outputs": _described(target)}


def versions() -> dict[str, str]:
    """Return what must be installed to load a model."""
    module = sys.modules.get("xgboost")
    return {"xgboost": str(getattr(module, "__version__", ""))}


@lru_cache(maxsize=64)
def _parameter_names(cls: type) -> tuple[str, ...]:
    """Return the names that the constructors of a class and of its bases take."""
    return tuple(dict.fromkeys(_constructor_names(cls)))


def _constructor_names(cls: type) -> Iterator[str]:
    for base in cls.__mro__:
        constructor = vars(base).get("__init__")
        if constructor is None or base is object:
            continue
        for name, parameter in inspect.signature(constructor).parameters.items():
            if name != "self" and parameter.kind in (
                parameter.POSITIONAL_OR_KEYWORD,
                parameter.KEYWORD_ONLY,
            ):
                yield name


def _differs(value: Any, other: Any) -> bool:
    if not isinstance(other, _PLAIN):
        return True
    return value != other and not (value != value and other != other)


def _described(data: Any) -> dict[str, Any]:
    if class_of(data).__module__.partition(".")[0] not in _CONTAINERS:
        return {}
    found: dict[str, Any] = {}
    shape, dtype = getattr(data, "shape", None), getattr(data, "dtype", None)
    if isinstance(shape, tuple):
        found["shape"] = [int(size) for size in cast("tuple[Any, ...]", shape)]
    if dtype is not None:
        found["dtype"] = str(dtype)
    return found
