"""What an estimator says of itself: its kind, its parameters, what it learned.

Facts are read from the instance's own dictionary, never through properties, which may compute
(`feature_importances_` of a forest walks every tree).
"""

from __future__ import annotations

import copy
from collections.abc import Iterator
from types import FunctionType
from typing import Any, Final, cast

from autolog_sklearn.models import contains_data, shape, signature, versions

__all__ = [
    "class_name",
    "class_of",
    "contains_data",
    "goes_on",
    "is_fitted",
    "is_lone_transformer",
    "learned",
    "params",
    "shape",
    "signature",
    "versions",
]

_SCALARS: Final = (
    "best_loss_",
    "best_score_",
    "inertia_",
    "loss_",
    "lower_bound_",
    "n_features_in_",
    "n_iter_",
    "n_leaves_",
    "n_support_total_",
    "oob_score_",
    "reconstruction_err_",
    "refit_time_",
    "score_",
)
"""Attributes of fitted estimators that are one number."""

_SERIES: Final = ("loss_curve_", "train_score_", "validation_score_", "validation_scores_")
"""Attributes of fitted estimators with one number per iteration."""


def class_of(thing: object) -> type[object]:
    """Return the class of a framework's object, which type checkers know nothing of."""
    return type(thing)


def known_of(thing: object) -> dict[str, Any]:
    """Return what an object holds itself, without asking its properties."""
    return vars(thing)


def class_name(cls: type) -> str:
    """Return a class's public name: `sklearn.svm.SVC`, without private modules."""
    public = [part for part in cls.__module__.split(".") if not part.startswith("_")]
    return ".".join([*public, cls.__qualname__]) if cls.__module__ != "__main__" else cls.__name__


def is_lone_transformer(estimator: Any) -> bool:
    """Whether fitting it trains no model of its own but prepares data for one.

    It has no `predict` and no `fit_predict`, and if it has `score_samples` it also transforms:
    PCA is one, KernelDensity is not; a Pipeline is what its last step is.
    """
    if _has(estimator, "predict") or _has(estimator, "fit_predict"):
        return False
    return _has(estimator, "transform") or not _has(estimator, "score_samples")


def goes_on(estimator: Any) -> bool:
    """Whether `fit` goes on from what the estimator has learned already (`warm_start`)."""
    return known_of(estimator).get("warm_start") is True and is_fitted(estimator)


def is_fitted(estimator: Any) -> bool:
    """Whether it, or a pipeline's last step, has learned: fitted attributes end in underscores."""
    known = known_of(_last_step(estimator)) | known_of(estimator)
    return any(name.endswith("_") and not name.startswith("_") for name in known)


def params(estimator: Any) -> dict[str, Any]:
    """Return all parameters, nested ones under `outer__inner`; estimators by class name."""
    generator = known_of(estimator).get("random_state")
    if class_of(generator).__module__.startswith("numpy.random") and _describes_itself(estimator):
        # quirk xgboost-get-params-draws-a-seed: it must draw from another than the user's.
        estimator = copy.copy(estimator)
        estimator.random_state = copy.deepcopy(generator)
    return {key: _described(value) for key, value in estimator.get_params(deep=True).items()}


def learned(estimator: Any) -> Iterator[tuple[dict[str, float], int | None]]:
    """Yield the numbers that a fitted estimator knows, each group with the step it belongs to.

    A pipeline speaks for its last step.
    """
    last = _last_step(estimator)
    known = (
        {**known_of(last), **known_of(estimator)} if last is not estimator else known_of(estimator)
    )
    scalars: dict[str, float] = {}
    for name in _SCALARS:
        number = _number(known.get(name))
        if number is not None:
            scalars[name.rstrip("_")] = number
    if scalars:
        yield scalars, None
    for name in _SERIES:
        for step, value in enumerate(_numbers(known.get(name))):
            yield {name.rstrip("_"): value}, step


def _has(estimator: Any, name: str) -> bool:
    """Whether a method is there; conditional ones (`available_if`) are asked on the instance."""
    attribute = next(
        (vars(base)[name] for base in class_of(estimator).__mro__ if name in vars(base)), None
    )
    if attribute is None or isinstance(attribute, FunctionType):
        return attribute is not None
    try:
        return hasattr(estimator, name)
    except Exception:  # an unfitted delegate may refuse in its own way
        return True


def _describes_itself(estimator: Any) -> bool:
    """Whether `get_params` is not scikit-learn's own, which only reads attributes."""
    method: Any = class_of(estimator)
    return method.get_params.__module__.partition(".")[0] != "sklearn"


def _described(value: Any) -> Any:
    """Replace estimators by their class names; everything else is described by the core."""
    if hasattr(class_of(value), "get_params"):
        return class_name(class_of(value))
    if type(value) is not list:
        return value
    items = cast("list[Any]", value)
    if all(type(item) is tuple for item in items):  # steps of a pipeline
        return [[_described(part) for part in item] for item in items]
    return items


def _last_step(model: Any) -> Any:
    steps = known_of(model).get("steps") if hasattr(model, "__dict__") else None
    last: Any = cast("list[Any]", steps)[-1] if type(steps) is list and steps else None
    step: Any = cast("tuple[Any, ...]", last)[1] if type(last) is tuple else model
    return step if hasattr(step, "__dict__") else model


def _number(value: Any) -> float | None:
    if isinstance(value, bool):
        return None
    if isinstance(value, (int, float)):
        return float(value)
    if hasattr(value, "dtype") and hasattr(value, "item"):
        array: Any = value
        if array.dtype.kind not in "iuf" or array.size == 0:
            return None
        return float(array.item()) if array.size == 1 else float(array.max())
    return None


def _numbers(values: Any) -> Iterator[float]:
    if type(values) is list or (hasattr(values, "dtype") and getattr(values, "ndim", 0) == 1):
        for value in cast("list[Any]", values):
            number = _number(value)
            if number is None:
                return
            yield number
