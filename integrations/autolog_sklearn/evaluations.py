"""Watches `sklearn.metrics`: a metric of a model's predictions belongs to the model's run.

Predictions are recognised by the array that the model returned, or by views of it
(`proba[:, 1]`). The functions are patched by code, so names that were imported earlier, scorers
made of them and pickles stay what they are.
"""

from __future__ import annotations

import types
import weakref
from collections.abc import Iterator, Mapping
from importlib import import_module
from typing import Any, Final

from autolog.integration import Call, Capture, Detach, Hook, Produced
from autolog_sklearn import curves, naming
from autolog_sklearn.scores import CLASSES, SUPPORT, scores, support

__all__ = ["attach", "attach_calibration", "attach_inspection"]

_PREDICTED: Final = (
    *("y_pred", "y_score", "y_proba", "y_prob", "probas_pred", "pred_decision", "labels_pred"),
    *("y1", "y2"),
)
_SCORES: Final = ("y_score", "y_proba", "y_prob", "probas_pred")
_TRUE: Final = ("y_true", "labels_true", "y1", "y2")
_CLUSTERED: Final = frozenset({"X", "labels"})
"""Parameters of the metrics that judge a clustering by the data alone."""

_DISPLAYS: Final = (
    *("ConfusionMatrixDisplay", "DetCurveDisplay", "PrecisionRecallDisplay", "RocCurveDisplay"),
    *("CalibrationDisplay",),
)
_MAKERS: Final = ("from_estimator", "from_predictions")
_AREAS: Final = {"roc_curve": "roc", "precision_recall_curve": "pr"}
"""Curves, and what the area below one of them is called: `auc(fpr, tpr)` is `roc_auc`."""

_INNER: Final = "sklearn.inner"
"""In the state of an evaluation's span: the metrics that are computed inside of it."""

_DRAWN: Final = "sklearn.drawn"
"""In the state of a training's span: the predictions whose tables were computed on request."""


def attach(capture: Capture) -> Detach:
    """Watch the metrics that compare predictions with the truth, scorers and displays."""
    evaluations = _Evaluations(capture)
    hook = Hook(enter=evaluations.begins, exit=evaluations.computed)
    detaches = [
        capture.patch(module, name, hook, role="evaluation") for module, name in _metric_functions()
    ]
    ranking: Any = import_module("sklearn.metrics._ranking")
    area = Hook(exit=evaluations.area)
    detaches.append(capture.patch(ranking, "auc", area, role="evaluation"))
    scorer: Any = import_module("sklearn.metrics._scorer")._BaseScorer  # noqa: SLF001
    scored = Hook(exit=evaluations.scored)
    detaches.append(capture.patch(scorer, "__call__", scored, role="evaluation"))
    detaches += evaluations.watch_displays(import_module("sklearn.metrics"))
    return _all(detaches)


def attach_calibration(capture: Capture) -> Detach:
    """Watch calibration curves, which live in a module of their own."""
    module: Any = import_module("sklearn.calibration")
    evaluations = _Evaluations(capture)
    hook = Hook(enter=evaluations.begins, exit=evaluations.computed)
    curve = capture.patch(module, "calibration_curve", hook, role="evaluation")
    return _all([curve, *evaluations.watch_displays(module)])


def attach_inspection(capture: Capture) -> Detach:
    """Watch permutation importances."""
    module: Any = import_module("sklearn.inspection._permutation_importance")
    hook = Hook(exit=_Evaluations(capture).permuted)
    return capture.patch(module, "permutation_importance", hook, role="evaluation")


