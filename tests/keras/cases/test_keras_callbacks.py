"""What the user's callbacks are set up to do and did: early stopping, checkpoints, logs."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest

import autolog
from autolog_keras import callbacks
from tests.keras.cases.models import ROWS, TARGETS, history, line


@pytest.fixture(autouse=True)
def _on(on: Any) -> None:
    """Autologging is on in each of these tests."""


def _told(keras: Any, values: list[float], key: str = "score") -> Any:
    """A callback that gives Keras the values of a metric, as a user's own does."""

    class Tells(keras.callbacks.Callback):
        def on_epoch_end(self, epoch: int, logs: Any = None) -> None:
            logs[key] = values[epoch]

    return Tells()


def _fit(keras: Any, *given: Any, epochs: int = 5, model: Any = None, **arguments: Any) -> Any:
    model = model if model is not None else line(keras)
    model.fit(ROWS, TARGETS, epochs=epochs, callbacks=list(given), verbose=0, **arguments)
    return model


# -- how they are set up ---------------------------------------------------------------------


@pytest.mark.edge_case("EC-K5", "EC-K6")
def test_callbacks_of_keras_and_derived_from_them_are_described(keras):
    class Mine(keras.callbacks.EarlyStopping):
        pass

    stopping = {"monitor": "loss", "min_delta": 0.5, "patience": 3, "mode": "min"}
    params = callbacks.params(
        [
            Mine(**stopping, restore_best_weights=True),
            keras.callbacks.ReduceLROnPlateau(monitor="loss", factor=0.5),
            keras.callbacks.LearningRateScheduler(_warm_up),
            keras.callbacks.ModelCheckpoint("a.keras", save_best_only=True),
            keras.callbacks.TerminateOnNaN(),
        ]
    )
    assert {key: params[f"early_stopping.{key}"] for key in stopping} == stopping
    assert params["early_stopping.restore_best_weights"] is True
    assert params["early_stopping.start_from_epoch"] == 0
    assert (params["reduce_lr.monitor"], params["reduce_lr.factor"]) == ("loss", 0.5)
    assert params["lr_schedule.schedule"] == "_warm_up"
    assert params["checkpoint.save_best_only"] is True
    assert params["checkpoint.filepath"] == "a.keras"


def _warm_up(epoch, rate):
    return rate * 0.5 if epoch else rate


def test_several_of_a_kind_are_numbered(keras):
    stopping = keras.callbacks.EarlyStopping
    params = callbacks.params([stopping("loss", patience=1), stopping("mae", patience=2)])
    assert (params["early_stopping.0.monitor"], params["early_stopping.1.monitor"]) == (
        "loss",
        "mae",
    )
    assert "early_stopping.monitor" not in params


@pytest.mark.edge_case("EC-D11")
def test_what_is_written_beside_the_run_is_linked_and_left_where_it_is(recording, keras, tmp_path):
    log = tmp_path / "log.csv"
    _fit(keras, keras.callbacks.CSVLogger(str(log)), epochs=2)
    assert recording.run().tags["csv_log"] == str(log)
    assert len(log.read_text().splitlines()) == 3
    board = keras.callbacks.TensorBoard(log_dir=str(tmp_path / "board"))
    assert callbacks.tags([board]) == {"tensorboard": str(tmp_path / "board")}


# -- early stopping --------------------------------------------------------------------------


@pytest.mark.edge_case("EC-K5")
def test_a_fit_that_stops_early_says_when_and_what_it_went_back_to(recording, keras):
    stopping = keras.callbacks.EarlyStopping(
        "score", patience=2, mode="max", restore_best_weights=True
    )
    _fit(keras, _told(keras, [0.1, 0.3, 0.2, 0.2, 0.9]), stopping)
    run = recording.run()
    assert {key: run.metrics[key] for key in run.metrics if "_epoch" in key} == {
        "best_epoch": 1,
        "stopped_epoch": 3,
        "restored_epoch": 1,
    }
    assert run.metrics["best_score"] == 0.3
    (event,) = recording.events("early_stopping")
    assert event == {
        "monitor": "score",
        "mode": "max",
        "patience": 2,
        "stopped_epoch": 3,
        "best_epoch": 1,
        "best_score": 0.3,
        "restored_epoch": 1,
    }
    assert run.params["early_stopping.patience"] == 2


