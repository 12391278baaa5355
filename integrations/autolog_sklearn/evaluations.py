"""Watches `sklearn.metrics`: a metric of a model's predictions belongs to the model's run.

Predictions are recognised by the array that the model returned, or by views of it
(`proba[:, 1]`). The functions are patched by code, so names that were imported earlier, scorers
made of them and pickles stay what they are.
"""

from __future__ import annotations

import functools
import inspect
import numbers
import types
from collections.abc import Iterator, Mapping
from importlib import import_module
from typing import Any, Final

from autolog.integration import Call, Capture, Detach, Hook, Produced
from autolog_sklearn import naming

__all__ = ["attach"]

_PREDICTED: Final = ("y_pred", "y_score", "y_proba", "y_prob", "pred_decision", "labels_pred")
_TRUE: Final = ("y_true", "labels_true")
_SUPPORT: Final = "precision_recall_fscore_support"
_AVERAGES: Final = ("micro", "macro", "weighted", "samples")
_OPTIONS: Final = (
    *("adjusted", "alpha", "beta", "k", "labels", "max_fpr", "normalize", "pos_label", "power"),
    *("sample_weight", "squared", "weights"),
)
"""Options that make another quantity of a metric: without its name it would hide the usual one."""


def attach(capture: Capture) -> Detach:
    """Watch the metrics that compare predictions with the truth, and scorers made of them."""
    evaluations = _Evaluations(capture)
    hook = Hook(exit=evaluations.computed)
    detaches = [
        capture.patch(module, name, hook, role="evaluation") for module, name in _metric_functions()
    ]
    scorer: Any = import_module("sklearn.metrics._scorer")._BaseScorer  # noqa: SLF001
    scored = Hook(exit=evaluations.scored)
    detaches.append(capture.patch(scorer, "__call__", scored, role="evaluation"))

    def detach() -> None:
        for one in reversed(detaches):
            one()

    return detach


class _Evaluations:
    """Turns the results of metric functions into evaluations of runs."""

    def __init__(self, capture: Capture) -> None:
        self._capture = capture

    def computed(self, call: Call, result: Any) -> None:
        if call.span is None:
            self._inside(call, result)
            return
        if naming.written_in_sklearn(call):
            return
        bound = call.bound or {}
        produced, truth = self._who(bound)
        if produced is None:
            return
        truth_name = call.source_name(truth) if truth else None
        data = bound.get(truth) if truth else None
        name = naming.first_name(naming.data_name(produced.span, data, truth_name), produced.data)
        for metric, value in _values(call.name, bound, result, call.span.state):
            produced.span.evaluation(f"{name}/{metric}", value)

    def scored(self, call: Call, result: Any) -> None:
        """Record what a scorer gave for a model: the metric's own value, not its negative."""
        bound = call.bound or {}
        produced = self._capture.producer(bound.get("estimator"))
        if call.span is None or produced is None or naming.written_in_sklearn(call):
            return
        scorer = call.instance
        truth, data = bound.get("y_true"), bound.get("X")
        name = naming.first_name(
            naming.data_name(produced.span, truth, call.source_name("y_true")),
            naming.data_name(produced.span, data, call.source_name("X")),
        )
        value = result * getattr(scorer, "_sign", 1)
        arguments = getattr(scorer, "_kwargs", {})
        for metric, number in _values(scorer._score_func.__name__, arguments, value, {}):  # noqa: SLF001
            produced.span.evaluation(f"{name}/{metric}", number)

    def _inside(self, call: Call, result: Any) -> None:
        """Give the parts that a report computes anyway to the report."""
        outer = self._capture.current()
        if outer is None or call.name != _SUPPORT:
            return
        average = (call.bound or {}).get("average")
        if isinstance(average, str):
            outer.state.setdefault("averages", {})[average] = result

    def _who(self, bound: Mapping[str, Any]) -> tuple[Produced | None, str | None]:
        truth = next((name for name in _TRUE if name in bound), None)
        for name in _PREDICTED:
            produced = self._capture.producer(bound.get(name))
            if produced is not None:
                return produced, truth
        if any(name in bound for name in _PREDICTED):
            self._capture.notice(
                "unattributed_evaluation",
                "a metric was computed on predictions that no recorded model returned as they are"
                " (a threshold or an argmax makes a new array): record it with"
                ' log_metric("test/f1", value)',
            )
        return None, truth


def _values(
    function: str, bound: Mapping[str, Any], result: Any, state: Mapping[str, Any]
) -> Iterator[tuple[str, float]]:
    """Name the numbers in a result; shapes that are no scalars are left to the user."""
    if function == "classification_report":
        averages: dict[str, Any] = state.get("averages", {})
        single_label = "samples" not in averages
        for average, parts in averages.items():
            if average == "micro" and single_label and bound.get("labels") is None:
                yield "accuracy", float(parts[2])  # all three parts are the accuracy then
            else:
                yield from _support(f"_{average}", parts)
        return
    average = bound.get("average")
    suffix = f"_{average}" if average in _AVERAGES else ""
    options = _options(function, bound)
    if function == _SUPPORT:
        if suffix or average == "binary":
            yield from _support(suffix + options, result)
        return
    several = bound.get("multi_class")
    if several in ("ovr", "ovo"):  # as scikit-learn calls its scorers, roc_auc_ovr_weighted
        suffix = f"_{several}{suffix}"
    if type(result) is not bool and isinstance(result, numbers.Real):
        yield f"{function.removesuffix('_score')}{suffix}{options}", float(result)


def _options(function: str, bound: Mapping[str, Any]) -> str:
    """Name the options that differ from the function's own defaults."""
    defaults = _defaults(function)
    named = ""
    for option in _OPTIONS:
        value = bound.get(option)
        if option not in defaults or value is None:
            continue
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


def _support(suffix: str, parts: Any) -> Iterator[tuple[str, float]]:
    for name, value in zip(("precision", "recall", "f1"), parts, strict=False):
        if isinstance(value, numbers.Real):
            yield f"{name}{suffix}", float(value)


def _metric_functions() -> Iterator[tuple[Any, str]]:
    """Find the functions by the names of their parameters, where they are defined."""
    public: Any = import_module("sklearn.metrics")
    for exported in public.__all__:
        function: Any = getattr(public, exported, None)
        if not isinstance(function, types.FunctionType):
            continue
        inner: Any = function
        while hasattr(inner, "__wrapped__"):
            inner = inner.__wrapped__
        parameters = inner.__code__.co_varnames[: inner.__code__.co_argcount]
        if any(name in parameters for name in _TRUE) and any(
            name in parameters for name in _PREDICTED
        ):
            home = import_module(function.__module__)
            owner = home if getattr(home, exported, None) is function else public
            yield owner, exported
