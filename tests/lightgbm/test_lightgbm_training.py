"""What `lightgbm.train` records: series, best and last iteration, params, importances, data."""

from __future__ import annotations

import copy
import pickle

import lightgbm as lgb
import numpy as np
import pytest

import autolog


@pytest.mark.edge_case("EC-X8", "EC-R11")
def test_series_are_what_record_evaluation_gives_for_each_set_and_metric(data, recording, series):
    history = {}
    train = data.train()
    lgb.train(
        {**data.params, "metric": ["auc", "binary_logloss"]},
        train,
        10,
        valid_sets=[train, data.valid(train), data.valid(train, slice(100, 130))],
        valid_names=["training", "late", "early"],
        callbacks=[lgb.record_evaluation(history)],
    )
    run = recording.run()
    assert (run.status, run.kind, run.tags["eval_sets"]) == (
        "FINISHED",
        "fit",
        "training, late, early",
    )
    found = {f"{name}-{metric}" for name, metrics in history.items() for metric in metrics}
    assert found == {name for name in run.metrics if "-" in name}
    assert len(found) == 6
    for name, metrics in history.items():
        for metric, values in metrics.items():
            assert series(f"{name}-{metric}") == values


def stop_by_callback(data):
    return data.booster(200, callbacks=[lgb.early_stopping(3, verbose=False)])


def stop_by_parameter(data):
    return data.booster(200, {"n_iter_no_change": 3})


def stop_in_an_estimator(data):
    model = data.estimator().set_params(n_estimators=200, random_state=3)
    pair = (data.X[100:], data.y[100:])
    stop = [lgb.early_stopping(3, verbose=False)]
    model.fit(data.X[:100], data.y[:100], **data.evals(pair), callbacks=stop)
    return model.booster_


@pytest.mark.edge_case("EC-X1")
@pytest.mark.parametrize("train", [stop_by_callback, stop_by_parameter, stop_in_an_estimator])
def test_best_and_stopped_iteration_are_known_however_the_stop_was_asked_for(
    data, recording, series, train
):
    booster = train(data)
    metrics = recording.run().metrics
    values = series("valid_0-binary_logloss")
    assert 0 < booster.best_iteration < 197
    assert metrics["best_iteration"] == booster.best_iteration == np.argmin(values) + 1
    assert metrics["stopped_iteration"] == len(values) == booster.best_iteration + 3
    assert metrics["best_score"] == booster.best_score["valid_0"]["binary_logloss"]


def test_a_training_that_ran_to_its_end_has_no_stopped_iteration(data, recording):
    data.booster(3, callbacks=[lgb.early_stopping(50, verbose=False)])
    data.booster(3)
    asked, plain = recording.runs()
    assert asked.metrics["best_iteration"] == 3
    assert "stopped_iteration" not in asked.metrics
    assert "best_iteration" not in plain.metrics


@pytest.mark.edge_case("EC-X2")
def test_a_continued_training_goes_on_with_absolute_iterations(data, recording):
    with autolog.start_run():
        first = data.booster(5)
        data.booster(100, init_model=first, callbacks=[lgb.early_stopping(2, verbose=False)])
    run = recording.run()
    history = autolog.metric_history(run.run_id, "valid_0-binary_logloss")
    assert run.status == "FINISHED"
    assert history.step.tolist() == list(range(len(history.value)))
    assert run.metrics["stopped_iteration"] == len(history.value)
    assert run.params["fit.2.init_model"] == "Booster"


def absolute_error(predicted, dataset):
    return "mean_error", float(np.abs(predicted - dataset.get_label()).mean()), False


def squares(predicted, dataset):
    return predicted - dataset.get_label(), np.ones_like(predicted)


def test_custom_objectives_and_metrics_are_recorded(data, recording, series):
    options = {"params": {"objective": squares, "metric": "None"}}
    if lgb.__version__.startswith("3."):
        options = {"params": {"metric": "None"}, "fobj": squares}
    history = {}
    data.booster(4, **options, feval=[absolute_error], callbacks=[lgb.record_evaluation(history)])
    assert series("valid_0-mean_error") == history["valid_0"]["mean_error"]
    params = recording.run().params
    assert "squares" in (params["objective"], params.get("fobj"))
    assert params["feval"] == ["absolute_error"]


@pytest.mark.edge_case("EC-X5")
def test_a_training_without_evaluation_says_so_and_can_evaluate_its_own_data(data, recording):
    data.booster(4, valid_sets=None)
    autolog.autolog("lightgbm", lightgbm={"train_metrics": True})
    plain = data.booster(4, valid_sets=None)
    without, asked = recording.runs()
    assert without.tags["eval_sets"] == "none"
    assert not any("-" in name for name in without.metrics)
    values = autolog.metric_history(asked.run_id, "training-binary_logloss").value
    chances = plain.predict(data.X[:100])
    loss = -np.mean(np.log(np.where(data.y[:100] == 1, chances, 1 - chances)))
    assert len(values) == 4
    assert values[-1] == pytest.approx(loss)


