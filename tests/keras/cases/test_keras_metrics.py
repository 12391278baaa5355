"""Metrics that the user asks for their results land in the run of the loop."""

from __future__ import annotations

from typing import Any

import numpy as np

import autolog

X = np.linspace(-1, 1, 12, dtype="float32").reshape(4, 3)
Y = np.array([[0.0], [1.0], [0.0], [1.0]], dtype="float32")


def small(keras: Any, metrics: Any = None) -> Any:
    keras.utils.set_random_seed(1)
    model = keras.Sequential([keras.layers.Input((3,)), keras.layers.Dense(1)])
    model.compile(optimizer="sgd", loss="mse", metrics=metrics)
    return model


def points(recording: Any, key: str) -> list[tuple[int, float]]:
    found = autolog.metric_history(recording.run().run_id, key)
    return list(zip(found.step.tolist(), found.value.tolist(), strict=True))


def test_a_result_is_recorded_at_the_step_of_the_loop(on: Any, keras: Any) -> None:
    model = small(keras)
    mean = keras.metrics.Mean(name="train_mean")
    expected = []
    for step in range(3):
        model.train_on_batch(X, Y)
        mean.update_state(float(step))
        expected.append((step, float(mean.result())))
    assert points(on, "train_mean") == expected == [(0, 0.0), (1, 0.5), (2, 1.0)]


def test_a_result_that_is_asked_for_twice_is_one_point(on: Any, keras: Any) -> None:
    model = small(keras)
    mean = keras.metrics.Mean(name="mean_of_mine")
    model.train_on_batch(X, Y)
    mean.update_state(3.0)
    for _ in range(3):
        mean.result()
    assert points(on, "mean_of_mine") == [(0, 3.0)]


def test_metrics_with_one_name_are_called_after_their_variables(on: Any, keras: Any) -> None:
    model = small(keras)
    train_error = keras.metrics.MeanSquaredError()
    val_error = keras.metrics.MeanSquaredError()
    model.train_on_batch(X, Y)
    train_error.update_state(Y, Y + 2)
    val_error.update_state(Y, Y + 3)
    train_error.result()
    val_error.result()
    assert points(on, "train_error") == [(0, 4.0)]
    assert points(on, "val_error") == [(0, 9.0)]


def test_dictionaries_of_a_user_are_recorded_where_no_source_is_translated(
    on: Any, keras: Any, backend: str
) -> None:
    class Both(keras.metrics.Metric):  # type: ignore[misc]
        def __init__(self) -> None:
            super().__init__(name="both")
            self.inner = keras.metrics.Mean(name="inner")

        def update_state(self, value: Any, sample_weight: Any = None) -> None:
            del sample_weight
            self.inner.update_state(value)
            self.inner.result()

        def result(self) -> Any:
            return {"one": self.inner.result(), "two": 2 * self.inner.result()}

    model = small(keras)
    both = Both()
    model.train_on_batch(X, Y)
    both.update_state(1.5)
    assert float(both.result()["two"]) == 3.0
    if backend == "tensorflow":
        assert set(on.run().metrics) == {"loss"}
    else:
        assert points(on, "one") == [(0, 1.5)]
        assert points(on, "two") == [(0, 3.0)]
        assert set(on.run().metrics) == {"loss", "one", "two"}


def test_a_metric_of_a_user_is_translated_as_without_autolog(
    on: Any, keras: Any, backend: str
) -> None:
    offset, traced = 3.0, []

    class Shifted(keras.metrics.Mean):  # type: ignore[misc]
        def result(self) -> Any:
            value = super().result() + offset
            if value > 1.0:  # of a graph, only AutoGraph makes sense of this
                value = value * 2.0
            return value

    model, metric = small(keras), Shifted(name="shifted")
    model.train_on_batch(X, Y)

    def step(value: Any) -> Any:
        traced.append(value)
        metric.update_state(value)
        return metric.result()

    if backend == "tensorflow":
        import tensorflow as tf

        compiled = tf.function(step)
        assert [float(compiled(tf.constant(1.0))) for _ in range(2)] == [8.0, 8.0]
        assert len(traced) == 1
    else:
        assert float(step(1.0)) == 8.0
        assert points(on, "shifted") == [(0, 8.0)]


def test_a_subclass_that_leaves_the_result_to_keras_is_recorded(on: Any, keras: Any) -> None:
    class Mine(keras.metrics.Mean):  # type: ignore[misc]
        pass

    model, mine = small(keras), Mine(name="mine")
    model.train_on_batch(X, Y)
    mine.update_state(2.0)
    mine.result()
    assert points(on, "mine") == [(0, 2.0)]


def test_results_that_keras_asks_for_are_not_recorded(on: Any, keras: Any) -> None:
    model = small(keras, metrics=["mae"])
    mean = keras.metrics.Mean(name="called")
    for _ in range(2):
        model.train_on_batch(X, Y)
        mean(3.0)
    model.evaluate(X, Y, verbose=0)
    names = {key for key in on.run().metrics if not key.startswith("eval/")}
    assert names == {"loss", "mae"}


def test_a_result_in_a_callback_of_a_fit_is_left_to_the_fit(on: Any, keras: Any) -> None:
    mean = keras.metrics.Mean(name="in_callback")

    class Asks(keras.callbacks.Callback):  # type: ignore[misc]
        def on_epoch_end(self, epoch: int, logs: Any = None) -> None:
            del epoch, logs
            mean.update_state(1.0)
            mean.result()

    small(keras).fit(X, Y, verbose=0, callbacks=[Asks()])
    assert "in_callback" not in on.run().metrics


def test_a_result_without_a_training_makes_no_run(on: Any, keras: Any) -> None:
    mean = keras.metrics.Mean()
    mean.update_state(1.0)
    assert float(mean.result()) == 1.0
    assert on.runs() == []


def test_vectors_are_no_points(on: Any, keras: Any) -> None:
    model = small(keras)
    model.train_on_batch(X, Y)
    scores = keras.metrics.F1Score(name="per_class")
    scores.update_state(np.eye(2, dtype="float32"), np.eye(2, dtype="float32"))
    assert np.shape(scores.result()) == (2,)
    assert set(on.run().metrics) == {"loss"}


def test_a_result_while_a_function_is_traced_is_no_number(
    on: Any, keras: Any, backend: str
) -> None:
    model = small(keras)
    mean = keras.metrics.Mean(name="traced")
    model.train_on_batch(X, Y)
    mean.update_state(2.0)
    if backend == "tensorflow":
        import tensorflow as tf

        value = tf.function(lambda: mean.result())()
    elif backend == "jax":
        import jax

        state = [variable.value for variable in mean.variables]
        value = jax.jit(lambda state: mean.stateless_result(state))(state)
    else:
        value = mean.stateless_result(mean.variables)
    assert float(value) == 2.0
    assert set(on.run().metrics) == {"loss"}
