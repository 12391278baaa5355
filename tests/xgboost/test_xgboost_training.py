"""What `xgboost.train` records: rounds, the best of them, parameters, data, importances."""

from __future__ import annotations

import copy
import pickle
import threading
import warnings
from typing import ClassVar

import numpy as np
import pytest
import scipy.sparse
import xgboost
from sklearn.metrics import accuracy_score, roc_auc_score
from xgboost.callback import EarlyStopping, LearningRateScheduler, TrainingCallback

import autolog
from tests.xgboost.tables import (
    BINARY,
    MULTI,
    PARAMS,
    QUIET,
    REAL,
    TEST,
    TRAIN,
    X,
    assert_recorded,
    matrices,
    series,
    steps,
)


@pytest.fixture(autouse=True)
def _on(recording):
    autolog.autolog("xgboost")


def tables(recording):
    return {event["name"]: event.get("columns") for event in recording.events("table")}


# --- rounds ------------------------------------------------------------------------------------


@pytest.mark.edge_case("EC-X8", "EC-V2", "EC-V8")
def test_every_eval_set_and_metric_is_a_series_equal_to_the_frameworks(recording):
    train, test = matrices()
    told = {}
    params = {**PARAMS, "eval_metric": ["logloss", "auc", "error@0.7", "ndcg@3-"]}
    evals = [(train, "train"), (test, "Ä/b")]
    xgboost.train(params, train, 7, evals=evals, evals_result=told, **QUIET)
    run = recording.run()
    assert set(told["train"]) == {"logloss", "auc", "error@0.7", "ndcg@3-"}
    assert_recorded(run, told)
    assert run.tags["eval_sets"] == "train, Ä/b"


def test_two_eval_sets_of_one_name_are_recorded_as_the_framework_tells_them(recording):
    train, test = matrices()
    told = {}
    evals = [(train, "data"), (test, "data")]
    xgboost.train(PARAMS, train, 3, evals=evals, evals_result=told, **QUIET)
    run = recording.run()
    assert len(told["data"]["logloss"]) == 6
    assert series(run, "data-logloss") == told["data"]["logloss"]
    assert steps(run, "data-logloss") == [0, 0, 1, 1, 2, 2]


@pytest.mark.parametrize("deprecated", [False, True])
def test_a_custom_objective_and_metric_are_recorded(recording, deprecated):
    def squared(predicted, matrix):
        return predicted - matrix.get_label(), np.ones(len(predicted))

    def spread(predicted, matrix):
        return "spread", float(np.abs(predicted - matrix.get_label()).max())

    name = "feval" if deprecated else "custom_metric"
    if deprecated and name not in xgboost.train.__wrapped__.__code__.co_varnames:
        name = "custom_metric"
    train, test = matrices(REAL)
    told = {}
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        xgboost.train(
            {"max_depth": 2, "nthread": 1},
            train,
            4,
            evals=[(test, "test")],
            evals_result=told,
            obj=squared,
            maximize=False,
            early_stopping_rounds=9,
            **{name: spread},
            **QUIET,
        )
    run = recording.run()
    assert set(told["test"]) == {"rmse", "spread"}
    assert_recorded(run, told)
    assert run.params["obj"].endswith("squared")
    assert run.params[name].endswith("spread")
    assert run.params["maximize"] is False


@pytest.mark.edge_case("EC-R6")
@pytest.mark.parametrize("error", [RuntimeError, KeyboardInterrupt])
def test_a_crash_in_a_round_leaves_the_rounds_before_it(recording, error):
    class Crash(TrainingCallback):
        def after_iteration(self, model, epoch, evals_log):
            if epoch == 4:
                raise error("stop here")
            return False

    train, test = matrices()
    with pytest.raises(error, match="stop here"):
        xgboost.train(PARAMS, train, 9, evals=[(test, "test")], callbacks=[Crash()], **QUIET)
    run = recording.run()
    assert steps(run, "test-logloss") == [0, 1, 2, 3, 4]
    assert run.status == ("KILLED" if error is KeyboardInterrupt else "FAILED")
    assert "stopped_iteration" not in run.metrics


