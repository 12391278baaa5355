"""The numbers that a fitted estimator knows of itself: facts, and one value per iteration.

They are read from the object's own dictionary, and never through a property, which may compute.
Any attribute of scikit-learn's form (`name_`) that is one number is a fact, so that estimators of
third parties and of the user's are read like scikit-learn's own. Series are listed: among arrays
nothing tells one value per iteration from one value per feature.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Final, cast

from autolog_sklearn import extract

__all__ = ["facts", "lengths", "points", "step_facts"]

_SERIES: Final = (
    "estimator_errors_",
    "estimator_weights_",
    "loss_curve_",
    "lower_bounds_",
    "oob_improvement_",
    "oob_scores_",
    "train_score_",
    "validation_score_",
    "validation_scores_",
)
"""Attributes with one number per iteration (per stage, for boosting).

The step is the index: those of HistGradientBoosting begin with the value before any iteration.
"""

_ONE_PER_ITERATION_OF: Final = {"scores_": frozenset({"BayesianRidge", "ARDRegression"})}
"""Names that mean one number per iteration in some classes alone."""

_ARRAYS: Final = frozenset({"n_iter_", "offset_"})
"""Facts that come as arrays of one number, or of one per class or target: the largest counts."""

_IN_TABLES: Final = frozenset({"coef_", "intercept_"})

_CONSTANT: Final = frozenset(
    {"max_features", "n_classes", "n_features_in", "n_layers", "n_outputs"}
)
"""Facts that no step changes."""


def facts(estimator: Any) -> dict[str, float]:
    """Return what is one number, by its name without the underscore; a pipeline's last step too."""
    found: dict[str, float] = {}
    for name, value in _known(estimator).items():
        if name[-1:] != "_" or name[:1] == "_" or name[-2:] == "__" or name in _IN_TABLES:
            continue
        number = _number(name, value)
        if number is not None:
            found[name[:-1]] = number
    return found


def step_facts(estimator: Any) -> dict[str, float]:
    """Return the facts that a step of the training may have changed."""
    return {name: value for name, value in facts(estimator).items() if name not in _CONSTANT}


def lengths(estimator: Any) -> dict[str, int]:
    """Return how long each series is already, before a training that goes on."""
    return {name: len(values) for name, values in _series(estimator).items()}


def points(
    estimator: Any, written: Mapping[str, int] | None = None
) -> list[tuple[int, dict[str, float]]]:
    """Return the series by step, the values of one step together.

    Args:
        estimator: the fitted estimator.
        written: how long each series was when it was recorded last; a series that has become
            shorter has begun anew.
    """
    steps: dict[int, dict[str, float]] = {}
    for name, values in _series(estimator).items():
        first = (written or {}).get(name, 0)
        for step in range(first if len(values) >= first else 0, len(values)):
            steps.setdefault(step, {})[name[:-1]] = values[step]
    return sorted(steps.items())


def _known(estimator: Any) -> Mapping[str, Any]:
    last = extract.last_step(estimator)
    if last is estimator:
        return extract.known_of(estimator)
    return {**extract.known_of(last), **extract.known_of(estimator)}


def _series(estimator: Any) -> dict[str, list[float]]:
    known = _known(estimator)
    found: dict[str, list[float]] = {}
    for name in _SERIES:
        if name in known:
            found[name] = _numbers(known[name])
    for name, classes in _ONE_PER_ITERATION_OF.items():
        if name in known:
            kind = extract.class_of(extract.last_step(estimator))
            if any(base.__name__ in classes for base in kind.__mro__):
                found[name] = _numbers(known[name])
    return found


def _number(name: str, value: Any) -> float | None:
    kind = extract.class_of(value)
    if kind is float or kind is int:
        return float(value)
    if kind is bool:
        return float(value) if name == "converged_" else None
    if kind.__module__ != "numpy" or not hasattr(value, "dtype"):
        return None
    if value.dtype.kind not in "iuf":
        return None
    if value.ndim == 0:
        return float(value)
    if name in _ARRAYS and value.size:
        return float(value.max())
    return None


def _numbers(values: Any) -> list[float]:
    """Return a list of floats; empty if it is anything else than numbers in a row."""
    if hasattr(values, "dtype") and getattr(values, "ndim", 0) == 1 and values.dtype.kind in "iuf":
        return values.astype(float).tolist()
    if type(values) is not list:
        return []
    items = cast("list[Any]", values)
    if any(isinstance(item, bool) or not hasattr(item, "__float__") for item in items):
        return []
    return [float(item) for item in items]
