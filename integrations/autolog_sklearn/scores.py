"""The numbers that a metric function gave, each named so that its averaging and options show.

`f1_score(..., average="macro")` is `f1_macro`, `accuracy_score(..., normalize=False)` is
`accuracy_normalize_false`. What is no number is left to the tables of `curves`, or to the user.
"""

from __future__ import annotations

import functools
import inspect
import numbers
import types
from collections.abc import Iterator, Mapping
from importlib import import_module
from typing import Any, Final

__all__ = ["CLASSES", "SUPPORT", "scores"]

CLASSES: Final = "sklearn.classes"
"""In the state of a training's span: the classes of its model, None for one that has none."""

SUPPORT: Final = "precision_recall_fscore_support"
"""The function that the other metrics of this family call."""

_AVERAGES: Final = ("micro", "macro", "weighted", "samples")
_OPTIONS: Final = (
    *("adjusted", "alpha", "average_method", "beta", "k", "labels", "max_fpr", "metric"),
    *("normalize", "pos_label", "power", "sample_weight", "samplewise", "squared", "weights"),
)
"""Options that make another quantity of a metric: without its name it would hide the usual one."""

_OUTPUTS: Final = 100
"""More values of one call (outputs, classes) are left to the user."""

_PARTS: Final = {
    "homogeneity_completeness_v_measure": ("homogeneity", "completeness", "v_measure"),
    "class_likelihood_ratios": ("positive_likelihood_ratio", "negative_likelihood_ratio"),
}
"""Functions that give several numbers at once, and what these are."""


def scores(
    function: str, bound: Mapping[str, Any], result: Any, *, classes: Any = None
) -> Iterator[tuple[str, float]]:
    """Yield name and value of each number in a result.

    Args:
        function: the name of the metric function.
        bound: its arguments by name.
        result: what it returned.
        classes: the classes of the model, if it has any: they name the values of `average=None`.
    """
    average = bound.get("average")
    suffix = f"_{average}" if average in _AVERAGES else ""
    options = _options(function, bound)
    if function == SUPPORT:
        if suffix or average == "binary":
            yield from support(suffix + options, result)
        return
    if function in _PARTS:
        for name, value in zip(_PARTS[function], result, strict=False):
            yield f"{name}{options}", float(value)
        return
    several = bound.get("multi_class")
    if several in ("ovr", "ovo"):  # as scikit-learn calls its scorers, roc_auc_ovr_weighted
        suffix = f"_{several}{suffix}"
    elif function == "average_precision_score" and not suffix and _columns(bound) > 1:
        suffix = "_macro"  # the function's own default, for several labels
    outputs = bound.get("multioutput")
    if isinstance(outputs, str) and outputs not in ("uniform_average", "raw_values"):
        suffix += f"_{outputs}"
    elif outputs is not None and not isinstance(outputs, str):
        suffix += "_multioutput"  # a weight for each output
    name = f"{function.removesuffix('_score')}{suffix}{options}"
    if type(result) is not bool and isinstance(result, numbers.Real):
        yield name, float(result)
        return
    values: Any = result
    if getattr(values, "ndim", None) == 1 and values.dtype.kind == "f":
        yield from _each(name, bound, values, classes)


def support(suffix: str, parts: Any) -> Iterator[tuple[str, float]]:
    """Yield precision, recall and F1 out of what `precision_recall_fscore_support` returned."""
    for name, value in zip(("precision", "recall", "f1"), parts, strict=False):
        if isinstance(value, numbers.Real):
            yield f"{name}{suffix}", float(value)


def _each(
    name: str, bound: Mapping[str, Any], values: Any, classes: Any
) -> Iterator[tuple[str, float]]:
    """Name one value per output, or per class."""
    if len(values) > _OUTPUTS or not (
        bound.get("multioutput") == "raw_values" or bound.get("average", "") is None
    ):
        return
    word, given = "output", range(len(values))
    if "average" in bound:
        word = "class"
        labels = bound.get("labels")
        known = classes if labels is None else labels
        given = known if known is not None and len(known) == len(values) else given
    for label, value in zip(given, values.tolist(), strict=True):
        yield f"{name}_{word}_{label}", float(value)


def _columns(bound: Mapping[str, Any]) -> int:
    shape = getattr(bound.get("y_score"), "shape", ())
    return shape[1] if len(shape) > 1 else 1


def _options(function: str, bound: Mapping[str, Any]) -> str:
    """Name the options that differ from the function's own defaults."""
    defaults = _defaults(function)
    named = ""
    for option in _OPTIONS:
        value = bound.get(option)
        if option not in defaults or value is None:
            continue
        if option == "labels" and defaults[option] is inspect.Parameter.empty:
            continue  # the labels of a clustering are what is judged
        if not isinstance(value, (bool, int, float, str)):
            named += f"_{option}"
        elif value != defaults[option]:
            named += f"_{option}_{str(value).lower()}"
    return named


@functools.cache
def _defaults(function: str) -> Mapping[str, Any]:
    """Return the default values of a function of scikit-learn, nothing of another function."""
    found = getattr(import_module("sklearn.metrics"), function, None)
    if not isinstance(found, types.FunctionType):
        return {}
    parameters = inspect.signature(found).parameters
    return {name: parameter.default for name, parameter in parameters.items()}
