"""Loops of `train_on_batch`: one call is one step of one run."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

import autolog

X = np.linspace(-1, 1, 12, dtype="float32").reshape(4, 3)
Y = np.array([[0.0], [1.0], [0.0], [1.0]], dtype="float32")
NOISE = np.linspace(0, 1, 8, dtype="float32").reshape(4, 2)


def small(keras: Any, *, inputs: int = 3, metrics: Any = None, compiled: bool = True) -> Any:
    keras.utils.set_random_seed(1)
    model = keras.Sequential([keras.layers.Input((inputs,)), keras.layers.Dense(1)])
    if compiled:
        model.compile(optimizer="sgd", loss="mse", metrics=metrics)
    return model


def points(recording: Any, key: str, run: Any = None) -> list[tuple[int, float]]:
    found = autolog.metric_history((run or recording.run()).run_id, key)
    return list(zip(found.step.tolist(), found.value.tolist(), strict=True))


def keys(run: Any) -> set[str]:
    return set(run.metrics)


def test_a_call_is_a_step_with_the_values_that_it_returned(on: Any, keras: Any) -> None:
    model = small(keras, metrics=["mae"])
    returned: list[Any] = [model.train_on_batch(X, Y) for _ in range(3)]
    returned.append([*model.train_on_batch(X, Y, return_dict=True).values()])

    assert points(on, "loss") == [(at, value[0]) for at, value in enumerate(returned)]
    assert points(on, "mae") == [(at, value[1]) for at, value in enumerate(returned)]
    assert keys(on.run()) == {"loss", "mae"}
    assert on.run().kind == "loop"


def test_a_model_without_metrics_returns_its_loss_alone(on: Any, keras: Any) -> None:
    model = small(keras)
    returned = [model.train_on_batch(X, Y) for _ in range(3)]
    assert points(on, "loss") == list(enumerate(float(one) for one in returned))
    assert keys(on.run()) == {"loss"}


def test_values_of_several_outputs_have_their_own_names(on: Any, keras: Any) -> None:
    keras.utils.set_random_seed(1)
    inputs = keras.layers.Input((3,))
    outputs = [keras.layers.Dense(1, name=name)(inputs) for name in ("near", "far")]
    model = keras.Model(inputs, outputs)
    model.compile("sgd", loss=["mse", "mae"], metrics=[["mae"], ["mse"]])
    listed = model.train_on_batch(X, [Y, Y])
    named = model.train_on_batch(X, [Y, Y], return_dict=True)

    assert keys(on.run()) == set(named)
    for key, value in named.items():
        series = points(on, key)
        assert series[1] == (1, value)
        assert series[0][1] in listed


def test_the_run_says_how_the_model_was_compiled(on: Any, keras: Any) -> None:
    model = small(keras)
    model.train_on_batch(X, Y)
    params = on.run().params
    assert params["loss"] == "mse"
    assert any(key.startswith("optimizer") for key in params)
    assert on.run().tags["model"].endswith("Sequential")


def test_the_model_is_stored_when_the_loop_is_over(recording: Any, keras: Any) -> None:
    autolog.autolog("keras")
    model = small(keras)
    model.train_on_batch(X, Y)
    autolog.end_run()
    loaded = autolog.load_model(recording.run().run_id)
    assert np.array_equal(loaded.get_weights()[0], model.get_weights()[0])


def test_a_gan_by_turns_makes_one_run_with_a_series_for_each_half(
    recording: Any, keras: Any
) -> None:
    autolog.autolog("keras")
    generator = small(keras, inputs=2, compiled=False)
    generator.add(keras.layers.Dense(3))
    discriminator = small(keras, metrics=["mae"])
    discriminator.trainable = False
    inputs = keras.layers.Input((2,))
    gan = keras.Model(inputs, discriminator(generator(inputs)))
    gan.compile("sgd", "mse")
    halves: dict[str, list[Any]] = {"discriminator": [], "gan": []}
    for _ in range(3):
        fakes = np.asarray(generator.predict_on_batch(NOISE))
        discriminator.trainable = True
        halves["discriminator"].append(discriminator.train_on_batch(X, Y)[0])
        halves["discriminator"].append(discriminator.train_on_batch(fakes, 0 * Y)[0])
        discriminator.trainable = False
        halves["gan"].append(gan.train_on_batch(NOISE, y=Y))
    autolog.end_run()

    assert keys(recording.run()) == {"loss/gan", "loss/discriminator", "mae/discriminator"}
    assert points(recording, "loss/gan") == list(enumerate(halves["gan"]))
    assert points(recording, "loss/discriminator") == list(enumerate(halves["discriminator"]))
    params = recording.run().params
    assert params["gan.loss"] == params["discriminator.loss"] == "mse"
    assert {model.name for model in recording.details().models} == {"gan", "discriminator"}


def test_each_fold_is_a_run_of_its_own(on: Any, keras: Any) -> None:
    for _ in range(2):
        model = small(keras)
        for _ in range(2):
            model.train_on_batch(X, Y)
    assert [len(points(on, "loss", run)) for run in on.runs()] == [2, 2]


def test_a_model_that_is_compiled_anew_goes_on_in_its_run(on: Any, keras: Any) -> None:
    model = small(keras)
    model.train_on_batch(X, Y)
    model.compile("adam", "mse")
    for _ in range(2):
        model.train_on_batch(X, Y)
    autolog.end_run()
    assert [step for step, _ in points(on, "loss")] == [0, 1, 2]


def test_evaluations_between_steps_are_one_point_each(on: Any, keras: Any) -> None:
    model = small(keras, metrics=["mae"])
    last: list[tuple[int, float]] = []
    for step in range(2):
        model.train_on_batch(X, Y)
        for _ in range(3):
            value = model.test_on_batch(X + step, Y)[0]
        last.append((step, value))
    assert points(on, "val_loss") == last
    assert len(points(on, "loss")) == 2
    assert len(points(on, "val_mae")) == 2


def test_an_evaluation_without_a_loop_makes_no_run(on: Any, keras: Any) -> None:
    small(keras).test_on_batch(X, Y)
    assert on.runs() == []


def test_a_step_inside_of_a_fit_is_a_part_of_it(on: Any, keras: Any) -> None:
    class Extra(keras.callbacks.Callback):
        def on_epoch_end(self, epoch: int, logs: Any = None) -> None:
            del epoch, logs
            self.model.train_on_batch(X, Y)

    small(keras).fit(X, Y, verbose=0, epochs=2, callbacks=[Extra()])
    assert len(points(on, "loss")) == 2


def test_a_fitted_model_keeps_no_loop_waiting(on: Any, keras: Any) -> None:
    first, second = small(keras), small(keras)
    first.fit(X, Y, verbose=0)
    second.train_on_batch(X, Y)
    autolog.log_metric("mine", 1.0)
    assert [run.kind for run in on.runs()] == ["fit", "loop"]
    assert "mine" in on.runs()[1].metrics


def test_a_call_that_raises_is_no_step(on: Any, keras: Any) -> None:
    model = small(keras)
    model.train_on_batch(X, Y)
    with pytest.raises(Exception, match=r"."):
        model.train_on_batch(X[:, :1], Y)
    model.train_on_batch(X, Y)
    assert [step for step, _ in points(on, "loss")] == [0, 1]


def test_the_weights_are_the_same_without_autolog(recording: Any, keras: Any) -> None:
    def train() -> list[Any]:
        model = small(keras)
        for _ in range(3):
            model.train_on_batch(X, Y)
            model.test_on_batch(X, Y)
        return model.get_weights()

    plain = train()
    autolog.autolog("keras")
    watched = train()
    assert all(np.array_equal(one, other) for one, other in zip(plain, watched, strict=True))
    assert len(recording.runs()) == 1


def test_a_copy_that_is_loaded_compiles_itself(on: Any, keras: Any, tmp_path: Any) -> None:
    model = small(keras)
    model.train_on_batch(X, Y)
    model.save(tmp_path / "model.keras")
    loaded = keras.models.load_model(tmp_path / "model.keras")
    loaded.train_on_batch(X, Y)
    assert len(on.runs()) == 2


def test_a_step_is_recorded_once_with_the_backend_watched_too(
    recording: Any, keras: Any, backend: str
) -> None:
    autolog.autolog("keras", *(name for name in ("tensorflow", "torch") if name == backend))
    model = small(keras, metrics=["mae"])
    returned = [model.train_on_batch(X, Y)[0] for _ in range(3)]
    model.test_on_batch(X, Y)
    autolog.end_run()
    assert keys(recording.run()) == {"loss", "mae", "val_loss", "val_mae"}
    assert points(recording, "loss") == list(enumerate(returned))
    assert recording.run().name.startswith("Sequential")
    assert [model.name for model in recording.details().models] == ["model"]
