"""The format of XGBoost's models: UBJSON, which XGBoost itself writes and which holds no code.

`model.ubj` is the booster with its trees, categories, feature names and attributes. For an
estimator `wrapper.json` stands beside it: its class and the attributes that JSON can hold. What
matters for training alone and is no plain value (callbacks, a metric's function) is left out.
"""

from __future__ import annotations

import json
from importlib import import_module
from pathlib import Path
from typing import Any, Final, cast

from autolog_xgboost.extract import class_of, known_of

__all__ = ["load", "save"]

_MODEL: Final = "model.ubj"
_WRAPPER: Final = "wrapper.json"
_PLAIN: Final[tuple[Any, ...]] = (bool, int, float, str)


def save(model: Any, directory: Path) -> None:
    """Save a booster, or an estimator of XGBoost.

    Raises:
        ValueError: the estimator is of a class of the user's own, whose code the file cannot
            hold, or predicts by a function (a custom objective).
    """
    cls = class_of(model)
    if cls.__name__ == "Booster" or not hasattr(cls, "get_xgb_params"):
        model.save_model(directory / _MODEL)
        return
    if cls.__module__.partition(".")[0] != "xgboost":
        raise ValueError(f"{cls.__qualname__} is not one of XGBoost's own classes")
    known = known_of(model)
    if callable(known.get("objective")):
        raise ValueError("its objective is a function, which UBJSON cannot hold")  # noqa: TRY004
    kept: dict[str, Any] = {}
    left_out: list[str] = []
    for name, value in known.items():
        if name == "_Booster":
            continue
        try:
            kept[name] = _encoded(value)
        except TypeError:
            left_out.append(name)
    wrapper = {
        "class": f"{cls.__module__}:{cls.__qualname__}",
        "attributes": kept,
        "left_out": left_out,
    }
    (directory / _WRAPPER).write_text(json.dumps(wrapper, indent=1), encoding="utf-8")
    known["_Booster"].save_model(directory / _MODEL)


def load(directory: Path) -> Any:
    """Load what `save` wrote: a booster, or an estimator of the same class.

    Raises:
        ValueError: the file names a class that is not XGBoost's.
    """
    core: Any = import_module("xgboost")
    wrapper = directory / _WRAPPER
    if not wrapper.exists():
        return core.Booster(model_file=directory / _MODEL)
    known = json.loads(wrapper.read_text(encoding="utf-8"))
    module, _, name = str(known["class"]).partition(":")
    if module.partition(".")[0] != "xgboost":
        raise ValueError(f"{known['class']} is not one of XGBoost's own classes")
    cls: Any = getattr(import_module(module), name)
    if core.XGBModel not in getattr(cls, "__mro__", ()):
        raise ValueError(f"{known['class']} is not an estimator of XGBoost")
    model: Any = cls.__new__(cls)
    attributes = {key: _decoded(value) for key, value in known["attributes"].items()}
    attributes.update(dict.fromkeys(known["left_out"]))
    booster = core.Booster({"n_jobs": attributes.get("n_jobs")})
    booster.load_model(directory / _MODEL)
    known_of(model).update(attributes, _Booster=booster)
    return model


def _encoded(value: Any) -> Any:
    """Return a value as JSON can hold it; tuples and dictionaries are marked.

    Raises:
        TypeError: it is more than plain values.
    """
    if value is None or type(value) in _PLAIN:
        return value
    for kind in _PLAIN:
        if isinstance(value, kind):  # NumPy's float64 is a float
            return kind(value)
    if type(value) is list:
        return [_encoded(item) for item in cast("list[Any]", value)]
    if type(value) is tuple:
        return {"tuple": [_encoded(item) for item in cast("tuple[Any, ...]", value)]}
    if isinstance(value, dict):
        pairs = cast("dict[Any, Any]", value).items()
        return {"dict": [[_encoded(key), _encoded(item)] for key, item in pairs]}
    if class_of(value).__module__ == "numpy" and getattr(value, "shape", None) == ():
        return _encoded(value.item())
    raise TypeError(class_of(value).__name__)


def _decoded(value: Any) -> Any:
    if isinstance(value, list):
        return [_decoded(item) for item in cast("list[Any]", value)]
    if isinstance(value, dict):
        ((kind, items),) = cast("dict[str, list[Any]]", value).items()
        if kind == "tuple":
            return tuple(_decoded(item) for item in items)
        return {_decoded(key): _decoded(item) for key, item in items}
    return value
