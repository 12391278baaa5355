"""Metrics on the training data, `train/<metric>`, for users who ask for them.

They cost a prediction on at most 50,000 rows, which are taken at equal distances: no random
number is drawn, and the state of generators that a prediction may use is put back. Each name
states its averaging. What cannot be computed without a warning or an assumption is left out.
"""

from __future__ import annotations

from collections.abc import Callable, Generator, Iterator, Mapping
from contextlib import contextmanager
from importlib import import_module
from typing import Any, Final

from autolog.integration import Span
from autolog_sklearn import extract, models

__all__ = ["STRATEGIES", "KindOf", "record"]

KindOf = Callable[[Any], str | None]
"""What an estimator is: one of `_KINDS`, or None for anything else."""

_KINDS: Final = ("classifier", "regressor", "clusterer")

_ROWS: Final = 50_000
_CLUSTERED_ROWS: Final = 2_000
"""The silhouette compares all pairs of rows: 2,000 take 40 ms, 50,000 would take half a minute."""

_CLASSIFICATION: Final[tuple[tuple[str, str, dict[str, Any]], ...]] = (
    ("accuracy", "accuracy_score", {}),
    ("f1_macro", "f1_score", {"average": "macro", "zero_division": 0}),
    ("precision_macro", "precision_score", {"average": "macro", "zero_division": 0}),
    ("recall_macro", "recall_score", {"average": "macro", "zero_division": 0}),
)
_REGRESSION: Final = ("r2_score", "mean_squared_error", "mean_absolute_error")


def record(span: Span, estimator: Any, bound: Mapping[str, Any], kind_of: KindOf) -> None:
    """Predict on the training data and record the usual metrics of the estimator's kind."""
    data, target = bound.get("X"), bound.get("y")
    kind = None if _has_no_truth(estimator) else kind_of(estimator)
    if data is None or kind is None or (target is None and kind != "clusterer"):
        return
    limit = _CLUSTERED_ROWS if kind == "clusterer" else _ROWS
    count = _length(data)
    if not count:
        return
    pick = _every(-(-count // limit))
    used = -(-count // -(-count // limit))
    measure = {"classifier": _classified, "regressor": _regressed, "clusterer": _clustered}[kind]
    with _generators_kept(estimator):
        for name, value in measure(estimator, pick(data), pick, target):
            span.evaluation(f"train/{name}", float(value))
    if used != count:
        span.event("train_metrics", {"rows": used, "of": count})


def _has_no_truth(estimator: Any) -> bool:
    """Whether rows without a label carry a label of their own in its training target."""
    return "sklearn.semi_supervised" in extract.class_of(estimator).__module__


def _kind_by_tags(estimator: Any) -> str | None:
    """Ask scikit-learn, which asks the estimator for its tags."""
    base: Any = import_module("sklearn.base")
    return next((kind for kind in _KINDS if getattr(base, f"is_{kind}")(estimator)), None)


def _kind_by_attribute(estimator: Any) -> str | None:
    """Read the attribute that tells what an estimator is as long as there are no tags."""
    kind = getattr(estimator, "_estimator_type", None)
    return kind if kind in _KINDS else None


STRATEGIES: Final[Mapping[str, KindOf]] = {
    "kind_by_tags": _kind_by_tags,
    "kind_by_attribute": _kind_by_attribute,
}
"""The ways to tell what an estimator is, by the names that `compat_matrix.yaml` uses."""


def _classified(
    model: Any, data: Any, pick: Callable[[Any], Any], target: Any
) -> Iterator[tuple[str, float]]:
    metrics: Any = import_module("sklearn.metrics")
    truth = pick(target)
    kind = import_module("sklearn.utils.multiclass").type_of_target(truth)
    if kind not in ("binary", "multiclass", "multilabel-indicator"):
        return
    predicted = model.predict(data)
    for name, function, options in _CLASSIFICATION:
        yield name, getattr(metrics, function)(truth, predicted, **options)
    classes: Any = getattr(model, "classes_", None)
    if kind == "multilabel-indicator" or not hasattr(classes, "shape") or len(classes) < 2:
        return
    seen = import_module("numpy").unique(truth)
    if hasattr(model, "predict_proba"):
        proba = model.predict_proba(data)
        yield "log_loss", metrics.log_loss(truth, proba, labels=classes)
        if len(classes) == 2 and len(seen) == 2:
            yield "roc_auc", metrics.roc_auc_score(truth, proba[:, 1])
        elif len(seen) == len(classes) and abs(proba.sum(axis=1) - 1).max() < 1e-6:
            auc = metrics.roc_auc_score(
                truth, proba, multi_class="ovr", average="macro", labels=classes
            )
            yield "roc_auc_ovr_macro", auc
    elif hasattr(model, "decision_function") and len(classes) == 2 and len(seen) == 2:
        yield "roc_auc", metrics.roc_auc_score(truth, model.decision_function(data))


def _regressed(
    model: Any, data: Any, pick: Callable[[Any], Any], target: Any
) -> Iterator[tuple[str, float]]:
    metrics: Any = import_module("sklearn.metrics")
    truth = pick(target)
    predicted = model.predict(data)
    for function in _REGRESSION:
        if function == "r2_score" and _length(truth) < 2:
            continue
        yield function.removesuffix("_score"), getattr(metrics, function)(truth, predicted)


def _clustered(
    model: Any, data: Any, pick: Callable[[Any], Any], _: Any
) -> Iterator[tuple[str, float]]:
    labels = extract.known_of(extract.last_step(model)).get("labels_")
    if labels is None:
        return
    labels = pick(labels)
    groups = len(import_module("numpy").unique(labels))
    if extract.last_step(model) is model and 2 <= groups < len(labels):
        metrics: Any = import_module("sklearn.metrics")
        yield "silhouette", metrics.silhouette_score(data, labels)


def _length(data: Any) -> int:
    shape = models.shape(data)
    return shape[0] if shape else 0


def _every(distance: int) -> Callable[[Any], Any]:
    """Return what takes every `distance`-th row of data of any kind."""

    def pick(data: Any) -> Any:
        if distance == 1:
            return data
        return data.iloc[::distance] if hasattr(data, "iloc") else data[::distance]

    return pick


@contextmanager
def _generators_kept(estimator: Any) -> Generator[None]:
    """Put back the state of every generator that a prediction may draw from."""
    import random

    numpy: Any = import_module("numpy")
    everywhere, here = random.getstate(), numpy.random.get_state()
    own = [
        (value, value.get_state())
        for value in estimator.get_params(deep=True).values()
        if isinstance(value, numpy.random.RandomState)
    ]
    try:
        yield
    finally:
        random.setstate(everywhere)
        numpy.random.set_state(here)
        for generator, state in own:
            generator.set_state(state)