@pytest.mark.edge_case("EC-K7", "EC-K5")
@pytest.mark.parametrize("restore", [True, False])
def test_a_fit_that_does_not_stop_early_has_no_epoch_of_it(recording, keras, restore):
    stopping = keras.callbacks.EarlyStopping(
        "score", patience=9, mode="max", restore_best_weights=restore
    )
    _fit(keras, _told(keras, [0.1, 0.3, 0.2]), stopping, epochs=3)
    run = recording.run()
    assert "stopped_epoch" not in run.metrics
    assert run.metrics["best_epoch"] == 1
    # the weights are put back at the end of any fit
    assert run.metrics.get("restored_epoch") == (1 if restore else None)
    assert not recording.events("early_stopping")


@pytest.mark.edge_case("EC-K5")
def test_epochs_of_a_model_that_is_trained_again_are_counted_on(recording, keras):
    stopping = keras.callbacks.EarlyStopping("score", patience=1, mode="min")
    told = _told(keras, [0.5, 0.6, 0.7])
    model = _fit(keras, told, stopping, epochs=3)
    # some versions keep the best value of the fit before, which no epoch of this one reaches
    later = _told(keras, [0.8, 0.7, 0.75])
    _fit(keras, later, stopping, epochs=3, model=model)
    first, second = recording.runs()
    assert (first.metrics["best_epoch"], first.metrics["stopped_epoch"]) == (0, 1)
    assert (second.metrics["best_epoch"], second.metrics["stopped_epoch"]) == (3, 4)
    assert second.metrics["best_score"] == 0.7


def test_two_early_stoppings_are_told_apart(recording, keras):
    stopping = keras.callbacks.EarlyStopping
    told = _told(keras, [0.1, 0.3, 0.2])
    up, down = stopping("score", patience=9, mode="max"), stopping("score", 0, 1, mode="min")
    _fit(keras, told, up, down, epochs=3)
    run = recording.run()
    assert run.metrics["best_epoch/0"] == 1
    assert (run.metrics["best_epoch/1"], run.metrics["stopped_epoch/1"]) == (0, 1)
    assert "stopped_epoch/0" not in run.metrics


def test_a_fit_that_fails_has_restored_nothing(recording, keras):
    stopping = keras.callbacks.EarlyStopping("loss", patience=9, restore_best_weights=True)

    class Breaks(keras.callbacks.Callback):
        def on_epoch_begin(self, epoch: int, logs: Any = None) -> None:
            if epoch == 2:
                raise RuntimeError("broken")

    with pytest.raises(RuntimeError, match="broken"):
        _fit(keras, stopping, Breaks())
    run = recording.run()
    assert run.status == "FAILED"
    assert "best_epoch" in run.metrics
    assert "restored_epoch" not in run.metrics


# -- checkpoints -----------------------------------------------------------------------------


def _files(folder: Path) -> dict[str, bytes]:
    return {one.name: one.read_bytes() for one in folder.iterdir()}


@pytest.mark.edge_case("EC-D11")
def test_checkpoints_are_taken_as_they_are_written_the_last_and_the_best(
    recording, keras, tmp_path
):
    autolog.autolog("keras", log_models="auto")
    folder = tmp_path / "kept"
    folder.mkdir()
    seen: dict[str, bytes] = {}
    weights: list[Any] = []

    class Looks(keras.callbacks.Callback):
        def on_epoch_end(self, epoch: int, logs: Any = None) -> None:
            seen.update(_files(folder))
            weights.append(self.model.get_weights())

    saves = keras.callbacks.ModelCheckpoint(
        str(folder / "model-{epoch}.keras"), monitor="score", mode="max"
    )
    _fit(keras, _told(keras, [0.1, 0.3, 0.2]), saves, Looks(), epochs=3)
    assert _files(folder) == seen
    assert len(seen) == 3
    written = recording.events("checkpoint")
    assert [one["epoch"] for one in written] == [0, 1, 2]
    assert [Path(one["path"]).name for one in written] == list(seen)
    run = recording.run()
    assert run.tags["best_checkpoint"] == str(folder / "model-2.keras")
    for name, epoch in (("checkpoint", 2), ("checkpoint-best", 1), ("model", 2)):
        loaded = autolog.load_model(run, name)
        for one, old in zip(loaded.get_weights(), weights[epoch], strict=True):
            assert (one == old).all()
    last = autolog.load_model(run).get_weights()
    assert (last[0] == weights[2][0]).all()