class _Evaluations:
    """Turns the results of metric functions into evaluations of runs."""

    def __init__(self, capture: Capture) -> None:
        self._capture = capture

    def watch_displays(self, module: Any) -> list[Detach]:
        """Watch the pictures of a module: what they compute is what they show."""
        hook = Hook(enter=self.begins, exit=self.displayed)
        return [
            self._capture.patch(getattr(module, name), maker, hook, role="evaluation")
            for name in _DISPLAYS
            for maker in _MAKERS
            if hasattr(getattr(module, name, None), maker)
        ]

    def begins(self, call: Call) -> None:
        """Let what is computed inside be gathered: it belongs to the outermost call."""
        if call.span is not None:
            call.span.state[_INNER] = []

    def computed(self, call: Call, result: Any) -> None:
        """Record what a metric function of the user's gave."""
        if call.span is None:
            self._inside(call, result)
            return
        if call.written_in("sklearn"):
            return
        bound = call.bound or {}
        produced, truth = self._who(bound)
        if produced is None:
            return
        truth_name = call.data_name(truth) if truth else None
        data = bound.get(truth) if truth else None
        name = naming.first_name(naming.data_name(produced.span, data, truth_name), produced.data)
        self._record(produced, name, call.name, bound, result, call.span.state[_INNER])
        if self._capture.options.curves:
            self._draw(produced, name, bound)

    def displayed(self, call: Call, _: Any) -> None:
        """Record the curve or the matrix that a display has computed."""
        bound = call.bound or {}
        produced = self._capture.producer(bound.get("estimator"))
        truth = "y"
        if produced is None:
            produced, found = self._who(bound)
            truth = found or truth
        if call.span is None or produced is None:
            return
        name = naming.first_name(
            naming.data_name(produced.span, bound.get(truth), call.data_name(truth)),
            naming.data_name(produced.span, bound.get("X"), call.data_name("X")),
            produced.data,
        )
        for function, arguments, result in call.span.state[_INNER]:
            if function in curves.CURVES or function == "confusion_matrix":
                self._record(produced, name, function, arguments, result, [])

    def area(self, call: Call, result: Any) -> None:
        """Record the area below a curve that was computed before."""
        bound = call.bound or {}
        produced = self._capture.producer(bound.get("x"))
        if call.span is None or produced is None or call.written_in("sklearn"):
            return
        if produced.data is not None and produced.data.rpartition("/")[2] in _AREAS.values():
            produced.span.evaluation(f"{produced.data}_auc", float(result))

    def scored(self, call: Call, result: Any) -> None:
        """Record what a scorer gave for a model: the metric's own value, not its negative."""
        bound = call.bound or {}
        produced = self._capture.producer(bound.get("estimator"))
        if call.span is None or produced is None or call.written_in("sklearn"):
            return
        scorer = call.instance
        truth, data = bound.get("y_true"), bound.get("X")
        name = naming.first_name(
            naming.data_name(produced.span, truth, call.data_name("y_true")),
            naming.data_name(produced.span, data, call.data_name("X")),
        )
        value = result * getattr(scorer, "_sign", 1)
        arguments = getattr(scorer, "_kwargs", {})
        function: str = scorer._score_func.__name__  # noqa: SLF001
        for metric, number in scores(function, arguments, value):
            produced.span.evaluation(f"{name}/{metric}", number)

    def permuted(self, call: Call, result: Any) -> None:
        """Record a permutation importance as a table."""
        bound = call.bound or {}
        produced = self._capture.producer(bound.get("estimator"))
        if call.span is None or produced is None or "importances_mean" not in result:
            return
        name = naming.first_name(
            naming.data_name(produced.span, bound.get("X"), call.data_name("X"))
        )
        columns = getattr(bound.get("X"), "columns", None)
        table = curves.importances(result, columns)
        if table is not None:
            produced.span.table(f"{name}/permutation_importance", table)

    def _inside(self, call: Call, result: Any) -> None:
        """Give what a report or a display computes anyway to it."""
        outer = self._capture.current()
        if outer is not None and _INNER in outer.state:
            outer.state[_INNER].append((call.name, call.bound or {}, result))

    def _record(
        self,
        produced: Produced,
        data: str,
        function: str,
        bound: Mapping[str, Any],
        result: Any,
        inner: list[tuple[str, Mapping[str, Any], Any]],
    ) -> None:
        span, classes = produced.span, produced.span.state.get(CLASSES)
        if function == "classification_report":
            for metric, value in _averages(bound, inner):
                span.evaluation(f"{data}/{metric}", value)
            for _, arguments, parts in _supports(inner, average=None):
                rows = curves.report(parts, arguments.get("labels"), bound.get("target_names"))
                if rows is not None:
                    span.table(f"{data}/classification_report", rows)
            return
        for metric, value in scores(function, bound, result, classes=classes):
            span.evaluation(f"{data}/{metric}", value)
        table = curves.table(function, bound, result, classes)
        if table is not None:
            span.table(f"{data}/{function}", table)
            longest = max(map(len, result))
            if function in curves.CURVES and longest > len(next(iter(table.values()))):
                self._capture.notice(
                    "thinned_curve",
                    f"a {function} of more than {curves.ROWS:,} points was thinned out evenly",
                )
        if function in _AREAS:
            for array in result[:2]:
                self._capture.produced(array, span, data=f"{data}/{_AREAS[function]}")

    def _draw(self, produced: Produced, data: str, bound: Mapping[str, Any]) -> None:
        """Compute the tables that the user wants of each prediction, once for each."""
        truth = bound.get("y_true")
        for parameter in ("y_pred", *_SCORES):
            predicted = bound.get(parameter)
            if truth is None or getattr(predicted, "ndim", None) != 1:
                continue
            drawn: list[weakref.ref[Any]] = produced.span.state.setdefault(_DRAWN, [])
            if any(known() is predicted for known in drawn):
                return
            drawn.append(weakref.ref(predicted))
            functions = ("roc_curve", "precision_recall_curve")
            if parameter == "y_pred":
                if produced.span.state.get(CLASSES) is None:  # a regression has no confusion
                    return
                functions = ("confusion_matrix",)
            for function in functions:
                compute = getattr(import_module("sklearn.metrics"), function)
                self._record(produced, data, function, bound, compute(truth, predicted), [])
            return

    def _who(self, bound: Mapping[str, Any]) -> tuple[Produced | None, str | None]:
        """Find whose predictions are among the arguments, and the parameter of the truth."""
        candidates = [name for name in _PREDICTED if name in bound]
        if not candidates and _CLUSTERED.issubset(bound):
            return self._capture.producer(bound["labels"]), "X"
        truths = [name for name in _TRUE if name in bound]
        for name in (*candidates, *truths):  # the two are mixed up often enough
            produced = self._capture.producer(bound.get(name))
            if produced is not None:
                others = (other for other in (*truths, *candidates) if other != name)
                return produced, next(others, None)
        if candidates:
            self._capture.notice(
                "unattributed_evaluation",
                "a metric was computed on predictions that no recorded model returned as they are"
                " (a threshold or an argmax makes a new array): record it with"
                ' log_metric("test/f1", value)',
            )
        return None, None