# --- the best round ----------------------------------------------------------------------------


@pytest.mark.edge_case("EC-X1", "EC-K7")
@pytest.mark.parametrize(
    "how",
    [
        {"early_stopping_rounds": 2},
        {"callbacks": [EarlyStopping(rounds=2)]},
        {"callbacks": [EarlyStopping(rounds=2, save_best=True)]},
        {"callbacks": (EarlyStopping(rounds=2, data_name="train", min_delta=0.02),)},
    ],
    ids=["argument", "callback", "save_best", "data_name"],
)
def test_the_best_and_the_last_round_are_known_however_stopping_is_asked_for(recording, how):
    train, test = matrices()
    told = {}
    booster = xgboost.train(
        {**PARAMS, "eta": 0.9},
        train,
        300,
        evals=[(train, "train"), (test, "test")],
        evals_result=told,
        **copy.deepcopy(how),
        **QUIET,
    )
    run = recording.run()
    rounds = len(told["test"]["logloss"])
    assert rounds < 300
    assert_recorded(run, told)
    assert run.metrics["best_iteration"] == booster.best_iteration == rounds - 3
    assert run.metrics["best_score"] == booster.best_score
    assert run.metrics["stopped_iteration"] == rounds - 1


@pytest.mark.edge_case("EC-X1", "EC-K7")
def test_a_training_that_was_not_stopped_has_no_stopped_iteration(recording):
    train, test = matrices()
    xgboost.train(PARAMS, train, 3, evals=[(test, "test")], early_stopping_rounds=50, **QUIET)
    xgboost.train(PARAMS, train, 3, evals=[(test, "test")], **QUIET)
    stopping, plain = recording.runs()
    assert stopping.metrics["best_iteration"] == 2
    assert not {"stopped_iteration"} & stopping.metrics.keys()
    assert not {"stopped_iteration", "best_iteration", "best_score"} & plain.metrics.keys()


@pytest.mark.edge_case("EC-X2")
@pytest.mark.parametrize("as_path", [False, True])
def test_continued_training_counts_its_rounds_on(recording, tmp_path, as_path):
    train, test = matrices()
    evals = [(test, "test")]
    first = xgboost.train(
        {**PARAMS, "eta": 0.9}, train, 40, evals=evals, early_stopping_rounds=3, **QUIET
    )
    done = first.num_boosted_rounds()
    if as_path:
        first.save_model(tmp_path / "first.ubj")
        first = str(tmp_path / "first.ubj")
    told = {}
    second = xgboost.train(
        PARAMS,
        train,
        6,
        evals=evals,
        evals_result=told,
        xgb_model=first,
        early_stopping_rounds=50,
        **QUIET,
    )
    _, run = recording.runs()
    assert run.status == "FINISHED"
    assert_recorded(run, told, start=done)
    assert run.metrics["best_iteration"] == second.best_iteration >= done


@pytest.mark.edge_case("EC-X2")
def test_a_training_without_early_stopping_does_not_inherit_a_best_round(recording):
    train, test = matrices()
    evals = [(test, "test")]
    first = xgboost.train(PARAMS, train, 4, evals=evals, early_stopping_rounds=50, **QUIET)
    xgboost.train(PARAMS, train, 2, evals=evals, xgb_model=first, **QUIET)
    assert "best_iteration" not in recording.runs()[1].metrics


@pytest.mark.edge_case("EC-X2")
def test_in_a_users_run_a_continued_training_goes_on_in_it(recording):
    train, test = matrices()
    with autolog.start_run():
        first = xgboost.train(PARAMS, train, 3, evals=[(test, "test")], **QUIET)
        xgboost.train({**PARAMS, "eta": 0.1}, train, 2, evals=[(test, "test")], xgb_model=first)
    run = recording.run()
    assert steps(run, "test-logloss") == [0, 1, 2, 3, 4]
    assert "eta" not in run.params
    assert run.params["fit.2.eta"] == 0.1


