"""The bridges: who owns a training inside scikit-learn's containers while scikit-learn is off.

With `autolog("xgboost")` alone, a grid search over XGBoost models is one run with its candidates,
a pipeline that ends in one is one run, and the fits of folds are none. A container says nothing
of its own, and gets a run only if a framework that is on trains inside. The first such training
speaks for it; where none can be seen (worker processes, folds), its estimator's params do.
"""

from __future__ import annotations

import time
from collections.abc import Iterator
from importlib import import_module
from typing import Any, Final, cast

from autolog.integration import Call, Capture, Detach, Hook, Role
from autolog_sklearn import extract, searches, validation
from autolog_sklearn.classes import watch_classes
from autolog_sklearn.results import is_search, results_of, searched

__all__ = ["attach", "attach_searches", "attach_validation"]

_FITS: Final = ("fit", "fit_transform", "fit_predict", "partial_fit")
_DEPTH: Final = 6
_WIDTH: Final = 200


def attach(capture: Capture) -> Detach:
    """Watch everything that fits other estimators, where scikit-learn itself is off."""
    if not capture.bridging:
        return _nothing
    containers = _Containers(capture)
    detaches: list[Detach] = []

    def found(cls: type) -> None:
        detaches.extend(
            capture.patch(cls, name, containers.hook, role=_role_of)
            for name in _FITS
            if vars(cls).get(name) is not None
        )

    base: Any = import_module("sklearn.base")  # not yet an attribute of its package
    for mixin in ("TransformerMixin", "ClusterMixin", "OutlierMixin"):
        found(getattr(base, mixin))
    watching = watch_classes(capture, found)

    def detach() -> None:
        watching()
        while detaches:
            detaches.pop()()

    return detach


def attach_searches(capture: Capture) -> Detach:
    """Watch what searches know before they end, whatever is on."""
    return searches.Searches(capture).attach()


def attach_validation(capture: Capture) -> Detach:
    """Watch the functions of cross-validation, where scikit-learn itself is off."""
    return validation.attach(capture) if capture.bridging else _nothing


class _Containers:
    """Gives containers their results and, where nothing else does, their params."""

    def __init__(self, capture: Capture) -> None:
        self._capture = capture
        self._searches = searches.Searches(capture)
        self.hook = Hook(enter=self._begins, exit=self._ends, error=self._fails)

    def _begins(self, call: Call) -> None:
        span = call.span
        if span is None:
            return
        call.state["started"] = time.perf_counter()
        if trains_watched(self._capture, call.instance):
            span.tag("estimator", extract.class_name(extract.class_of(call.instance)))

    def _ends(self, call: Call, _: Any) -> None:
        span = call.span
        if span is None or span.run_id is None or not span.owns_run:
            return
        span.tag("estimator", extract.class_name(extract.class_of(call.instance)))
        seconds = time.perf_counter() - call.state["started"]
        best = searches.best_params(call.instance)
        if best:
            span.params(best)
        if span.joined_by is None:
            search = searched(call.instance)
            silent = call.instance if results_of(search) is None else search.estimator
            span.params(extract.params(silent))
        span.metrics({"fit_seconds": seconds})
        self._searches.ended(span, call.instance, seconds)

    def _fails(self, call: Call, _: BaseException) -> None:
        span = call.span
        if span is not None and span.run_id is not None and span.owns_run:
            seconds = time.perf_counter() - call.state["started"]
            self._searches.stopped(span, call.instance, seconds)


def trains_watched(capture: Capture, estimator: Any) -> bool:
    """Whether an estimator of a package that is watched is among those inside of this one."""
    pending: list[tuple[Any, int]] = [(estimator, 0)]
    while pending:
        one, depth = pending.pop()
        if capture.watches(extract.class_of(one).__module__.partition(".")[0]):
            return True
        if depth < _DEPTH:
            pending += [(inner, depth + 1) for inner in _inside(one)]
    return False


def _role_of(call: Call) -> Role:
    if next(_inside(call.instance), None) is None:
        return "watch"
    return "search" if is_search(call.instance) else "container"


def _inside(estimator: Any) -> Iterator[Any]:
    """Yield the estimators that one holds, alone or in lists of named steps."""
    if not hasattr(estimator, "__dict__"):
        return
    for value in tuple(extract.known_of(estimator).values()):
        if type(value) in (list, tuple):
            for item in cast("list[Any]", value)[:_WIDTH]:
                parts = cast("tuple[Any, ...]", item) if type(item) is tuple else (item,)
                yield from (part for part in parts[:3] if _is_estimator(part))
        elif _is_estimator(value):
            yield value


def _is_estimator(thing: Any) -> bool:
    cls = extract.class_of(thing)
    return hasattr(cls, "get_params") and hasattr(cls, "fit") and not isinstance(thing, type)


def _nothing() -> None:
    """Undo what was not done."""