def _averages(
    bound: Mapping[str, Any], inner: list[tuple[str, Mapping[str, Any], Any]]
) -> Iterator[tuple[str, float]]:
    """Yield the averages of a classification report."""
    averages = {arguments["average"]: parts for _, arguments, parts in _supports(inner)}
    for average, parts in averages.items():
        if average == "micro" and "samples" not in averages and bound.get("labels") is None:
            yield "accuracy", float(parts[2])  # of single labels all three parts are the accuracy
        else:
            yield from support(f"_{average}", parts)


def _supports(
    inner: list[tuple[str, Mapping[str, Any], Any]], average: type[str] | None = str
) -> Iterator[tuple[str, Mapping[str, Any], Any]]:
    """Yield the calls of `precision_recall_fscore_support` that average, or that do not."""
    for function, arguments, parts in inner:
        if function == SUPPORT:
            given = arguments.get("average")
            if isinstance(given, str) if average is str else given is None:
                yield function, arguments, parts


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
        if (
            any(name in parameters for name in _TRUE)
            and any(name in parameters for name in _PREDICTED)
        ) or parameters[:2] == ("X", "labels"):
            home = import_module(function.__module__)
            owner = home if getattr(home, exported, None) is function else public
            yield owner, exported


def _all(detaches: list[Detach]) -> Detach:
    def detach() -> None:
        for one in reversed(detaches):
            one()

    return detach