@pytest.mark.filterwarnings("ignore:.*updater.*:UserWarning")
def test_updating_the_trees_of_a_model_counts_from_the_first(recording):
    train, test = matrices()
    first = xgboost.train(PARAMS, train, 4, **QUIET)
    update = {"process_type": "update", "updater": "refresh", "refresh_leaf": True}
    xgboost.train({**PARAMS, **update}, train, 4, evals=[(test, "t")], xgb_model=first, **QUIET)
    assert steps(recording.runs()[1], "t-logloss") == [0, 1, 2, 3]


# --- parameters and data -----------------------------------------------------------------------


def test_parameters_and_arguments_are_recorded_with_their_types(recording):
    train, test = matrices()
    params = {**PARAMS, "eta": np.float32(0.5), "eval_metric": ["auc", "error"], 3: "x"}
    callbacks = [LearningRateScheduler(lambda epoch: 0.2)]
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        xgboost.train(
            {key: value for key, value in params.items() if key != 3},
            train,
            evals=[(test, "t")],
            callbacks=callbacks,
            **QUIET,
        )
    run = recording.run()
    assert run.params["num_boost_round"] == 10
    assert run.params["max_depth"] == 2
    assert run.params["eta"] == 0.5
    assert run.params["eval_metric"] == ["auc", "error"]
    assert run.params["callbacks"] == ["LearningRateScheduler"]
    assert run.tags["estimator"] == "xgboost.Booster"
    assert not {"dtrain", "evals", "evals_result", "params"} & run.params.keys()


def test_parameters_as_a_list_of_pairs_are_recorded(recording):
    train, _ = matrices()
    pairs = [*PARAMS.items(), ("eval_metric", "auc"), ("eval_metric", "error")]
    xgboost.train(pairs, train, 2)
    assert recording.run().params["eval_metric"] == ["auc", "error"]


def test_arguments_given_by_position_against_a_warning_are_understood(recording):
    train, test = matrices()
    told = {}
    with pytest.warns(FutureWarning, match="keyword"):
        xgboost.train(PARAMS, train, 3, [(test, "test")], evals_result=told, **QUIET)
    run = recording.run()
    assert run.params["num_boost_round"] == 3
    assert_recorded(run, told)


def test_the_data_is_named_by_its_role(recording):
    dtrain, dvalid = matrices()
    evals = [(dtrain, "train"), (dvalid, "watch")]
    xgboost.train(PARAMS, dtrain, 2, evals=evals, verbose_eval=False)
    inputs = [(one.role, one.name) for one in recording.details().inputs]
    assert inputs == [("train", "dtrain"), ("validation", "watch")]


@pytest.mark.edge_case("EC-X5")
def test_without_an_eval_set_the_run_says_so(recording):
    train, _ = matrices()
    xgboost.train(PARAMS, train, 3)
    run = recording.run()
    assert run.tags["eval_sets"] == "none"
    assert not [key for key in run.metrics if "logloss" in key]


@pytest.mark.edge_case("EC-X5")
@pytest.mark.parametrize("estimator", [False, True])
def test_a_final_train_metric_is_computed_if_it_is_asked_for(recording, estimator):
    autolog.autolog("xgboost", xgboost={"train_metrics": True})
    train, _ = matrices()
    if estimator:
        xgboost.XGBClassifier(n_estimators=3, max_depth=2, n_jobs=1).fit(X[TRAIN], BINARY[TRAIN])
    else:
        xgboost.train(PARAMS, train, 3)
    told = {}
    autolog.disable()
    xgboost.train(PARAMS, train, 3, evals=[(train, "train")], evals_result=told, **QUIET)
    run = recording.run()
    assert run.metrics["train-logloss"] == told["train"]["logloss"][-1]
    assert steps(run, "train-logloss") == [2]