def test_weights_are_linked_and_the_last_is_copied(recording, keras, tmp_path):
    autolog.autolog("keras", log_models="auto")
    path = tmp_path / "best.weights.h5"
    saves = keras.callbacks.ModelCheckpoint(
        str(path), monitor="score", mode="max", save_best_only=True, save_weights_only=True
    )
    _fit(keras, _told(keras, [0.1, 0.3, 0.2]), saves, epochs=3)
    (event,) = recording.events("checkpoint")
    assert (event["path"], event["epoch"], event["best"]) == (str(path), 1, True)
    assert event["monitor"] == "score"
    run = recording.run()
    assert run.tags["best_checkpoint"] == str(path)
    stored = autolog.get_artifact(run.run_id, "checkpoints/best.weights.h5")
    assert Path(stored).read_bytes() == path.read_bytes()


def test_what_a_callback_of_the_user_saves_is_a_checkpoint_too(recording, keras, tmp_path):
    def save(epoch: int, _: Any) -> None:
        model.save(tmp_path / f"own-{epoch}.keras")

    model = line(keras)
    _fit(keras, keras.callbacks.LambdaCallback(on_epoch_end=save), epochs=2, model=model)
    model.save(tmp_path / "after.keras")
    assert [Path(one["path"]).name for one in recording.events("checkpoint")] == [
        "own-0.keras",
        "own-1.keras",
    ]


@pytest.mark.edge_case("EC-K6")
def test_without_the_option_checkpoints_are_named_only(recording, keras, tmp_path):
    autolog.autolog(keras={"checkpoints": False})
    path = tmp_path / "model.keras"
    stopping = keras.callbacks.EarlyStopping("loss", patience=9)
    _fit(keras, keras.callbacks.ModelCheckpoint(str(path)), stopping, epochs=2)
    (event,) = recording.events("checkpoint")
    assert (event["path"], event["epoch"], event["artifact"]) == (str(path), 1, None)
    run = recording.run()
    assert not [one for one in autolog.list_artifacts(run.run_id) if "checkpoint" in one.path]
    assert "best_epoch" in run.metrics


@pytest.mark.edge_case("EC-D11")
def test_a_backup_is_gone_on_from_and_is_no_checkpoint(recording, keras, tmp_path):
    class Breaks(keras.callbacks.Callback):
        def on_epoch_begin(self, epoch: int, logs: Any = None) -> None:
            if epoch == 2 and not history_of_breaks:
                history_of_breaks.append(epoch)
                raise RuntimeError("broken")

    history_of_breaks: list[int] = []
    keeps = keras.callbacks.BackupAndRestore(str(tmp_path / "backup"))
    with pytest.raises(RuntimeError, match="broken"):
        _fit(keras, keeps, Breaks(), epochs=4)
    _fit(keras, keeps, Breaks(), epochs=4)
    _, run = recording.runs()
    assert history(run, "loss").step.tolist() == [2, 3]
    assert run.params["backup.backup_dir"].endswith("backup")
    assert not [one for run in recording.runs() for one in recording.events("checkpoint", run)]


@pytest.mark.edge_case("EC-D10")
def test_a_fit_with_callbacks_trains_to_the_same_bits(recording, keras, tmp_path):
    def trained() -> list[Any]:
        keras.utils.set_random_seed(3)
        model = line(keras, optimizer="adam")
        saves = keras.callbacks.ModelCheckpoint(str(tmp_path / "m.keras"))
        stops = keras.callbacks.EarlyStopping("loss", patience=1, restore_best_weights=True)
        return _fit(keras, saves, stops, epochs=3, model=model).get_weights()

    told = trained()
    assert recording.run().params["early_stopping.patience"] == 1
    autolog.disable()
    assert all(np.array_equal(one, old) for one, old in zip(trained(), told, strict=True))
