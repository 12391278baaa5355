"""Reads what LightGBM's objects know already; nothing here computes, constructs or copies.

A `Dataset` is lazy and may let its raw data go when it is constructed: only what stands in its
attributes is looked at, before the training.
"""

from __future__ import annotations

import sys
from collections.abc import Iterable, Mapping
from typing import Any, Final, cast

from autolog.integration import Call, Span

__all__ = [
    "beyond",
    "booster_of",
    "class_of",
    "described",
    "importances",
    "inputs",
    "known_of",
    "raw",
    "signature",
    "training_params",
    "valid_sets",
    "versions",
]

_MAX_COLUMNS: Final = 1000
_CALLBACKS: Final = {
    "_EarlyStoppingCallback": "early_stopping",
    "_LogEvaluationCallback": "log_evaluation",
    "_RecordEvaluationCallback": "record_evaluation",
    "_ResetParameterCallback": "reset_parameter",
}
_CV: Final = ("nfold", "stratified", "shuffle", "seed", "metrics", "eval_train_metric", "folds")


def training_params(call: Call) -> dict[str, Any]:
    """Return the parameters of `train` or `cv` as they were given, aliases included."""
    bound: Mapping[str, Any] = call.bound or {}
    values: dict[str, Any] = {"num_boost_round": bound.get("num_boost_round", 100)}
    if call.name == "train":
        values["keep_training_booster"] = bound.get("keep_training_booster", False)
    for name in ("feval", "fobj", "init_model", "early_stopping_rounds", "learning_rates"):
        if bound.get(name) is not None:
            values[name] = described(bound[name])
    for name in _CV:
        if call.name == "cv" and bound.get(name) is not None:
            values[f"cv.{name}"] = described(bound[name])
    callbacks = bound.get("callbacks")
    if type(callbacks) in (list, tuple) and callbacks:
        values["callbacks"] = [_callback(one) for one in callbacks]
        for one in callbacks:
            if _ours(one) and hasattr(one, "stopping_rounds"):
                values["early_stopping_rounds"] = one.stopping_rounds
    given = bound.get("params")
    if isinstance(given, dict):
        items = cast("dict[Any, Any]", given)
        values.update({str(key): described(value) for key, value in items.items()})
    return values


def beyond(bound: Mapping[str, Any], known: Mapping[str, Any]) -> dict[str, Any]:
    """Return what the booster was given that its wrapper's parameters do not say.

    What they say differently (the objective that was chosen for None) stands under `native.`.
    """
    found: dict[str, Any] = {"num_boost_round": bound.get("num_boost_round", 100)}
    for key, value in cast("dict[str, Any]", bound.get("params") or {}).items():
        if key not in known:
            found[key] = described(value)
        elif isinstance(value, (str, int, float)) and value != known[key]:
            found[f"native.{key}"] = value
    return found


def described(value: Any) -> Any:
    """Name functions, models and splitters; everything else is described by the core."""
    if isinstance(value, (list, tuple)):
        items = cast("list[Any]", value)
        return [described(item) for item in items] if any(map(callable, items)) else items
    if isinstance(value, type) or not callable(value):
        return value
    return getattr(value, "__qualname__", None) or type(value).__qualname__


def valid_sets(bound: Mapping[str, Any]) -> list[tuple[str, Any]]:
    """Return the evaluation sets of `train` with the names that LightGBM will give them."""
    given: Any = bound.get("valid_sets")
    names: Any = bound.get("valid_names")
    if given is None:
        return []
    given = [given] if type(given) not in (list, tuple) else given
    names = [names] if isinstance(names, str) else names
    found: list[tuple[str, Any]] = []
    for index, data in enumerate(given):
        default = "training" if data is bound.get("train_set") else f"valid_{index}"
        named = type(names) in (list, tuple) and index < len(names)
        found.append((str(names[index]) if named else default, data))
    return found


def known_of(thing: Any) -> dict[str, Any]:
    """Return the attributes that an object holds itself: none that is computed."""
    return cast("dict[str, Any]", getattr(thing, "__dict__", {}))


def class_of(thing: Any) -> type[Any]:
    """Return the class of an object, typed."""
    return cast("type[Any]", type(thing))


def raw(dataset: Any, attribute: str = "data") -> Any:
    """Return an attribute that a `Dataset` was made with, while it still has it."""
    return known_of(dataset).get(attribute)


def inputs(span: Span, role: str, dataset: Any, name: str | None) -> None:
    """Describe a `Dataset` by its raw data, or by its class where that is a file or gone."""
    data = raw(dataset)
    unknown = data is None or isinstance(data, str) or hasattr(data, "__fspath__")
    span.input(role, dataset if unknown else data, name=name)
    label = raw(dataset, "label")
    if label is not None:
        span.input(f"{role}_target", label, name=name)


def booster_of(model: Any) -> Any:
    """Return the `Booster` of a wrapper of the scikit-learn API, or the model itself."""
    return known_of(model).get("_Booster", model)


def importances(booster: Any) -> dict[str, list[Any]]:
    """Return the table of the features' importances; the most useful ones of very many."""
    names: list[str] = booster.feature_name()
    split: list[float] = booster.feature_importance("split").tolist()
    gain: list[float] = booster.feature_importance("gain").tolist()
    order: Iterable[int] = range(len(names))
    if len(names) > _MAX_COLUMNS:
        order = sorted(order, key=lambda index: -gain[index])[:_MAX_COLUMNS]
    columns = {"feature": names, "split": split, "gain": gain}
    return {key: [values[index] for index in order] for key, values in columns.items()}


def signature(model: Any, data: Any) -> dict[str, Any]:
    """Describe what the model takes and gives."""
    taken: dict[str, Any] = {}
    names: list[str] = booster_of(model).feature_name()
    if len(names) <= _MAX_COLUMNS:
        taken["columns"] = names
    shape = getattr(data, "shape", None) if _known(data) else None
    taken["shape"] = [int(size) for size in shape] if shape else [None, len(names)]
    if _known(data) and hasattr(data, "dtype"):
        taken["dtype"] = str(data.dtype)
    given: dict[str, Any] = {}
    classes: Any = known_of(model).get("_classes", [])
    if hasattr(classes, "tolist") and len(classes) <= _MAX_COLUMNS:
        given["classes"] = classes.tolist()
    return {"inputs": taken, "outputs": given}


def versions() -> dict[str, str]:
    """Return what must be installed to load a model."""
    found: dict[str, str] = {}
    for module, name in (("lightgbm", "lightgbm"), ("numpy", "numpy"), ("sklearn", "scikit-learn")):
        if module in sys.modules:
            found[name] = str(getattr(sys.modules[module], "__version__", ""))
    return found


def _callback(callback: Any) -> str:
    name: str = getattr(callback, "__qualname__", None) or type(callback).__qualname__
    name = name.partition(".<locals>")[0]
    return _CALLBACKS.get(name, name) if _ours(callback) else name


def _ours(callback: Any) -> bool:
    return type(callback).__module__ == "lightgbm.callback"


def _known(data: Any) -> bool:
    return type(data).__module__.partition(".")[0] in ("numpy", "scipy", "pandas", "polars")