@pytest.mark.edge_case("EC-X4")
@pytest.mark.filterwarnings("ignore:.*Text file input.*:UserWarning", "ignore:Unknown data type")
def test_matrices_of_every_kind_are_accepted(recording, tmp_path):
    import pandas as pd
    import pyarrow as pa

    class Batches(xgboost.DataIter):
        def __init__(self):
            super().__init__()
            self.at = 0

        def next(self, input_data):
            if self.at == 2:
                return 0
            part = slice(self.at * 80, self.at * 80 + 80)
            input_data(data=X[part], label=BINARY[part])
            self.at += 1
            return 1

        def reset(self):
            self.at = 0

    path = tmp_path / "rows.libsvm"
    path.write_text(
        "".join(f"{y} 0:{a:.3f} 1:{b:.3f}\n" for y, (a, b, *_) in zip(BINARY, X, strict=True))
    )
    frame = pd.DataFrame(X, columns=["a", "b", "c", "d"])
    made = [
        lambda: xgboost.DMatrix(f"{path}?format=libsvm"),
        lambda: xgboost.DMatrix(Batches()),
        lambda: xgboost.DMatrix(frame, label=BINARY),
        lambda: xgboost.DMatrix(pa.Table.from_pandas(frame), label=BINARY),
        lambda: xgboost.DMatrix(scipy.sparse.csr_matrix(X), label=BINARY),
        lambda: xgboost.QuantileDMatrix(X, label=BINARY),
    ]
    for make in made:
        xgboost.train(PARAMS, make(), 2, **QUIET)
    with pytest.raises(TypeError) as watched:
        xgboost.DMatrix(None)
    autolog.disable()
    with pytest.raises(TypeError) as plain:
        xgboost.DMatrix(None)
    assert str(watched.value) == str(plain.value)
    assert [run.status for run in recording.runs()] == ["FINISHED"] * len(made)


@pytest.mark.edge_case("EC-D5")
def test_data_and_matrices_are_not_read_for_the_record(recording):
    class Watched(xgboost.DMatrix):
        asked: ClassVar[list[str]] = []

        def __getattribute__(self, name):
            if name not in {"handle", "__class__"}:
                Watched.asked.append(name)
            return super().__getattribute__(name)

    def asked():
        train = Watched(X[TRAIN], label=BINARY[TRAIN])
        test = Watched(X[TEST], label=BINARY[TEST])
        Watched.asked.clear()
        xgboost.train(PARAMS, train, 2, evals=[(train, "train"), (test, "t")], **QUIET)
        return list(Watched.asked)

    watched = asked()
    autolog.disable()
    assert watched == asked()


# --- importances -------------------------------------------------------------------------------


def test_importances_of_every_type_are_a_table(recording):
    train = xgboost.DMatrix(X, label=BINARY, feature_names=["a", "b", "c", "d"])
    booster = xgboost.train(PARAMS, train, 5)
    columns = tables(recording)["feature_importances"]
    assert set(columns) == {"feature", "weight", "gain", "cover", "total_gain", "total_cover"}
    for kind in set(columns) - {"feature"}:
        scores = dict(zip(columns["feature"], columns[kind], strict=True))
        assert scores == booster.get_score(importance_type=kind)
    assert columns["total_gain"] == sorted(columns["total_gain"], reverse=True)


