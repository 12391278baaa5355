"""What `xgboost.cv` records: one run with the series of the frame that it returns."""

from __future__ import annotations

import numpy as np
import pandas as pd
import pytest
import xgboost
from sklearn.model_selection import KFold
from xgboost.callback import EarlyStopping, EvaluationMonitor

import autolog
from tests.xgboost.tables import BINARY, PARAMS, X, matrices, series, steps


@pytest.fixture(autouse=True)
def _on(recording):
    autolog.autolog("xgboost")


@pytest.mark.edge_case("EC-X8")
def test_every_column_of_the_frame_is_a_series_of_one_run(recording):
    dtrain, _ = matrices()
    mine = [EvaluationMonitor(period=100)]
    frame = xgboost.cv(
        {**PARAMS, "eval_metric": ["logloss", "auc"]},
        dtrain,
        6,
        nfold=4,
        stratified=True,
        seed=3,
        callbacks=mine,
    )
    run = recording.run()
    assert (run.kind, run.status) == ("cv", "FINISHED")
    assert len(frame.columns) == 8
    for column in frame.columns:
        assert series(run, column) == frame[column].tolist()
        assert steps(run, column) == list(range(6))
    assert run.params["cv.nfold"] == 4
    assert run.params["cv.seed"] == 3
    assert run.params["cv.stratified"] is True
    assert run.params["num_boost_round"] == 6
    assert run.params["max_depth"] == 2
    assert run.tags["function"] == "cv"
    assert len(mine) == 1
    assert [(one.role, one.name) for one in recording.details().inputs] == [("train", "dtrain")]


@pytest.mark.edge_case("EC-X1")
@pytest.mark.parametrize("stops", ["argument", "callback"])
def test_an_early_stopped_validation_knows_its_best_round(recording, stops):
    train, _ = matrices()
    how = {"early_stopping_rounds": 2}
    if stops == "callback":
        how = {"callbacks": [EarlyStopping(rounds=2)]}
    frame = xgboost.cv({**PARAMS, "eta": 0.9}, train, 200, **how)
    run = recording.run()
    best = len(frame) - 1
    assert run.metrics["best_iteration"] == best
    assert run.metrics["best_score"] == frame["test-logloss-mean"].iloc[-1]
    assert run.metrics["stopped_iteration"] == best + 2
    # The frame ends at the best round; the rounds that were computed after it are kept.
    recorded = series(run, "test-logloss-mean")
    assert recorded[: best + 1] == frame["test-logloss-mean"].tolist()
    assert len(recorded) == best + 3


def test_folds_that_the_user_made_are_counted(recording):
    train, _ = matrices()
    xgboost.cv(PARAMS, train, 2, folds=KFold(5))
    xgboost.cv(PARAMS, train, 2, folds=[(np.arange(80), np.arange(80, 110))] * 2)
    assert [run.params["cv.nfold"] for run in recording.runs()] == [5, 2]


def test_a_custom_metric_is_recorded(recording):
    def worst(predicted, matrix):
        return "worst", float(np.abs(predicted - matrix.get_label()).max())

    train, _ = matrices()
    result = xgboost.cv(PARAMS, train, 3, custom_metric=worst, as_pandas=False)
    assert series(recording.run(), "test-worst-mean") == [
        float(v) for v in result["test-worst-mean"]
    ]


def test_a_validation_computes_the_same_with_and_without_autolog(recording, capsys):
    def frame():
        np.random.seed(0)
        train = xgboost.DMatrix(X, label=BINARY)
        found = xgboost.cv(
            {**PARAMS, "subsample": 0.5}, train, 8, early_stopping_rounds=3, verbose_eval=2
        )
        return found, capsys.readouterr(), np.random.get_state()[1].tolist()

    watched = frame()
    autolog.disable()
    plain = frame()
    pd.testing.assert_frame_equal(watched[0], plain[0], check_exact=True)
    assert watched[1:] == plain[1:]


def test_a_validation_that_raises_is_one_failed_run(recording):
    train, _ = matrices()
    with pytest.raises(xgboost.core.XGBoostError):
        xgboost.cv({**PARAMS, "objective": "nothing:such"}, train, 3)
    assert recording.run().status == "FAILED"
