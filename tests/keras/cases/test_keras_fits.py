"""What a fit records: Keras' own logs, by epoch, in every way that a fit can be called."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

import autolog
from tests.keras.cases.models import ROWS, TARGETS, history, line


@pytest.fixture(autouse=True)
def _on(on: Any) -> None:
    """Autologging is on in each of these tests."""


@pytest.mark.edge_case("EC-K9", "EC-V10", "EC-R11")
def test_the_series_are_those_of_history_with_the_epoch_as_step(recording, keras):
    told = line(keras).fit(ROWS, TARGETS, epochs=3, validation_split=0.25, verbose=0)
    run = recording.run()
    assert (run.kind, run.status) == ("fit", "FINISHED")
    assert run.name.startswith("Sequential-")
    assert set(told.history) == {"loss", "mae", "val_loss", "val_mae"}
    for key, values in told.history.items():
        series = history(run, key)
        assert series.value.tolist() == values
        assert series.step.tolist() == series.epoch.tolist() == [0, 1, 2]
    assert not [key for key in run.metrics if key.startswith("validation")]
    assert len(history(run, "epoch_seconds").value) == 3
    assert run.metrics["fit_seconds"] >= history(run, "epoch_seconds").value.sum()


@pytest.mark.edge_case("EC-R7")
def test_one_epoch_is_one_point(recording, keras):
    line(keras).fit(ROWS, TARGETS, epochs=1, verbose=0)
    assert history(recording.run(), "loss").step.tolist() == [0]


@pytest.mark.edge_case("EC-N1", "EC-N3")
def test_a_model_that_is_trained_again_counts_on_in_a_run_of_its_own(recording, keras):
    model, callbacks = line(keras), [keras.callbacks.Callback()]
    before = list(callbacks)
    model.fit(ROWS, TARGETS, epochs=2, callbacks=callbacks, verbose=0)
    model.fit(ROWS, TARGETS, epochs=2, callbacks=callbacks, verbose=0)
    model.fit(ROWS, TARGETS, initial_epoch=4, epochs=6, callbacks=callbacks, verbose=0)
    assert callbacks == before
    runs = recording.runs()
    assert [history(run, "loss").step.tolist() for run in runs] == [[0, 1], [2, 3], [4, 5]]
    assert [run.tags.get("resumed_from") for run in runs] == [None, runs[0].run_id, runs[1].run_id]
    assert {run.status for run in runs} == {"FINISHED"}


def test_a_model_that_is_set_back_for_the_next_fold_is_trained_anew(recording, keras):
    model = line(keras)
    initial = model.get_weights()
    keeping = keras.callbacks.EarlyStopping("loss", patience=3, restore_best_weights=True)
    for _ in range(2):
        model.set_weights(initial)
        model.fit(ROWS, TARGETS, epochs=2, callbacks=[keeping], verbose=0)
    model.fit(ROWS, TARGETS, epochs=1, verbose=0)
    runs = recording.runs()
    assert [history(run, "loss").step.tolist() for run in runs] == [[0, 1], [0, 1], [2]]
    assert [run.tags.get("resumed_from") for run in runs] == [None, None, runs[1].run_id]


@pytest.mark.edge_case("EC-N1", "EC-R10")
def test_fits_in_a_run_of_the_user_join_it_go_on_or_are_children(recording, keras):
    with autolog.start_run() as mine:
        model = line(keras)
        model.fit(ROWS, TARGETS, epochs=2, verbose=0)
        model.fit(ROWS, TARGETS, epochs=3, verbose=0)
        line(keras).fit(ROWS, TARGETS, epochs=1, verbose=0)
        assert autolog.active_run() is mine
    outer, other = recording.runs()
    assert history(outer, "loss").step.tolist() == [0, 1, 2, 3, 4]
    assert other.parent_id == outer.run_id
    assert history(other, "loss").step.tolist() == [0]
    assert (outer.params["epochs"], outer.params["fit.2.epochs"]) == (2, 3)


def test_an_epoch_that_is_not_the_first_keeps_its_number(recording, keras):
    line(keras).fit(ROWS, TARGETS, initial_epoch=3, epochs=5, verbose=0)
    assert history(recording.run(), "loss").step.tolist() == [3, 4]


def test_what_a_callback_puts_into_the_logs_is_recorded(recording, keras):
    class Counting(keras.callbacks.Callback):
        def on_epoch_end(self, epoch, logs=None):
            logs["seen"] = 10.0 * (epoch + 1)

    model = line(keras)
    told = model.fit(ROWS, TARGETS, epochs=2, callbacks=[Counting()], verbose=0)
    assert history(recording.run(), "seen").value.tolist() == told.history["seen"] == [10.0, 20.0]


def test_the_learning_rate_of_an_epoch_is_the_one_it_was_trained_with(recording, keras, backend):
    class Halving(keras.callbacks.Callback):
        def on_epoch_end(self, epoch, logs=None):
            self.model.optimizer.learning_rate = 0.5 ** (epoch + 2)

    line(keras, optimizer=keras.optimizers.SGD(0.5)).fit(
        ROWS, TARGETS, epochs=3, callbacks=[Halving()], verbose=0
    )
    decaying = keras.optimizers.schedules.ExponentialDecay(0.5, decay_steps=1, decay_rate=0.5)
    line(keras, optimizer=keras.optimizers.SGD(decaying)).fit(
        ROWS, TARGETS, batch_size=16, epochs=2, verbose=0
    )
    by_callback, by_schedule = recording.runs()
    key = "lr" if keras.__name__ == "tf_keras" else "learning_rate"
    assert history(by_callback, key).value.tolist() == [0.5, 0.25, 0.125]
    assert history(by_schedule, key).value.tolist() == pytest.approx([0.125, 0.03125])


def test_a_learning_rate_that_keras_logs_itself_is_recorded_once(recording, keras):
    scheduler = keras.callbacks.LearningRateScheduler(lambda epoch: 0.1 / (epoch + 1))
    told = line(keras).fit(ROWS, TARGETS, epochs=2, callbacks=[scheduler], verbose=0)
    run = recording.run()
    (key,) = {"lr", "learning_rate"} & set(run.metrics)
    assert history(run, key).value.tolist() == [float(one) for one in told.history[key]]


def test_running_metrics_of_batches_are_recorded_when_asked_for(recording, keras):
    autolog.autolog("keras", keras={"every_n_batches": 3})

    class Told(keras.callbacks.Callback):
        def __init__(self):
            super().__init__()
            self.losses = []

        def on_train_batch_end(self, batch, logs=None):
            self.losses.append(float(logs["loss"]))

    told, model = Told(), line(keras)
    model.fit(ROWS, TARGETS, batch_size=4, epochs=2, callbacks=[told], verbose=0)
    run = recording.run()
    series = history(run, "batch/loss")
    assert series.step.tolist() == [2, 5, 10, 13]
    assert series.epoch.tolist() == [0, 0, 1, 1]
    assert series.value == pytest.approx(np.array(told.losses)[[2, 5, 10, 13]])
    assert history(run, "loss").step.tolist() == [0, 1]


def test_without_the_option_no_batch_is_recorded(recording, keras):
    line(keras).fit(ROWS, TARGETS, verbose=0)
    assert not [key for key in recording.run().metrics if key.startswith("batch/")]


def test_evaluations_belong_to_the_run_of_the_model(recording, keras):
    model = line(keras)
    model.fit(ROWS, TARGETS, verbose=0)
    X_test, y_test = ROWS[:8], TARGETS[:8]
    loss, mae = model.evaluate(X_test, y_test, verbose=0)
    named = model.evaluate(ROWS, TARGETS, verbose=0, return_dict=True)
    metrics = recording.run().metrics
    assert (metrics["test/loss"], metrics["test/mae"]) == (loss, mae)
    assert (metrics["ROWS/loss"], metrics["ROWS/mae"]) == (named["loss"], named["mae"])


def test_an_evaluation_in_a_callback_is_one_of_its_epoch(recording, keras):
    x_test, y_test = ROWS[:8], TARGETS[:8]

    class Testing(keras.callbacks.Callback):
        def on_epoch_end(self, epoch, logs=None):
            self.told = self.model.evaluate(x_test, y_test, verbose=0)

    testing = Testing()
    line(keras).fit(ROWS, TARGETS, epochs=2, validation_split=0.25, callbacks=[testing], verbose=0)
    run = recording.run()
    series = history(run, "test/loss")
    assert series.step.tolist() == series.epoch.tolist() == [0, 1]
    assert series.value.tolist()[-1] == testing.told[0]
    assert not [key for key in run.metrics if key.startswith("val/")]


def test_a_model_that_was_trained_elsewhere_is_evaluated_in_a_run_of_its_own(recording, keras):
    autolog.disable()
    model = line(keras)
    model.fit(ROWS, TARGETS, verbose=0)
    autolog.autolog("keras")
    model.evaluate(ROWS, TARGETS, verbose=0)
    run = recording.run()
    assert run.kind == "eval"
    assert "ROWS/loss" in run.metrics


@pytest.mark.edge_case("EC-R6", "EC-R2")
def test_a_fit_that_fails_keeps_the_epochs_before_it(recording, keras):
    class Failing(keras.callbacks.Callback):
        def on_epoch_end(self, epoch, logs=None):
            if epoch == 2:
                raise ValueError("enough")

    with pytest.raises(ValueError, match="enough"):
        line(keras).fit(ROWS, TARGETS, epochs=5, callbacks=[Failing()], verbose=0)
    run = recording.run()
    assert run.status == "FAILED"
    assert history(run, "loss").step.tolist() == [0, 1, 2]
    assert autolog.active_run() is None


def test_a_fit_that_fails_within_an_epoch_keeps_the_batches_before_it(recording, keras):
    autolog.autolog("keras", keras={"every_n_batches": 2})

    class Failing(keras.callbacks.Callback):
        def on_train_batch_begin(self, batch, logs=None):
            if batch == 5:
                raise ValueError("enough")

    with pytest.raises(ValueError, match="enough"):
        line(keras).fit(ROWS, TARGETS, batch_size=4, callbacks=[Failing()], verbose=0)
    assert history(recording.run(), "batch/loss").step.tolist() == [1, 3]


def test_an_evaluation_before_an_epoch_is_one_of_the_epoch_before_it(recording, keras):
    x_test, y_test = ROWS[:8], TARGETS[:8]

    class Testing(keras.callbacks.Callback):
        def on_train_begin(self, logs=None):
            self.model.evaluate(x_test, y_test, verbose=0)

    model = line(keras)
    for _ in range(2):
        model.fit(ROWS, TARGETS, epochs=2, callbacks=[Testing()], verbose=0)
    steps = [history(run, "test/loss").step.tolist() for run in recording.runs()]
    assert steps == [[-1], [1]]


def test_a_callback_list_of_the_user_serves_as_it_is(recording, keras):
    model = line(keras)
    seen = []

    class Seeing(keras.callbacks.Callback):
        def on_epoch_end(self, epoch, logs=None):
            seen.append(logs["loss"])

    mine = keras.callbacks.CallbackList([Seeing()], add_history=True, model=model, epochs=2)
    members = list(mine.callbacks)
    model.fit(ROWS, TARGETS, epochs=2, callbacks=mine, verbose=0)
    assert mine.callbacks == members
    assert history(recording.run(), "loss").value.tolist() == seen
