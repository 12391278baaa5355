"""Quirks of Keras, each proved with its guard and without: see compat_matrix.yaml.

They run on the backend that is chosen, or on one that is installed; tf_keras stands in for what
Keras 3 does on other backends than TensorFlow. Beside the quirks stands what must hold in every
cell of the matrix.
"""

from __future__ import annotations

import importlib
import importlib.util
import os
import threading
import warnings
from typing import Any

import numpy as np
import pytest

import autolog
from autolog.compat.view import resolve

BACKENDS = [one for one in ("tensorflow", "jax", "torch") if importlib.util.find_spec(one)]
if BACKENDS and BACKENDS[0] != "tensorflow":  # Keras' own choice cannot be imported
    os.environ.setdefault("KERAS_BACKEND", BACKENDS[0])

with warnings.catch_warnings():  # old versions on new companions warn of much
    warnings.simplefilter("ignore")
    keras = pytest.importorskip("keras")

pytestmark = [pytest.mark.filterwarnings("ignore")]

BACKEND: str = keras.backend.backend()
PACKAGES = ["keras", *(["tf_keras"] if importlib.util.find_spec("tf_keras") else [])]
ROWS = np.linspace(-1, 1, 64, dtype="float32").reshape(16, 4)
SUMS = ROWS.sum(axis=1, keepdims=True)


def line(package: Any, **compiled: Any) -> Any:
    model = package.Sequential([package.layers.Input((4,)), package.layers.Dense(1)])
    model.compile(**{"optimizer": "sgd", "loss": "mse", "metrics": ["mae"], **compiled})
    return model


def history(run: Any, key: str) -> Any:
    return autolog.metric_history(run.run_id, key)


@pytest.mark.quirk("keras-two-namespaces")
def test_a_model_of_either_package_is_recorded(recording: Any, guarded: bool) -> None:
    del guarded
    legacy = pytest.importorskip("tf_keras")
    autolog.autolog("keras")
    for package in (keras, legacy):
        line(package).fit(ROWS, SUMS, verbose=0)
    assert len(recording.runs()) == 2


@pytest.mark.quirk("keras-train-step-is-traced-once")
def test_every_batch_is_seen(recording: Any, guarded: bool) -> None:
    if BACKEND == "torch":
        pytest.skip("PyTorch traces nothing")
    model = line(keras)
    if guarded:
        autolog.autolog("keras", keras={"every_n_batches": 1})
        model.fit(ROWS, SUMS, batch_size=4, verbose=0)
        seen = len(history(recording.run(), "batch/loss").value)
    else:
        steps: list[Any] = []
        cls = next(one for one in keras.Model.__mro__ if "train_step" in vars(one))
        original = cls.train_step

        def counted(self: Any, *args: Any) -> Any:
            steps.append(self)
            return original(self, *args)

        cls.train_step = counted
        try:
            model.fit(ROWS, SUMS, batch_size=4, verbose=0)
        finally:
            cls.train_step = original
        seen = len(steps)
    assert seen == 4


def called(*injected: Any) -> list[str]:
    """How a callback of the user's is called after each batch, beside others."""
    package = importlib.import_module("tf_keras") if BACKEND == "tensorflow" else keras
    seen: list[str] = []

    class Looks(package.callbacks.Callback):
        def __init__(self) -> None:
            super().__init__()
            self.async_safe = self._supports_tf_logs = True

        def on_train_batch_end(self, batch: int, logs: Any = None) -> None:
            thread = threading.current_thread() is threading.main_thread()
            seen.append(f"{type(logs['loss']).__name__} {thread}")

    others = [one(package) for one in injected]
    line(package).fit(ROWS, SUMS, batch_size=4, callbacks=[Looks(), *others], verbose=0)
    return sorted(seen)


def naive(package: Any) -> Any:
    class Counts(package.callbacks.Callback):
        def on_train_batch_end(self, batch: int, logs: Any = None) -> None:
            pass

    return Counts()


