"""Trainings inside a container's run are told apart, and do not write over its values."""

from __future__ import annotations

import numpy as np
import pytest
import xgboost
from sklearn.model_selection import GridSearchCV
from sklearn.multioutput import MultiOutputRegressor
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler

import autolog
from tests.xgboost.tables import BINARY, PARAMS, REAL, TEST, TRAIN, X, matrices, series

ON = [("xgboost",), ("sklearn", "xgboost"), ("xgboost", "sklearn")]


def names(on: tuple[str, ...]) -> str:
    return "+".join(on)


@pytest.mark.parametrize("on", ON, ids=names)
def test_trainings_inside_one_container_have_series_and_tables_of_their_own(recording, on):
    autolog.autolog(*on)
    outputs = MultiOutputRegressor(xgboost.XGBRegressor(n_estimators=3, n_jobs=1))
    both = np.column_stack([REAL, -3 * REAL])
    outputs.fit(X[TRAIN], both[TRAIN], eval_set=[(X[TEST], REAL[TEST])], verbose=False)
    run = recording.run()
    for prefix, one in zip(("", "fit.2."), outputs.estimators_, strict=True):
        told = one.evals_result()["validation_0"]["rmse"]
        assert series(run, f"{prefix}validation_0-rmse") == told
    assert [event["name"] for event in recording.events("table")] == [
        "feature_importances",
        "fit.2.feature_importances",
    ]


@pytest.mark.parametrize("on", ON, ids=names)
def test_a_pipelines_run_has_the_importances_of_its_booster(recording, on):
    autolog.autolog(*on)
    make_pipeline(StandardScaler(), xgboost.XGBClassifier(n_estimators=2, n_jobs=1)).fit(X, BINARY)
    recording.run()
    assert [event["name"] for event in recording.events("table")] == ["feature_importances"]


def test_the_best_score_of_a_search_is_not_that_of_its_boosters_early_stopping(recording):
    autolog.autolog("sklearn", "xgboost")
    model = xgboost.XGBClassifier(n_estimators=30, n_jobs=1, early_stopping_rounds=2)
    search = GridSearchCV(model, {"max_depth": [1, 2]}, cv=2)
    search.fit(X, BINARY, eval_set=[(X[TEST], BINARY[TEST])], verbose=False)
    (run,) = [run for run in recording.runs() if run.kind == "search"]
    assert series(run, "best_score") == [search.best_score_]
    booster = search.best_estimator_
    assert run.metrics["best_score.validation_0-logloss"] == booster.best_score
    assert run.metrics["best_iteration"] == booster.best_iteration


def test_of_very_many_trainings_inside_one_the_first_twenty_are_recorded(recording):
    autolog.autolog("sklearn", "xgboost", silent=True)
    outputs = MultiOutputRegressor(xgboost.XGBRegressor(n_estimators=1, max_depth=1, n_jobs=1))
    targets = np.column_stack([REAL] * 22)
    outputs.fit(X, targets, eval_set=[(X, REAL)], verbose=False)
    run = recording.run()
    kept = [name for name in run.metrics if name.endswith("validation_0-rmse")]
    assert (len(kept), run.status, run.logging_errors) == (20, "FINISHED", [])


def test_a_malformed_eval_set_fails_as_it_would_and_loses_no_parameters(recording):
    autolog.autolog("xgboost")
    train, test = matrices()
    with pytest.raises(TypeError):
        xgboost.train(PARAMS, train, 2, evals=[test])
    run = recording.run()
    assert (run.status, run.params["max_depth"], run.logging_errors) == ("FAILED", 2, [])
