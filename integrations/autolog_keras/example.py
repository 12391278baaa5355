"""A tiny training for the contract suite, on the backend that Keras was imported with."""

from __future__ import annotations

from importlib import import_module
from typing import Any

from autolog.integration import Example

__all__ = ["EXAMPLE"]


def rows() -> tuple[Any, Any]:
    """Give eight rows of two numbers, and their sums."""
    numpy: Any = import_module("numpy")
    inputs = numpy.arange(16, dtype="float32").reshape(8, 2) / 16
    return inputs, inputs.sum(axis=1, keepdims=True)


def untrained() -> Any:
    """Make the line through two inputs, always the same one."""
    keras: Any = import_module("keras")
    first = keras.initializers.Constant(0.25)
    layer = keras.layers.Dense(1, kernel_initializer=first, name="line")
    model = keras.Sequential([keras.Input((2,)), layer], name="tiny")
    model.compile("sgd", "mse", run_eagerly=keras.backend.backend() == "tensorflow")
    return model


def train() -> tuple[Any, Any]:
    """Train two epochs of two batches; the result is the weights and the history."""
    model = untrained()
    history = model.fit(*rows(), batch_size=4, epochs=2, shuffle=False, verbose=0)
    weights = [one.tolist() for one in model.get_weights()]
    return model, (weights, dict(history.history), list(history.epoch))


def fails() -> Any:
    """Train on rows that are too wide for the model."""
    inputs, sums = rows()
    doubled = import_module("numpy").hstack([inputs, inputs])
    untrained().fit(doubled, sums, verbose=0)


def predict(model: Any) -> Any:
    """Give the predictions of all rows."""
    return model.predict_on_batch(rows()[0]).tolist()


EXAMPLE = Example(train, owner="keras:Model", method="fit", fails=fails, predict=predict)