@pytest.mark.quirk("keras-callback-changes-dispatch")
def test_the_users_callbacks_are_called_as_without_autolog(recording: Any, guarded: bool) -> None:
    if BACKEND == "tensorflow":
        pytest.importorskip("tf_keras")
    plain = called()
    assert len(plain) == 4
    if not guarded:
        assert called(naive) == plain
    autolog.autolog("keras", keras={"every_n_batches": 1})
    assert called() == plain
    assert history(recording.run(), "batch/loss").step.tolist() == [0, 1, 2, 3]


@pytest.mark.quirk("keras-fit-calls-evaluate")
def test_validations_of_a_fit_are_no_evaluations_of_the_user(recording: Any, guarded: bool) -> None:
    model = line(keras)
    if guarded:
        autolog.autolog("keras")
        model.fit(ROWS, SUMS, epochs=2, validation_data=(ROWS, SUMS), verbose=0)
        assert [key for key in recording.run().metrics if "/" in key] == []
        return
    evaluations: list[Any] = []
    cls = next(one for one in keras.Model.__mro__ if "evaluate" in vars(one))
    original = cls.evaluate

    def counted(self: Any, *args: Any, **options: Any) -> Any:
        evaluations.append(self)
        return original(self, *args, **options)

    cls.evaluate = counted
    try:
        model.fit(ROWS, SUMS, epochs=2, validation_data=(ROWS, SUMS), verbose=0)
    finally:
        cls.evaluate = original
    assert evaluations == []


# --- in every cell -----------------------------------------------------------------------------


@pytest.mark.parametrize("name", PACKAGES)
def test_a_fit_is_recorded_in_every_version(recording: Any, tmp_path: Any, name: str) -> None:
    autolog.autolog("keras")
    package = importlib.import_module(name)
    stopping = package.callbacks.EarlyStopping("val_loss", patience=1, min_delta=1e9)
    best = package.callbacks.ModelCheckpoint(str(tmp_path / "best.keras"), monitor="val_loss")
    model = line(package)
    told = model.fit(
        ROWS,
        SUMS,
        batch_size=4,
        epochs=5,
        validation_split=0.25,
        callbacks=(stopping, best),
        verbose=0,
    )
    run = recording.run()
    assert run.status == "FINISHED"
    assert run.logging_errors == []
    for key, values in told.history.items():
        assert history(run, key).value.tolist() == pytest.approx(values)
        assert history(run, key).step.tolist() == [0, 1]
    assert (run.params["epochs"], run.params["batch_size"]) == (5, 4)
    x_test, y_test = ROWS[:8], SUMS[:8]
    loss, mae = model.evaluate(x_test, y_test, verbose=0)
    run = recording.run()
    assert (run.metrics["test/loss"], run.metrics["test/mae"]) == pytest.approx((loss, mae))
    expected = model.predict(x_test, verbose=0)
    loaded = autolog.load_model(run.run_id, "model")
    assert loaded.predict(x_test, verbose=0).tolist() == expected.tolist()
    model.fit(ROWS, SUMS, epochs=1, verbose=0)
    _, second = recording.runs()
    assert history(second, "loss").step.tolist() == [2]
    assert second.tags["resumed_from"] == run.run_id


@pytest.mark.parametrize("name", PACKAGES)
def test_the_methods_are_what_they_were_after_disable(recording: Any, name: str) -> None:
    package = importlib.import_module(name)
    owners = {
        method: next(one for one in package.Model.__mro__ if method in vars(one))
        for method in ("fit", "evaluate", "predict")
    }
    before = {method: vars(owner)[method] for method, owner in owners.items()}
    autolog.autolog("keras")
    line(package).fit(ROWS, SUMS, verbose=0)
    autolog.disable()
    assert {method: vars(owner)[method] for method, owner in owners.items()} == before
    assert not {"fit", "evaluate", "predict"} & vars(package.Sequential).keys()


def test_the_guards_are_those_that_the_installed_version_needs() -> None:
    assert "both_namespaces" in resolve("keras", keras).guards
