"""Watches every estimator: scikit-learn's own, third parties' and those of the user's script.

Only methods that a class defines itself are patched, so an inherited `fit` is one site. `predict`
and `score` are patched when the first model of a class was fitted: before that there is nothing
that an evaluation could belong to.
"""

from __future__ import annotations

import os
import threading
import weakref
from importlib import import_module
from typing import Any, Final

from autolog.integration import Call, Capture, Detach, Hook, Role
from autolog_sklearn import extract, naming, results
from autolog_sklearn.classes import watch_classes
from autolog_sklearn.fits import Fits
from autolog_sklearn.steps import Steps

__all__ = ["attach", "role_of"]

_FITS: Final = ("fit", "fit_transform", "fit_predict")
_PREDICTIONS: Final = (
    "predict",
    "predict_proba",
    "predict_log_proba",
    "decision_function",
    "score_samples",
)
_MIXINS: Final = ("TransformerMixin", "ClusterMixin", "OutlierMixin")

_trained: weakref.WeakSet[type] = weakref.WeakSet()
"""Classes of which models were trained: a later activation goes on watching what they give."""

_watching = threading.RLock()


def _renew_lock() -> None:
    """Give a forked child a lock that no thread which is gone can hold."""
    global _watching
    _watching = threading.RLock()


if hasattr(os, "register_at_fork"):
    os.register_at_fork(after_in_child=_renew_lock)


def attach(capture: Capture) -> Detach:
    """Watch all estimators that are, or will be, defined."""
    return _Estimators(capture).attach()


def role_of(call: Call) -> Role:
    """Return what fitting this estimator is: a preparation step, a search or a training."""
    instance = call.instance
    if results.is_search(instance):  # one without a refit has no `predict` either
        return "search"
    if extract.is_lone_transformer(instance):
        return "preparation"
    return "continuation" if extract.goes_on(instance) else "training"


def role_of_step(call: Call) -> Role:
    """Return what a `partial_fit` is: a preparation step, or one step of a training."""
    return "preparation" if extract.is_lone_transformer(call.instance) else "step"


class _Estimators:
    """The sites of one activation."""

    def __init__(self, capture: Capture) -> None:
        self._capture = capture
        self._seen: set[type] = set()
        self._ready: set[type] = set()
        self._sites: set[tuple[type, str]] = set()
        self._detaches: list[Detach] = []
        self._fit_hook = Fits(capture, self.watch_results).hook()
        self._step_hook = Steps(capture, self.watch_results).hook()
        self._predict_hook = Hook(exit=self._predicted)
        self._score_hook = Hook(exit=self._scored)

    def attach(self) -> Detach:
        module: Any = import_module("sklearn.base")  # not yet an attribute of its package
        base = module.BaseEstimator
        for name in _MIXINS:
            self._watch_fits(getattr(module, name))
        self._detaches.append(watch_classes(self._capture, self._watch_fits))
        unpickled = Hook(exit=self._unpickled)
        self._detaches.append(self._capture.patch(base, "__setstate__", unpickled))
        for cls in tuple(_trained):
            self.watch_results(cls)
        return self._detach

    def _detach(self) -> None:
        while self._detaches:
            self._detaches.pop()()

    def _watch_fits(self, cls: type) -> None:
        if cls in self._seen:
            return
        self._seen.add(cls)
        for name in _FITS:
            if vars(cls).get(name) is not None:  # conditional methods are descriptors
                detach = self._capture.patch(cls, name, self._fit_hook, role=role_of)
                self._detaches.append(detach)
        if vars(cls).get("partial_fit") is not None:
            detach = self._capture.patch(cls, "partial_fit", self._step_hook, role=role_of_step)
            self._detaches.append(detach)

    def watch_results(self, cls: type) -> None:
        """Patch what a fitted class gives, where it is defined."""
        if cls in self._ready:
            return
        with _watching:  # a thread that fitted the same class may go on once it is watched
            _trained.add(cls)
            for name in (*_PREDICTIONS, "transform", "score"):
                owner = next((base for base in cls.__mro__ if name in vars(base)), None)
                if owner is None or (owner, name) in self._sites:
                    continue
                if name == "score":
                    detach = self._capture.patch(owner, name, self._score_hook, role="evaluation")
                else:
                    detach = self._capture.patch(owner, name, self._predict_hook)
                self._sites.add((owner, name))
                self._detaches.append(detach)
            self._ready.add(cls)

    # -- after the training ------------------------------------------------------------------

    def _unpickled(self, call: Call, _: Any) -> None:
        """Let evaluations of a model that was fitted elsewhere find a run."""
        model = call.instance
        cls = extract.class_of(model)
        if cls.__module__ == "__main__" or "<locals>" in cls.__qualname__:
            # quirk sklearn-cloudpickle-unpatches-main-classes: it came along by value
            for one in cls.__mro__:
                self._capture.renew(one)
        if self._capture.current() is None and extract.is_fitted(model):
            self._capture.loaded(model)
            self.watch_results(extract.class_of(model))

    def _predicted(self, call: Call, result: Any) -> None:
        if self._capture.current() is not None:
            return
        trained = self._capture.producer(call.instance)
        if trained is None:
            return
        data = (call.bound or {}).get("X")
        name = naming.data_name(trained.span, data, call.data_name("X"))
        self._capture.produced(result, trained.span, data=name)

    def _scored(self, call: Call, result: Any) -> None:
        trained = self._capture.producer(call.instance)
        if call.span is None or trained is None or call.written_in("sklearn"):
            return
        bound = call.bound or {}
        name = naming.first_name(
            naming.data_name(trained.span, bound.get("y"), call.data_name("y")),
            naming.data_name(trained.span, bound.get("X"), call.data_name("X")),
        )
        try:
            score = float(result)
        except (TypeError, ValueError):  # a `score` of the user's may give anything
            return
        trained.span.evaluation(f"{name}/score", score)