@pytest.mark.edge_case("EC-R6")
def test_a_crash_leaves_all_iterations_before_it(data, recording, series):
    def fail(env):
        if env.iteration == 3:
            raise RuntimeError("here")

    fail.order = 50
    with pytest.raises(RuntimeError, match="here"):
        data.booster(20, callbacks=[fail])
    assert recording.run().status == "FAILED"
    assert len(series("valid_0-binary_logloss")) == 4


@pytest.mark.edge_case("EC-N3")
def test_the_users_callbacks_are_the_same_list_with_the_same_elements(data, recording):
    callbacks = [lgb.log_evaluation(0)]
    before = list(callbacks)
    for _ in range(2):
        data.booster(2, callbacks=callbacks)
    assert callbacks == before
    assert [run.status for run in recording.runs()] == ["FINISHED"] * 2


@pytest.mark.parametrize("callbacks", [(), (lgb.log_evaluation(0),), set()])
def test_callbacks_may_be_any_collection(data, recording, series, callbacks):
    data.booster(3, callbacks=callbacks)
    assert len(series("valid_0-binary_logloss")) == 3


def test_callbacks_that_lightgbm_refuses_fail_as_they_do_alone(data, recording):
    with pytest.raises(TypeError) as watched:
        data.booster(2, callbacks=lgb.log_evaluation(0))
    autolog.disable()
    with pytest.raises(TypeError) as plain:
        data.booster(2, callbacks=lgb.log_evaluation(0))
    assert str(watched.value) == str(plain.value)


@pytest.mark.edge_case("EC-T6")
def test_the_callback_that_is_added_copies_and_pickles(data, recording, series):
    from autolog_lightgbm.rounds import Callback

    taken = []
    callback = Callback(taken.append)
    for other in (copy.deepcopy(callback), pickle.loads(pickle.dumps(callback))):
        assert (other.order, other.before_iteration) == (25, False)
        other("nothing")
    assert taken == []


@pytest.mark.edge_case("EC-X7")
def test_importances_are_a_table_and_empty_ones_are_no_trouble(data, recording):
    booster = data.booster(4)
    data.booster(2, {"min_data_in_leaf": 1000})
    full, stump = recording.runs()
    (table,) = recording.events("table", full)
    assert table["name"] == "feature_importances"
    assert table["columns"]["feature"] == booster.feature_name()
    assert table["columns"]["gain"] == booster.feature_importance("gain").tolist()
    assert table["columns"]["split"] == booster.feature_importance("split").tolist()
    (empty,) = recording.events("table", stump)
    assert empty["columns"]["gain"] == [0.0] * 4


def test_params_are_those_that_were_given_and_the_rounds(data, recording):
    data.booster(3, {"eta": 0.2, "num_leaf": 6}, keep_training_booster=True)
    params = recording.run().params
    assert (params["eta"], params["num_leaf"], params["num_boost_round"]) == (0.2, 6, 3)
    assert params["keep_training_booster"] is True


@pytest.mark.edge_case("EC-X4")
def test_data_is_described_and_not_constructed_before_its_time(data, recording, tmp_path):
    path = tmp_path / "rows.csv"
    np.savetxt(path, np.column_stack([data.y, data.X]), delimiter=",")
    lgb.train(data.params, lgb.Dataset(str(path)), 2)
    data.booster(2)
    file, rows = recording.runs()
    (described,) = recording.details(file).inputs
    assert described.role == "train"
    shapes = {one.role: one.profile.get("shape") for one in recording.details(rows).inputs}
    assert shapes["train"] == [100, 4]
    assert shapes["validation"] == [60, 4]
    assert lgb.Dataset(None).data is None


def test_a_model_in_a_file_may_be_continued(data, recording, tmp_path):
    data.booster(3).save_model(str(tmp_path / "model.txt"))
    data.booster(3, init_model=str(tmp_path / "model.txt"))
    history = autolog.metric_history(recording.runs()[-1].run_id, "valid_0-binary_logloss")
    assert history.step.tolist() == [3, 4, 5]


@pytest.mark.edge_case("EC-R7")
def test_a_training_of_one_iteration_has_one_point_of_each_series(data, series):
    history = {}
    data.booster(1, callbacks=[lgb.record_evaluation(history)])
    assert series("valid_0-binary_logloss") == history["valid_0"]["binary_logloss"]
    assert len(history["valid_0"]["binary_logloss"]) == 1
