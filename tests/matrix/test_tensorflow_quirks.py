"""Quirks of TensorFlow, each proved with its guard and without: see compat_matrix.yaml.

The guards are the way that functions are watched; the unguarded legs do it as one would at first:
a proxy, or a wrapper that is traced with what it wraps.
"""

from __future__ import annotations

import importlib
import warnings
from typing import Any

import pytest

import autolog

with warnings.catch_warnings():  # old versions on new companions warn of much
    warnings.simplefilter("ignore")
    tf = pytest.importorskip("tensorflow")

pytestmark = [pytest.mark.filterwarnings("ignore")]


def tensorflow_keras() -> Any:
    keras = importlib.import_module("keras")
    if keras.backend.backend() != "tensorflow":
        pytest.skip("Keras has another backend")
    return keras


def capped(keras: Any) -> Any:
    """A metric that a user wrote, for AutoGraph to convert."""

    class Capped(keras.metrics.Metric):
        def __init__(self) -> None:
            super().__init__()
            self.total = self.add_weight(shape=(), initializer="zeros", name="total")

        def update_state(self, value: Any) -> None:
            self.total.assign_add(value)

        def result(self) -> Any:
            value = self.total + 0.0
            if value > 1.0:
                value = value * 0.0 + 1.0
            return value

    return Capped()


@pytest.mark.quirk("tensorflow-autograph-skips-wrapped")
def test_autograph_converts_what_the_user_wrote(recording: Any, guarded: bool) -> None:
    keras = tensorflow_keras()
    if guarded:
        autolog.autolog("keras", "tensorflow")
    metric = capped(keras)
    if not guarded:
        wrapt = importlib.import_module("wrapt")

        def wrapper(wrapped: Any, _: Any, args: Any, kwargs: Any) -> Any:
            return wrapped(*args, **kwargs)

        wrapt.wrap_function_wrapper(type(metric), "result", wrapper)

    @tf.function
    def told(value: Any) -> Any:
        metric.update_state(value)
        return metric.result()

    assert [float(told(tf.constant(number))) for number in (0.5, 2.0)] == [0.5, 1.0]


@pytest.mark.quirk("tensorflow-python-runs-when-traced")
def test_every_step_inside_of_a_function_is_recorded(recording: Any, guarded: bool) -> None:
    keras = tensorflow_keras()
    weight = tf.Variable([1.0, 2.0])
    optimizer = keras.optimizers.SGD(0.1)
    optimizer.build([weight])
    seen: list[float] = []

    @tf.function
    def step() -> Any:
        with tf.GradientTape() as tape:
            loss = tf.reduce_sum(weight**2)
        optimizer.apply_gradients([(tape.gradient(loss, weight), weight)])
        return loss

    if guarded:
        autolog.autolog("tensorflow")
        told = [float(step()) for _ in range(5)]
        seen = autolog.metric_history(recording.run().run_id, "train/loss").value.tolist()
    else:
        cls = keras.optimizers.Optimizer
        owner = next(one for one in cls.__mro__ if "apply_gradients" in vars(one))
        original = vars(owner)["apply_gradients"]

        def counted(*args: Any, **kwargs: Any) -> Any:
            seen.append(0.0)
            return original(*args, **kwargs)

        owner.apply_gradients = counted
        try:
            told = [float(step()) for _ in range(5)]
        finally:
            owner.apply_gradients = original
    assert len(seen) == len(told)