@pytest.mark.edge_case("EC-X7")
@pytest.mark.parametrize(
    ("params", "target", "table"),
    [
        ({"gamma": 1e9}, BINARY, None),
        ({"max_depth": 1}, np.zeros(160), None),
        ({"booster": "gblinear"}, BINARY, "coefficients"),
        ({"booster": "gblinear", "objective": "multi:softprob", "num_class": 3}, MULTI, "many"),
        ({"multi_strategy": "multi_output_tree", "objective": "reg:squarederror"}, None, None),
        ({"booster": "dart", "rate_drop": 0.5}, BINARY, "feature_importances"),
    ],
    ids=["no split", "constant", "gblinear", "gblinear of classes", "vector leaf", "dart"],
)
def test_a_model_without_importances_is_no_trouble(recording, params, target, table):
    label = np.stack([REAL, -REAL], axis=1) if target is None else target
    params = {**PARAMS, **params}
    if params.get("booster") == "gblinear":
        del params["max_depth"]
    booster = xgboost.train(params, xgboost.DMatrix(X, label=label), 3)
    run = recording.run()
    assert (run.status, run.logging_errors) == ("FINISHED", [])
    found = tables(recording)
    if table == "coefficients":
        coefficients = found["coefficients"]
        scores = booster.get_score(importance_type="weight")
        assert (
            dict(zip(coefficients["feature"], coefficients["coefficient"], strict=True)) == scores
        )
    elif table == "many":
        assert len(found["coefficients"]) == 1 + 3
    elif table is None:
        assert not found or params.get("multi_strategy")
    else:
        assert table in found


def test_the_table_of_importances_has_at_most_a_thousand_rows(recording):
    random = np.random.default_rng(0)
    wide, target = random.normal(size=(300, 1500)), random.integers(0, 2, 300)
    few = {"colsample_bynode": 0.001, "max_bin": 4, "min_child_weight": 0, "max_depth": 6}
    params = {**PARAMS, **few, "num_parallel_tree": 10}
    booster = xgboost.train(params, xgboost.DMatrix(wide, label=target), 8)
    assert len(booster.get_score()) > 1000
    (table,) = recording.events("table")
    assert table["rows"] == 1000


def test_importances_can_be_switched_off(recording):
    autolog.autolog("xgboost", xgboost={"importances": False})
    train, _ = matrices()
    xgboost.train(PARAMS, train, 3)
    assert tables(recording) == {}


# --- callbacks ---------------------------------------------------------------------------------


@pytest.mark.edge_case("EC-N3")
@pytest.mark.parametrize("kind", [list, tuple, iter])
def test_the_users_callbacks_are_the_same_objects_after_two_trainings(recording, kind):
    train, test = matrices()
    mine = [LearningRateScheduler([0.3] * 4)]
    for _ in range(2):
        given = mine if kind is list else kind(mine)
        xgboost.train(PARAMS, train, 4, evals=[(test, "t")], callbacks=given, **QUIET)
    assert len(mine) == 1
    assert [steps(run, "t-logloss") for run in recording.runs()] == [[0, 1, 2, 3]] * 2


@pytest.mark.parametrize("callbacks", [5, [5]])
def test_callbacks_that_are_none_raise_as_without_autolog(recording, callbacks):
    train, _ = matrices()
    with pytest.raises((TypeError, AssertionError)) as watched:
        xgboost.train(PARAMS, train, 1, callbacks=callbacks)
    autolog.disable()
    with pytest.raises((TypeError, AssertionError)) as plain:
        xgboost.train(PARAMS, train, 1, callbacks=callbacks)
    assert type(watched.value) is type(plain.value)
    assert str(watched.value) == str(plain.value)


@pytest.mark.edge_case("EC-T6")
def test_our_callback_can_be_pickled_and_copied(recording):
    ours = []

    class Look(TrainingCallback):
        def after_iteration(self, model, epoch, evals_log):
            import gc

            from autolog_xgboost.callback import RecordingCallback

            ours.extend(one for one in gc.get_objects() if type(one) is RecordingCallback)
            return True

    train, test = matrices()
    xgboost.train(PARAMS, train, 3, evals=[(test, "t")], callbacks=[Look()], **QUIET)
    loaded = pickle.loads(pickle.dumps(ours[0]))
    assert type(loaded) is TrainingCallback
    history = ours[0]._series.history
    history["t"]["logloss"].append(0.5)
    assert copy.deepcopy(ours[0]).after_iteration(None, 1, history) is False
    assert series(recording.run(), "t-logloss")[-1] == 0.5


