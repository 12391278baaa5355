"""Small models and data of the tests."""

from __future__ import annotations

from typing import Any

import numpy as np

ROWS = np.random.default_rng(0).random((32, 4)).astype("float32")
TARGETS = ROWS.sum(axis=1, keepdims=True)


def line(keras: Any, **compiled: Any) -> Any:
    """A line through four inputs, compiled."""
    model = keras.Sequential([keras.layers.Input((4,)), keras.layers.Dense(1)])
    model.compile(**{"optimizer": "sgd", "loss": "mse", "metrics": ["mae"], **compiled})
    return model


def history(run: Any, key: str) -> Any:
    """The points of one series of a run."""
    import autolog

    return autolog.metric_history(run, key)
