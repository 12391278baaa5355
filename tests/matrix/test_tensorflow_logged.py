"""What is logged of loops in TensorFlow by default: `logs` in compat_matrix.yaml."""

from __future__ import annotations

import importlib
import warnings
from pathlib import Path
from typing import Any

import numpy as np
import pytest

import autolog
from tests.matrix import logged

with warnings.catch_warnings():  # old versions beside new companions warn of much
    warnings.simplefilter("ignore")
    tf = pytest.importorskip("tensorflow")

pytestmark = [pytest.mark.filterwarnings("ignore")]

ROWS = np.linspace(-1, 1, 64, dtype="float32").reshape(16, 4)
SUMS = ROWS.sum(axis=1, keepdims=True)


def tensorflow_keras() -> Any:
    keras = importlib.import_module("keras")
    if keras.backend.backend() != "tensorflow":
        pytest.skip("Keras has another backend")
    return keras


def test_a_loop_is_logged_as_the_matrix_says(recording: Any, tmp_path: Path) -> None:
    keras = tensorflow_keras()
    autolog.autolog("keras", "tensorflow")
    model = keras.Sequential([keras.layers.Input((4,)), keras.layers.Dense(1)])
    optimizer = keras.optimizers.SGD(0.1, momentum=0.5)
    data = tf.data.Dataset.from_tensor_slices((ROWS, SUMS)).batch(4)
    test_loss = keras.metrics.Mean(name="test_loss")
    checkpoint = tf.train.Checkpoint(model=model)
    writer = tf.summary.create_file_writer(str(tmp_path / "summaries"))
    losses: list[float] = []
    told: list[float] = []
    for epoch in range(2):
        for x, y in data:
            with tf.GradientTape() as tape:
                loss = tf.reduce_mean(tf.square(model(x) - y))
            gradients = tape.gradient(loss, model.trainable_variables)
            optimizer.apply_gradients(zip(gradients, model.trainable_variables, strict=True))
            losses.append(float(loss))
        test_loss.reset_state()
        test_loss.update_state(tf.reduce_mean(tf.square(model(ROWS) - SUMS)))
        told.append(float(test_loss.result()))
        with writer.as_default():
            tf.summary.scalar("shown", 0.5, step=epoch)
        path = checkpoint.save(str(tmp_path / "saved"))
    autolog.end_run()
    run = recording.run()
    assert (run.kind, run.status) == ("loop", "FINISHED")
    # params
    expected = {
        "optimizer": "SGD",
        "optimizer.momentum": 0.5,
        "model": "Sequential",
        "trainable_parameters": 5,
        "batches_per_epoch": 4,
        # data
        "dataset.element_spec": "(float32(None, 4), float32(None, 1))",
    }
    assert {key: run.params.get(key) for key in expected} == expected
    # series
    assert logged.values(run, "train/loss") == pytest.approx(losses)
    assert logged.values(run, "lr") == pytest.approx([0.1, 0.1])
    assert logged.values(run, "epoch") == [0, 1]
    assert len(logged.values(run, "train/samples_per_second")) == 2
    # evaluations
    assert logged.values(run, "test_loss") == pytest.approx(told)
    # model
    assert logged.models(recording) == {"model": ["keras"]}
    loaded = autolog.load_model(run.run_id)
    assert np.asarray(loaded(ROWS)).tolist() == np.asarray(model(ROWS)).tolist()
    saved = recording.events("checkpoint")
    assert [one["step"] for one in saved] == [3, 7]
    assert saved[-1]["path"] == path
    # more
    assert logged.values(run, "shown") == [0.5, 0.5]
    logged.expect_sound("tensorflow")


@pytest.mark.edge_case("EC-X9")
def test_every_hook_finds_its_place(recording: Any) -> None:
    logged.expect_bound("tensorflow")
