"""Predictions and scores of trained models, which belong to the runs of their trainings.

Nothing is watched before the first model was trained: there is nothing they could belong to.
"""

from __future__ import annotations

import threading
from typing import Any

from autolog.integration import Call, Capture, Detach, Hook, Role, Span
from autolog_lightgbm import extract, naming

__all__ = ["Predictions"]


class Predictions:
    """Watches what trained models give; made once for each place that trains."""

    def __init__(self, capture: Capture) -> None:
        self._capture = capture
        self._watched: set[type] = set()
        self._sites: set[tuple[type, str]] = set()
        self._detaches: list[Detach] = []
        self._lock = threading.Lock()

    def of(self, model: Any, span: Span) -> None:
        """Let predictions and scores of `model` find the run of `span`."""
        self._capture.produced(model, span)
        with self._lock:
            kind = extract.class_of(model)
            if kind in self._watched:
                return
            self._watched.add(kind)
            for name in ("predict", "predict_proba"):
                self._watch(kind, name, Hook(exit=self._predicted), "watch")
            self._watch(kind, "score", Hook(exit=self._scored), "evaluation")

    def detach(self) -> None:
        """Watch no more."""
        while self._detaches:
            self._detaches.pop()()

    def _watch(self, kind: type, name: str, hook: Hook, role: Role) -> None:
        """Watch a method of LightGBM's class, also one that scikit-learn's mixins give it."""
        owner = next((base for base in kind.__mro__ if naming.is_lightgbm(base)), None)
        if owner is not None and getattr(owner, name, None) is not None:
            key = (owner, name)
            if key not in self._sites:
                self._sites.add(key)
                self._detaches.append(self._capture.patch(owner, name, hook, role=role))

    def _predicted(self, call: Call, result: Any) -> None:
        if self._capture.current() is not None or call.written_in("lightgbm"):
            return
        trained = self._capture.producer(call.instance)
        if trained is None:
            return
        parameter = "X" if "X" in (call.bound or {}) else "data"
        data = (call.bound or {}).get(parameter)
        name = naming.data_name(trained.span, data, call.data_name(parameter))
        self._capture.produced(result, trained.span, data=name)

    def _scored(self, call: Call, result: Any) -> None:
        trained = self._capture.producer(call.instance)
        if call.span is None or trained is None:
            return
        bound = call.bound or {}
        names = [
            naming.data_name(trained.span, bound.get(parameter), call.data_name(parameter))
            for parameter in ("y", "X")
        ]
        name = "train" if "train" in names else next(filter(None, names), "eval")
        trained.span.evaluation(f"{name}/score", float(result))
