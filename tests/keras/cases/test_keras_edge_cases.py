"""Known failures of autologging, by their ids, wherever Keras is the framework that meets them."""

from __future__ import annotations

import gc
import inspect
import math
import weakref
from importlib import import_module
from pathlib import Path
from typing import Any

import numpy as np
import pytest

import autolog
from autolog.capture.spans import CaptureSpan
from tests.keras.cases.models import ROWS, TARGETS, history, line

VALUES: dict[str, Any] = {
    "x": ROWS,
    "y": TARGETS,
    "batch_size": 8,
    "epochs": 2,
    "verbose": 0,
    "validation_split": 0.25,
    "shuffle": False,
    "sample_weight": np.linspace(0.5, 1, 32, dtype="float32"),
    "validation_freq": 2,
}
"""An argument that is not the default, for parameters of `fit` that a simple call has."""


def parameters(keras: Any) -> list[inspect.Parameter]:
    """The parameters of `fit` in their order."""
    found = list(inspect.signature(keras.Model.fit).parameters.values())[1:]
    assert [one.name for one in found[:2]] == ["x", "y"]
    return found


@pytest.mark.edge_case("EC-K3", "EC-K4")
def test_every_split_into_positions_and_keywords_is_recorded_alike(on, keras):
    names = [one.name for one in parameters(keras)]
    defaults = {one.name: one.default for one in parameters(keras)}
    model = line(keras)
    for count in range(len(names) + 1):
        positional = [VALUES.get(name, defaults[name]) for name in names[:count]]
        rest = {name: value for name, value in VALUES.items() if name not in names[:count]}
        told = model.fit(*positional, **rest)
        run = on.runs()[-1]
        assert run.status == "FINISHED", count
        assert history(run, "loss").value.tolist() == told.history["loss"], count
        assert history(run, "val_loss").value.tolist() == told.history["val_loss"], count
        params = {name: run.params[name] for name in ("batch_size", "epochs", "validation_split")}
        assert params == {"batch_size": 8, "epochs": 2, "validation_split": 0.25}, count
    assert len(on.runs()) == len(names) + 1
    assert not [one for run in on.runs() for one in run.logging_errors]


@pytest.mark.edge_case("EC-K1", "EC-N3")
def test_callbacks_in_every_form_are_recorded_alike(on, keras):
    model = line(keras)
    one = keras.callbacks.LambdaCallback()
    forms: list[dict[str, Any]] = [
        {},
        {"callbacks": None},
        {"callbacks": []},
        {"callbacks": [one]},
        {"callbacks": (one,)},
        {"callbacks": one},
        {"callbacks": keras.callbacks.CallbackList([one], add_history=True, model=model)},
    ]
    for given in forms:
        told = model.fit(ROWS, TARGETS, epochs=2, verbose=0, **given)
        assert history(on.runs()[-1], "loss").value.tolist() == told.history["loss"][-2:]
    assert [run.status for run in on.runs()] == ["FINISHED"] * len(forms)


@pytest.mark.edge_case("EC-N6")
def test_a_fit_of_a_subclass_that_calls_the_base_class_is_one_training(on, keras):
    class Careful(keras.Model):
        def __init__(self) -> None:
            super().__init__()
            self.line = keras.layers.Dense(1)

        def call(self, x: Any) -> Any:
            return self.line(x)

        def fit(self, x: Any, y: Any, **options: Any) -> str:
            super().fit(x, y, verbose=0, **options)
            return "careful"

    model = Careful()
    model.compile("sgd", "mse")
    assert model.fit(ROWS, TARGETS, epochs=2) == "careful"
    run = on.run()
    assert run.name.startswith("Careful-")
    assert history(run, "loss").step.tolist() == [0, 1]


@pytest.mark.edge_case("EC-R1", "EC-K11")
def test_an_error_of_ours_is_kept_with_the_run_and_changes_nothing(recording, keras, monkeypatch):
    monkeypatch.delenv("AUTOLOG_STRICT")
    autolog.autolog("keras")
    write = CaptureSpan.metrics

    def broken(self: Any, values: Any, **options: Any) -> None:
        if options.get("step") == 1:
            raise OSError("the disk is full")
        write(self, values, **options)

    monkeypatch.setattr(CaptureSpan, "metrics", broken)
    told = line(keras).fit(ROWS, TARGETS, epochs=3, verbose=0)
    assert told.epoch == [0, 1, 2]
    run = recording.run()
    assert run.status == "FINISHED"
    assert len(run.logging_errors) == 1
    assert history(run, "loss").step.tolist() == [0, 2]


