"""Quirks of Keras, each proved with its guard and without: see compat_matrix.yaml.

They run on the backend that is chosen, or on one that is installed. Beside the quirks stands what
must hold in every cell of the matrix.
"""

from __future__ import annotations

import importlib
import importlib.util
import json
import os
import subprocess
import sys
import threading
import warnings
import zipfile
from pathlib import Path
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

from autolog_keras import formats  # noqa: E402
from autolog_keras.optimizers import optimizer_params  # noqa: E402

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


@pytest.mark.quirk("keras-two-namespaces", module="tf_keras")
def test_a_model_of_either_package_is_recorded(
    recording: Any, tmp_path: Path, guarded: bool
) -> None:
    del guarded
    assert_recorded(recording, tmp_path, pytest.importorskip("tf_keras"))


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


def called(package: Any, *injected: Any) -> list[str]:
    """How a callback of the user's is called after each batch, beside others."""
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


def assert_called_alike(package: Any, guarded: bool) -> None:
    plain = called(package)
    assert len(plain) == 4
    if not guarded:
        assert called(package, naive) == plain
    autolog.autolog("keras", keras={"every_n_batches": 1})
    assert called(package) == plain


@pytest.mark.quirk("keras-callback-changes-dispatch")
def test_the_users_callbacks_are_called_as_without_autolog(recording: Any, guarded: bool) -> None:
    if BACKEND == "tensorflow":
        pytest.skip("TensorFlow gives all callbacks the same")
    assert_called_alike(keras, guarded)
    assert history(recording.run(), "batch/loss").step.tolist() == [0, 1, 2, 3]


@pytest.mark.quirk("keras-legacy-callback-reads-numbers", module="tf_keras")
def test_the_users_callbacks_get_of_tf_keras_what_they_got(recording: Any, guarded: bool) -> None:
    assert_called_alike(pytest.importorskip("tf_keras"), guarded)


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


@pytest.mark.quirk("keras-early-stopping-keeps-best")
def test_the_best_epoch_is_one_of_this_fit(recording: Any, guarded: bool) -> None:
    del guarded
    autolog.autolog("keras")
    stopping = keras.callbacks.EarlyStopping("loss", patience=1)
    line(keras).fit(ROWS, SUMS, epochs=2, callbacks=[stopping], verbose=0)
    told = line(keras).fit(ROWS, SUMS + 9, epochs=2, callbacks=[stopping], verbose=0)
    _, second = recording.runs()
    best = stopping.best_epoch if float(stopping.best) in told.history["loss"] else None
    assert second.metrics.get("best_epoch") == best


@pytest.mark.quirk("keras-safe-mode-imports-modules")
def test_loading_a_model_imports_nothing_that_is_not_trusted(
    guarded: bool, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "named_by_a_file.py").write_text("class Layer:\n    from_config = dict\n")
    monkeypatch.syspath_prepend(tmp_path)
    stored = tmp_path / "stored"
    stored.mkdir()
    formats.save(line(keras), stored)
    archive = stored / "model.keras"
    with zipfile.ZipFile(archive) as file:
        members = {name: file.read(name) for name in file.namelist()}
    config = json.loads(members["config.json"])
    named = {"module": "named_by_a_file", "class_name": "Layer", "config": {}}
    config["config"]["layers"].append({**named, "registered_name": "Layer"})
    members["config.json"] = json.dumps(config).encode()
    with zipfile.ZipFile(archive, "w") as file:
        for name, content in members.items():
            file.writestr(name, content)
    with pytest.raises((TypeError, ValueError)):
        formats.load(stored) if guarded else keras.models.load_model(archive, safe_mode=True)
    assert sys.modules.pop("named_by_a_file", None) is None


@pytest.mark.quirk("keras-saving-counts-names-up")
def test_layers_are_named_as_if_no_model_had_been_stored(
    recording: Any, guarded: bool, tmp_path: Path
) -> None:
    def count() -> int:
        return int(keras.layers.Layer().name.partition("_")[2] or 0)

    model = line(keras)
    model.save(tmp_path / "first.keras")  # before 3.6 only the first of a process counts
    before = count()
    if guarded:
        autolog.autolog("keras")
        model.fit(ROWS, SUMS, verbose=0)
        assert recording.details().artifacts
    else:
        model.fit(ROWS, SUMS, verbose=0)
        model.save(tmp_path / "model.keras")
    assert count() == before + 1


ON_NUMPY = """
import sys
from pathlib import Path
import keras
from autolog_keras import formats

model = keras.Sequential([keras.layers.Input((4,)), keras.layers.Dense(1)])
assert "tensorflow" not in sys.modules
folder = Path(sys.argv[2])
formats.save(model, folder) if sys.argv[1] == "guarded" else model.save(folder / "model.keras")
print("tensorflow" in sys.modules)
"""


@pytest.mark.quirk("keras-saving-imports-tensorflow")
def test_storing_a_model_imports_no_tensorflow(guarded: bool, tmp_path: Path) -> None:
    if "tensorflow" not in BACKENDS:
        pytest.skip("there is no TensorFlow to import")
    how = "guarded" if guarded else "naive"
    command = [sys.executable, "-c", ON_NUMPY, how, str(tmp_path)]
    chosen = {**os.environ, "KERAS_BACKEND": "numpy"}
    done = subprocess.run(command, env=chosen, capture_output=True, text=True, timeout=300)
    if done.returncode != 0:  # no AssertionError: a program that breaks proves no quirk
        raise RuntimeError(done.stderr)
    assert done.stdout.split() == ["False"]


@pytest.mark.quirk("keras-callback-model-syncs-the-state")
def test_no_batch_puts_the_state_back_into_the_model(
    recording: Any, guarded: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    if BACKEND != "jax":
        pytest.skip("the model holds its state itself")
    synced: list[Any] = []
    cls = next(one for one in keras.Model.__mro__ if "jax_state_sync" in vars(one))
    original = cls.jax_state_sync

    def counted(model: Any) -> Any:
        synced.append(model)
        return original(model)

    monkeypatch.setattr(cls, "jax_state_sync", counted)

    class Looks(keras.callbacks.Callback):
        def on_train_batch_end(self, batch: int, logs: Any = None) -> None:
            assert self.model is not None

    line(keras).fit(ROWS, SUMS, batch_size=2, verbose=0)
    plain = len(synced)
    synced.clear()
    if guarded:
        autolog.autolog("keras", keras={"every_n_batches": 1})
    given = [] if guarded else [Looks()]
    line(keras).fit(ROWS, SUMS, batch_size=2, callbacks=given, verbose=0)
    assert len(synced) == plain


@pytest.mark.quirk("keras-variables-warn-on-jax")
def test_an_optimizer_is_described_where_warnings_are_errors(guarded: bool) -> None:
    if BACKEND != "jax":
        pytest.skip("NumPy copies the variables of other backends without a word")
    optimizer = line(keras).optimizer
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        described = (
            optimizer_params(optimizer, "optimizer")
            if guarded
            else {"optimizer.learning_rate": optimizer.get_config()["learning_rate"]}
        )
    assert described["optimizer.learning_rate"] == pytest.approx(0.01)


# --- in every cell -----------------------------------------------------------------------------


def test_a_fit_is_recorded_in_every_version(recording: Any, tmp_path: Path) -> None:
    assert_recorded(recording, tmp_path, keras)


def assert_recorded(recording: Any, tmp_path: Path, package: Any) -> None:
    autolog.autolog("keras")
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