def test_what_our_callback_raises_never_reaches_the_training(recording, monkeypatch):
    from autolog.capture.spans import CaptureSpan

    monkeypatch.delenv("AUTOLOG_STRICT")
    autolog.disable()
    train, test = matrices()
    plain = xgboost.train(PARAMS, train, 6, evals=[(test, "t")], **QUIET)
    autolog.autolog("xgboost")

    def broken(*_, **__):
        raise OSError("no space")

    monkeypatch.setattr(CaptureSpan, "metrics", broken)
    watched = xgboost.train(PARAMS, train, 6, evals=[(test, "t")], **QUIET)
    assert watched.save_raw() == plain.save_raw()
    assert recording.run().status == "FINISHED"


# --- evaluations and threads ---------------------------------------------------------------------


def test_metrics_of_predictions_belong_to_the_models_run(recording):
    autolog.autolog("sklearn")
    dtrain, dtest = matrices()
    booster = xgboost.train(PARAMS, dtrain, 3)
    y_test = BINARY[TEST]
    scores = booster.predict(dtest)
    auc = roc_auc_score(y_test, scores)
    in_place = booster.inplace_predict(X[TRAIN])
    y_train = BINARY[TRAIN]
    train_auc = roc_auc_score(y_train, in_place)
    run = recording.run()
    assert run.metrics["test/roc_auc"] == auc
    assert run.metrics["train/roc_auc"] == train_auc


def test_booster_eval_is_an_evaluation_of_its_run(recording):
    dtrain, dtest = matrices()
    booster = xgboost.train(PARAMS, dtrain, 3)
    text = booster.eval(dtest, "holdout")
    run = recording.run()
    assert run.metrics["holdout/logloss"] == float(text.rpartition(":")[2])
    context = autolog.metric_history(run.run_id, "holdout/logloss").context
    assert [(one["phase"], one["dataset"]) for one in context] == [("post", "holdout")]


def test_two_trainings_at_once_are_two_runs(recording):
    told = [{}, {}]

    def work(number):
        train, test = matrices(BINARY if number else 1 - BINARY)
        params = {**PARAMS, "seed": number}
        xgboost.train(params, train, 40, evals=[(test, "t")], evals_result=told[number], **QUIET)

    threads = [threading.Thread(target=work, args=(number,)) for number in range(2)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    runs = {run.params["seed"]: run for run in recording.runs()}
    assert len(runs) == 2
    for number, run in runs.items():
        assert_recorded(run, told[number])


def test_a_training_inside_a_callback_belongs_to_the_outer_one(recording):
    train, test = matrices()

    class Inner(TrainingCallback):
        def after_iteration(self, model, epoch, evals_log):
            xgboost.train({**PARAMS, "eta": 0.1}, train, 2, evals=[(test, "t")], **QUIET)
            return False

    told = {}
    xgboost.train(
        PARAMS, train, 3, evals=[(test, "t")], evals_result=told, callbacks=[Inner()], **QUIET
    )
    assert_recorded(recording.run(), told)


def test_accuracy_of_rounded_scores_is_not_attributed_in_silence(recording):
    autolog.autolog("sklearn")
    dtrain, dtest = matrices()
    scores = xgboost.train(PARAMS, dtrain, 3).predict(dtest)
    accuracy_score(BINARY[TEST], scores > 0.5)
    assert "test/accuracy" not in recording.run().metrics


@pytest.mark.edge_case("EC-R7")
def test_a_training_of_one_round_has_one_point_of_each_series(recording):
    train, test = matrices()
    told = {}
    xgboost.train(PARAMS, train, 1, evals=[(test, "test")], evals_result=told, **QUIET)
    assert_recorded(recording.run(), told)


@pytest.mark.parametrize("name", ["eval", "held out", "hold-out", "a\u0308/b"])
def test_an_evaluation_by_the_booster_goes_by_the_name_it_was_given(recording, name):
    train, test = matrices()
    booster = xgboost.train(PARAMS, train, 2)
    text = booster.eval(test) if name == "eval" else booster.eval(test, name)
    told = float(text.rpartition(":")[2])
    assert recording.run().metrics[f"{name}/logloss"] == told
