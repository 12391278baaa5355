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
from autolog.integration import Hook
from autolog.patching import Engine

with warnings.catch_warnings():  # old versions on new companions warn of much
    warnings.simplefilter("ignore")
    tf = pytest.importorskip("tensorflow")

pytestmark = [pytest.mark.filterwarnings("ignore")]


class Toy:
    """What a user wrote, for AutoGraph to convert."""

    def halved(self, x: Any) -> Any:
        if tf.reduce_sum(x) > 1:
            x = x / 2
        return x


@pytest.mark.quirk("tf-autograph-skips-wrapped")
def test_autograph_converts_what_is_watched(guarded: bool) -> None:
    seen: list[Any] = []
    original = vars(Toy)["halved"]
    if guarded:
        engine = Engine()
        engine.apply(Toy, "halved", "test", Hook(enter=seen.append))
    else:
        wrapt = importlib.import_module("wrapt")

        def wrapper(wrapped: Any, _: Any, args: Any, kwargs: Any) -> Any:
            seen.append(wrapped)
            return wrapped(*args, **kwargs)

        wrapt.wrap_function_wrapper(Toy, "halved", wrapper)
    try:
        traced = tf.function(Toy().halved)
        given = [traced(tf.constant([number])).numpy().tolist() for number in (1.0, 2.0)]
    finally:
        Toy.halved = original
    assert given == [[1.0], [1.0]]
    assert len(seen) == 1


@pytest.mark.quirk("tf-python-runs-when-traced")
def test_every_step_inside_of_a_function_is_recorded(recording: Any, guarded: bool) -> None:
    keras = importlib.import_module("keras")
    if keras.backend.backend() != "tensorflow":
        pytest.skip("Keras has another backend")
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