@pytest.mark.edge_case("EC-R12", "EC-R8")
def test_what_is_logged_after_a_fit_goes_to_its_run_and_says_so(on, keras):
    line(keras).fit(ROWS, TARGETS, verbose=0)
    autolog.log_metric("by_hand", 2.0)
    run = on.run()
    assert run.status == "FINISHED"
    assert history(run, "by_hand").context[0]["phase"] == "post"


@pytest.mark.edge_case("EC-D12")
def test_models_are_let_go_and_their_fits_forgotten(on, keras):
    gone = []
    for _ in range(3):
        model = line(keras)
        model.fit(ROWS, TARGETS, verbose=0)
        model.evaluate(ROWS, TARGETS, verbose=0)
        gone.append(weakref.ref(model))
        del model
        keras.backend.clear_session()
    gc.collect()
    assert [reference() for reference in gone] == [None] * 3
    assert [len(history(run, "loss").value) for run in on.runs()] == [1, 1, 1]


@pytest.mark.edge_case("EC-V1")
def test_a_parameter_without_end_leaves_everything_else_recorded(on, keras):
    labels = np.arange(32) % 2
    weights = {index: 1.0 + index / 7 for index in range(50_000)}
    model = line(keras, loss="binary_crossentropy", metrics=[])
    model.fit(ROWS, labels, class_weight=weights, epochs=1, verbose=0)
    run = on.run()
    assert run.logging_errors == []
    assert run.params["epochs"] == 1
    assert history(run, "loss").step.tolist() == [0]


@pytest.mark.edge_case("EC-V2", "EC-V3", "EC-V4", "EC-V7")
def test_any_name_and_any_number_of_metrics_is_kept(on, keras):
    odd = {"ndcg@3": 1.0, "ndcg_at_3": 2.0, "a, (b)": 3.0, "größe": math.inf, "nothing": math.nan}
    many = {f"metric {index}": float(index) for index in range(2000)}

    class Adds(keras.callbacks.Callback):
        def on_epoch_end(self, epoch: int, logs: Any = None) -> None:
            logs.update(odd | many)

    line(keras).fit(ROWS, TARGETS, epochs=2, callbacks=[Adds()], verbose=0)
    run = on.run()
    for key, value in (odd | many).items():
        assert run.metrics[key] == pytest.approx(value, nan_ok=True), key
    assert history(run, "metric 1999").step.tolist() == [0, 1]


@pytest.mark.edge_case("EC-V5")
def test_scalars_of_the_backend_are_numbers(on, keras, backend):
    if keras.__name__ == "tf_keras":
        scalar = import_module("tensorflow").constant(0.5)
    else:
        scalar = keras.ops.convert_to_tensor(0.5)
    with autolog.start_run() as run:
        for index, value in enumerate((scalar, np.float32(0.5), np.array([0.5]), 0.5)):
            run.log_metric("x", value, step=index)
    assert history(on.run(), "x").value.tolist() == [0.5] * 4


@pytest.mark.edge_case("EC-D4", "EC-D1")
def test_data_without_an_end_is_drawn_as_often_as_without_autolog(recording, keras, backend):
    def drawn() -> list[int]:
        made: list[int] = []
        begun: list[int] = []

        def made_one() -> Any:
            made.append(1)
            return ROWS[:8], TARGETS[:8], np.ones(8, "float32")

        def generator() -> Any:
            while True:
                yield made_one()

        data: Any = generator()
        if backend == "tensorflow":
            tf = import_module("tensorflow")
            types = (tf.float32, tf.float32, tf.float32)
            data = tf.data.Dataset.range(10**12).repeat()
            data = data.map(lambda _: tf.py_function(made_one, [], types))
            shapes = ((8, 4), (8, 1), (8,))
            data = data.map(lambda *parts: tuple(map(tf.ensure_shape, parts, shapes)))
        begins = keras.callbacks.LambdaCallback(on_train_begin=lambda _: begun.append(len(made)))
        line(keras).fit(
            data, steps_per_epoch=2, epochs=2, shuffle=False, callbacks=[begins], verbose=0
        )
        return [*begun, len(made)]

    plain = drawn()
    autolog.autolog()
    watched = drawn()
    if backend == "tensorflow":  # which reads ahead as far as time allows, once it trains
        assert watched[0] == plain[0] == 0
        assert 4 <= watched[1] <= 8
    else:
        assert watched == plain
    run = recording.run()
    assert run.logging_errors == []
    assert run.params.get("batch_size") in (None, 8)


