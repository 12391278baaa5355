"""What is logged of Keras by default, on each backend: `logs` in compat_matrix.yaml."""

from __future__ import annotations

import importlib
import importlib.util
import os
import warnings
from pathlib import Path
from typing import Any

import numpy as np
import pytest

import autolog
from tests.matrix import logged

BACKENDS = [one for one in ("tensorflow", "jax", "torch") if importlib.util.find_spec(one)]
if BACKENDS and BACKENDS[0] != "tensorflow":  # Keras' own choice cannot be imported
    os.environ.setdefault("KERAS_BACKEND", BACKENDS[0])

with warnings.catch_warnings():  # old versions beside new companions warn of much
    warnings.simplefilter("ignore")
    keras = pytest.importorskip("keras")

pytestmark = [pytest.mark.filterwarnings("ignore")]

ROWS = np.linspace(-1, 1, 64, dtype="float32").reshape(16, 4)
SUMS = ROWS.sum(axis=1, keepdims=True)
x_test, y_test = ROWS[:8], SUMS[:8]


def net(optimizer: Any = "adam") -> Any:
    model = keras.Sequential(
        [keras.layers.Input((4,)), keras.layers.Dense(1, kernel_initializer="zeros")]
    )
    model.compile(optimizer, "mse", metrics=["mae"])
    return model


def test_a_fit_is_logged_as_the_matrix_says(recording: Any, tmp_path: Path) -> None:
    autolog.autolog("keras")
    stopping = keras.callbacks.EarlyStopping("val_loss", patience=5)
    path = str(tmp_path / "saved-{epoch}.keras")
    saving = keras.callbacks.ModelCheckpoint(path, monitor="val_loss")
    after = keras.callbacks.LambdaCallback(
        on_epoch_end=lambda epoch, _: weights.append(model.get_weights())
    )
    weights: list[Any] = []
    model = net(keras.optimizers.SGD(0.01, momentum=0.5))
    told = model.fit(
        ROWS,
        SUMS,
        batch_size=4,
        epochs=3,
        validation_data=(x_test, -y_test),  # which gets worse by training: the first is the best
        callbacks=[stopping, saving, after],
        verbose=0,
    )
    loss, error = model.evaluate(x_test, y_test, verbose=0)
    run = recording.run()
    assert run.status == "FINISHED"
    # params
    expected = {
        "epochs": 3,
        "batch_size": 4,
        "optimizer": "SGD",
        "optimizer.momentum": 0.5,
        "loss": "mse",
        "metrics": ["mae"],
        "model": "Sequential",
        "model.parameters": 5,
        "callbacks": ["EarlyStopping", "ModelCheckpoint", "LambdaCallback"],
        "early_stopping.patience": 5,
    }
    assert {key: run.params.get(key) for key in expected} == expected
    # series
    assert {"loss", "mae", "val_loss", "val_mae"} <= told.history.keys()
    for key, series in told.history.items():
        assert logged.values(run, key) == pytest.approx(series)
    assert logged.values(run, "learning_rate") == pytest.approx([0.01] * 3)
    assert len(logged.values(run, "epoch_seconds")) == 3
    # evaluations
    assert (run.metrics["test/loss"], run.metrics["test/mae"]) == pytest.approx((loss, error))
    # data
    known = logged.profiles(recording)
    assert (known["train"]["shape"], known["train"]["dtype"]) == ([16, 4], "float32")
    assert known["validation"]["shape"] == [8, 4]
    assert known["train"]["digest"]
    # model
    kept = {"model": ["keras"], "saved": ["keras"], "saved-best": ["keras"]}
    assert logged.models(recording) == kept
    assert told.history["val_loss"] == sorted(told.history["val_loss"])
    for name, epoch in (("saved", 2), ("saved-best", 0)):
        for found, expected in zip(
            autolog.load_model(run.run_id, name).get_weights(), weights[epoch], strict=True
        ):
            assert found.tolist() == expected.tolist()
    loaded = autolog.load_model(run.run_id, "model")
    predicted = model.predict(ROWS, verbose=0)
    assert loaded.predict(ROWS, verbose=0).tolist() == predicted.tolist()
    assert len(loaded.optimizer.variables) == len(model.optimizer.variables)
    assert len(recording.events("checkpoint")) == 3
    # more
    assert "model_summary.txt" in {one.path for one in recording.details().artifacts}
    logged.expect_sound("keras")


def test_the_elements_of_a_pipeline_are_logged(recording: Any) -> None:
    if keras.backend.backend() != "tensorflow":
        pytest.skip("Keras has another backend")
    tf: Any = importlib.import_module("tensorflow")
    autolog.autolog("keras")
    net().fit(tf.data.Dataset.from_tensor_slices((ROWS, SUMS)).batch(4), verbose=0)
    profile = logged.profiles(recording)["train"]
    rows, sums = ({"shape": [None, size], "dtype": "float32"} for size in (4, 1))
    assert (profile["elements"], profile["batches"]) == ([rows, sums], 4)
    logged.expect_sound("keras")


def test_metrics_computed_on_predictions_are_logged(recording: Any) -> None:
    metrics = pytest.importorskip("sklearn.metrics")
    autolog.autolog("keras", "sklearn")
    model = net()
    model.fit(ROWS, SUMS, verbose=0)
    score = metrics.r2_score(y_test, model.predict(x_test, verbose=0))
    assert recording.run().metrics["test/r2"] == pytest.approx(score)
    logged.expect_sound("keras")


def test_the_trials_of_a_tuner_are_a_tree(recording: Any, tmp_path: Path) -> None:
    keras_tuner = pytest.importorskip("keras_tuner")
    autolog.autolog("keras")

    def build(choices: Any) -> Any:
        return net(keras.optimizers.SGD(choices.Choice("rate", [0.01, 0.1])))

    place = {"directory": str(tmp_path), "project_name": "search"}
    tuner = keras_tuner.GridSearch(build, objective="loss", **place)
    tuner.search(ROWS, SUMS, epochs=1, verbose=0)
    study, *trials = recording.runs()
    assert study.kind == "study"
    assert {(run.kind, run.parent_id) for run in trials} == {("trial", study.run_id)}
    assert {run.params["rate"] for run in trials} == {0.01, 0.1}
    logged.expect_sound("keras")


@pytest.mark.edge_case("EC-X9")
def test_every_hook_finds_its_place(recording: Any) -> None:
    logged.expect_bound("keras")
