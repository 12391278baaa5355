"""Cross-validation is one run with the values of its folds."""

from __future__ import annotations

import numpy as np
import pytest
from sklearn.datasets import load_iris
from sklearn.linear_model import LogisticRegression
from sklearn.metrics import accuracy_score
from sklearn.model_selection import cross_val_predict, cross_val_score, cross_validate

import autolog

X, y = load_iris(return_X_y=True)
MODEL = LogisticRegression(max_iter=5000, C=0.5)


@pytest.fixture(autouse=True)
def _on(recording):
    autolog.autolog()


@pytest.mark.parametrize("jobs", [None, 2])
@pytest.mark.edge_case("EC-S10")
def test_scores_of_folds_are_points_of_one_run(recording, jobs):
    scores = cross_val_score(MODEL, X, y, cv=4, n_jobs=jobs)
    run = recording.run()
    assert (run.kind, run.params["C"], run.params["cv.cv"]) == ("cv", 0.5, 4)
    assert autolog.metric_history(run.run_id, "score").value.tolist() == scores.tolist()
    assert run.metrics["score_mean"] == pytest.approx(scores.mean())
    assert run.metrics["score_std"] == pytest.approx(scores.std())


def test_every_scorer_of_a_cross_validation_is_recorded(recording):
    result = cross_validate(MODEL, X, y, cv=3, scoring=["accuracy", "f1_macro"])
    run = recording.run()
    found = autolog.metric_history(run.run_id, "f1_macro").value
    assert np.array_equal(found, result["test_f1_macro"])
    assert {"accuracy_mean", "fit_seconds_mean", "score_seconds_mean"} <= set(run.metrics)


def test_estimators_among_the_results_are_passed_over(recording):
    result = cross_validate(MODEL, X, y, cv=3, return_estimator=True, return_indices=True)
    run = recording.run()
    assert run.metrics["score_mean"] == pytest.approx(result["test_score"].mean())
    assert run.logging_errors == []


def test_predictions_of_a_cross_validation_are_evaluated_in_its_run(recording):
    value = accuracy_score(y, cross_val_predict(MODEL, X, y, cv=3))
    assert recording.run().metrics["cv/accuracy"] == value


def test_a_cross_validation_in_a_users_run_joins_it(recording):
    with autolog.start_run("mine"):
        cross_val_score(MODEL, X, y, cv=2)
    run = recording.run()
    assert run.name == "mine"
    assert "score_mean" in run.metrics
