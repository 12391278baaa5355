"""A framework of one class for the tests of bridges, an estimator over it, and its integration."""

from __future__ import annotations

from typing import Any

import numpy as np
from sklearn.base import BaseEstimator, ClassifierMixin

from autolog.integration import API, Call, Capture, Hook, Integration, Patch, Snapshot

__version__ = "1.0"


class Booster:
    """Remembers the most frequent class; each round has a loss."""

    def __init__(self, rounds: int = 2) -> None:
        self.rounds = rounds
        self.frequent: Any = None

    def train(self, y: Any, on_round: Any = None) -> Booster:
        values, counts = np.unique(y, return_counts=True)
        self.frequent = values[counts.argmax()]
        for number in range(self.rounds):
            if on_round is not None:
                on_round(number, 1.0 / (number + 1))
        return self


class ToyClassifier(ClassifierMixin, BaseEstimator):
    """The scikit-learn face of the toy framework."""

    def __init__(self, rounds: int = 2) -> None:
        self.rounds = rounds

    def fit(self, X: Any, y: Any) -> ToyClassifier:
        self.classes_ = np.unique(y)
        self.booster_ = Booster(self.rounds).train(y)
        return self

    def predict(self, X: Any) -> Any:
        return np.full(len(X), self.booster_.frequent)

    def predict_proba(self, X: Any) -> Any:
        return np.tile(self.classes_ == self.booster_.frequent, (len(X), 1)).astype(float)


def booster(capture: Capture) -> Hook:
    """Record params, rounds and the model, as a boosting library's integration does."""

    def enter(call: Call) -> None:
        span = call.span
        if span is None:
            return
        if span.owns_run:
            span.params({"booster.rounds": call.instance.rounds})

        def on_round(number: int, loss: float) -> None:
            span.metrics({"toy-loss": loss}, step=number)

        call.replace("on_round", capture.guarded(on_round))

    def leave(call: Call, model: Any) -> None:
        if call.span is not None and call.span.owns_run:
            call.span.model(Snapshot(model=model, format="pickle"))

    return Hook(enter=enter, exit=leave)


INTEGRATION = Integration(
    api=API,
    name="toymodels",
    distributions=("toymodels",),
    modules=("tests.sklearn.toy_models",),
    sites=(
        Patch(module=__name__, target="Booster.train", hook=f"{__name__}:booster", role="training"),
    ),
)
