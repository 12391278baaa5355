"""Tiny models and loops for the tests of TensorFlow; the same numbers each time."""

from __future__ import annotations

import itertools
import os
from pathlib import Path

import numpy as np
import pytest

import autolog
from autolog.capture import optimizers

os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")

_OWN = (
    "ignore:.*np.object.*:FutureWarning",
    "ignore::DeprecationWarning:tensorflow.*",
    "ignore::DeprecationWarning:tf_keras.*",
    "ignore::DeprecationWarning:keras.*",
)
"""What TensorFlow and Keras themselves warn of."""


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    for item in items:
        if Path(__file__).parent in item.path.parents:
            for one in _OWN:
                item.add_marker(pytest.mark.filterwarnings(one))


class Loops:
    """TensorFlow, models and data, and what was recorded of loops."""

    def __init__(self, recording):
        import tensorflow as tf

        self.tf = tf
        self.recording = recording
        rows = np.random.default_rng(7)
        self.x = tf.constant(rows.normal(size=(16, 4)), tf.float32)
        self.y = tf.constant(rows.normal(size=(16, 1)), tf.float32)

    def net(self, keras=None, width=3):
        """A built model whose weights come from a generator of its own."""
        keras = keras or self.tf.keras
        model = keras.Sequential(
            [keras.layers.Dense(width, activation="tanh"), keras.layers.Dense(1)]
        )
        model.build((None, 4))
        weights = np.random.default_rng(1)
        model.set_weights([weights.normal(size=one.shape) * 0.4 for one in model.get_weights()])
        return model

    def dataset(self, size=4):
        return self.tf.data.Dataset.from_tensor_slices((self.x, self.y)).batch(size)

    def gradients(self, model, x=None, y=None):
        """A plain loss and the gradients of it."""
        x, y = (self.x, self.y) if x is None else (x, y)
        with self.tf.GradientTape() as tape:
            loss = self.tf.reduce_mean(self.tf.square(model(x, training=True) - y))
        return loss, tape.gradient(loss, model.trainable_variables)

    def step(self, model, optimizer, x=None, y=None):
        """Make one plain step; return its loss."""
        loss, gradients = self.gradients(model, x, y)
        optimizer.apply_gradients(zip(gradients, model.trainable_variables, strict=True))
        return loss

    def runs(self):
        return self.recording.runs()

    def run(self):
        return self.recording.run()

    def series(self, key="train/loss", run=None):
        history = autolog.metric_history((run or self.run()).run_id, key)
        assert history.step.tolist() == list(range(len(history.step))), history.step
        return history.value.tolist()

    def points(self, key, run=None):
        found = autolog.metric_history((run or self.run()).run_id, key)
        return list(zip(found.step.tolist(), found.value.tolist(), strict=True))

    def epochs(self, key="train/loss", run=None):
        return autolog.metric_history((run or self.run()).run_id, key).epoch.tolist()

    def notices(self):
        return {event["key"] for event in self.recording.events("notice")}


@pytest.fixture
def loops(recording, monkeypatch):
    monkeypatch.setattr(optimizers, "_unrelated", itertools.count(1))  # runs of other tests
    autolog.autolog("tensorflow")
    return Loops(recording)