@pytest.mark.edge_case("EC-D11")
def test_the_users_folders_stay_as_they_are(on, keras, tmp_path: Path):
    kept = tmp_path / "logs" / "mine.txt"
    kept.parent.mkdir()
    kept.write_text("mine")
    board = keras.callbacks.TensorBoard(str(kept.parent), write_graph=False)
    best = keras.callbacks.ModelCheckpoint(str(tmp_path / "best.keras"), monitor="loss")
    line(keras).fit(ROWS, TARGETS, epochs=2, callbacks=[board, best], verbose=0)
    assert kept.read_text() == "mine"
    assert sorted(path.name for path in tmp_path.iterdir()) == ["best.keras", "logs", "store"]


@pytest.mark.edge_case("EC-N8", "EC-N11")
def test_a_network_in_an_estimator_in_a_pipeline_is_part_of_the_pipelines_run(recording, keras):
    from sklearn.base import BaseEstimator, RegressorMixin
    from sklearn.pipeline import make_pipeline
    from sklearn.preprocessing import StandardScaler

    class Network(RegressorMixin, BaseEstimator):
        def fit(self, x: Any, y: Any) -> Any:
            self.network_ = line(keras)
            self.network_.fit(x, y, epochs=2, verbose=0)
            return self

        def predict(self, x: Any) -> Any:
            return self.network_.predict(x, verbose=0)

    autolog.autolog()
    make_pipeline(StandardScaler(), Network()).fit(ROWS, TARGETS)
    run = recording.run()
    assert run.name.startswith("Pipeline-")
    assert history(run, "loss").step.tolist() == [0, 1]


@pytest.mark.edge_case("EC-I4", "EC-K10")
def test_all_integrations_together_make_one_run_with_one_copy_of_each_metric(recording, keras):
    autolog.autolog()
    told = line(keras).fit(ROWS, TARGETS, epochs=2, validation_split=0.25, verbose=0)
    run = recording.run()
    measured = {key for key in run.metrics if "loss" in key or "mae" in key}
    assert measured == set(told.history)
    assert all(len(history(run, key).value) == 2 for key in measured)


@pytest.mark.edge_case("EC-K5", "EC-K6")
@pytest.mark.parametrize("models", ["auto", "never"])
def test_an_early_stopping_is_told_whatever_else_is_on(recording, keras, models):
    autolog.autolog("keras", log_models=models)
    stopping = keras.callbacks.EarlyStopping(
        "loss", patience=1, min_delta=1e9, restore_best_weights=True
    )
    told = line(keras).fit(ROWS, TARGETS, epochs=5, callbacks=[stopping], verbose=0)
    run = recording.run()
    assert told.epoch == [0, 1]
    assert run.metrics["stopped_epoch"] == stopping.stopped_epoch == 1
    assert run.metrics["restored_epoch"] == run.metrics["best_epoch"] == 0
    assert run.params["early_stopping.monitor"] == "loss"
    assert run.params["early_stopping.patience"] == 1
    assert history(run, "loss").value.tolist() == told.history["loss"]


@pytest.mark.edge_case("EC-K7")
def test_a_fit_that_did_not_stop_early_says_nothing_of_it(on, keras):
    stopping = keras.callbacks.EarlyStopping("loss", patience=5)
    line(keras).fit(ROWS, TARGETS, epochs=2, callbacks=[stopping], verbose=0)
    assert "stopped_epoch" not in on.run().metrics
