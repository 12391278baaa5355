"""Cross-validation is one run with the values of its folds."""

from __future__ import annotations

import numpy as np
import pytest
from joblib import parallel_backend
from sklearn.base import BaseEstimator, ClassifierMixin
from sklearn.calibration import CalibratedClassifierCV
from sklearn.datasets import load_iris
from sklearn.feature_selection import RFECV, SequentialFeatureSelector
from sklearn.linear_model import LogisticRegression, LogisticRegressionCV, SGDClassifier
from sklearn.metrics import accuracy_score
from sklearn.model_selection import (
    cross_val_predict,
    cross_val_score,
    cross_validate,
    learning_curve,
    permutation_test_score,
    validation_curve,
)
from sklearn.pipeline import make_pipeline
from sklearn.tree import DecisionTreeClassifier

import autolog

X, y = load_iris(return_X_y=True)
MODEL = LogisticRegression(max_iter=5000, C=0.5)
TREE = DecisionTreeClassifier(random_state=0)


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


@pytest.mark.parametrize("backend", ["loky", "threading", None])
def test_a_learning_curve_has_a_point_for_each_size(recording, backend):
    with parallel_backend(backend or "threading", n_jobs=2 if backend else 1):
        sizes, train, test, fit, _ = learning_curve(
            TREE, X, y, cv=3, shuffle=True, random_state=0, return_times=True
        )
    run = recording.run()
    assert (run.kind, run.tags["function"]) == ("cv", "learning_curve")
    history = autolog.metric_history(run.run_id, "score_mean")
    assert history.step.tolist() == sizes.tolist()
    assert history.value == pytest.approx(test.mean(axis=1))
    found = autolog.metric_history(run.run_id, "train_score_fold2").value
    assert found.tolist() == train[:, 2].tolist()
    found = autolog.metric_history(run.run_id, "fit_seconds_mean").value
    assert found == pytest.approx(fit.mean(axis=1))


def test_an_incremental_learning_curve_is_one_run(recording):
    learning_curve(
        SGDClassifier(random_state=0), X, y, cv=3, shuffle=True, exploit_incremental_learning=True
    )
    assert recording.run().kind == "cv"


def test_a_validation_curve_has_a_point_for_each_value_and_a_table(recording):
    train, test = validation_curve(
        TREE, X, y, param_name="max_depth", param_range=np.array([1, 2, 4]), cv=3
    )
    run = recording.run()
    assert run.params["cv.param_name"] == "max_depth"
    values = autolog.metric_history(run.run_id, "max_depth").value
    assert values.tolist() == [1, 2, 4]
    found = autolog.metric_history(run.run_id, "score_mean").value
    assert found == pytest.approx(test.mean(axis=1))
    (table,) = recording.events("table")
    assert table["columns"]["max_depth"] == [1, 2, 4]
    assert table["columns"]["train_score_mean"] == pytest.approx(train.mean(axis=1))


def test_a_validation_curve_over_names_has_them_in_its_table(recording):
    validation_curve(TREE, X, y, param_name="criterion", param_range=["gini", "entropy"], cv=2)
    (table,) = recording.events("table")
    assert table["columns"]["criterion"] == ["gini", "entropy"]
    assert len(autolog.metric_history(recording.run().run_id, "score_mean").value) == 2


@pytest.mark.parametrize("jobs", [None, 2])
def test_a_permutation_test_is_one_run_with_its_p_value(recording, jobs):
    score, permuted, p_value = permutation_test_score(
        TREE, X, y, cv=2, n_permutations=5, random_state=0, n_jobs=jobs
    )
    run = recording.run()
    assert (run.metrics["score"], run.metrics["p_value"]) == (score, p_value)
    found = autolog.metric_history(run.run_id, "permutation_score").value
    assert found.tolist() == permuted.tolist()


@pytest.mark.parametrize("jobs", [None, 2])
def test_train_scores_and_estimators_are_one_run_wherever_they_are_made(recording, jobs):
    result = cross_validate(
        TREE, X, y=y, cv=3, n_jobs=jobs, return_train_score=True, return_estimator=True
    )
    run = recording.run()
    found = autolog.metric_history(run.run_id, "train_score").value
    assert found.tolist() == result["train_score"].tolist()


class Fails(ClassifierMixin, BaseEstimator):
    """Fails on the fold whose training data begins with the eighteenth row."""

    def fit(self, X, y):
        if X[0, 3] == 0.3:
            raise RuntimeError("not this fold")
        self.classes_ = np.unique(y)
        return self

    def predict(self, X):
        return np.zeros(len(X), int)


@pytest.mark.filterwarnings("ignore")
def test_a_fold_that_fails_is_not_a_number_and_its_reason_is_kept(recording):
    scores = cross_val_score(Fails(), X, y, cv=3)
    run = recording.run()
    found = autolog.metric_history(run.run_id, "score").value
    assert np.array_equal(found, scores, equal_nan=True)
    (event,) = recording.events("failed_folds")
    assert event["folds"] == np.flatnonzero(np.isnan(scores)).tolist()
    assert event["error"] == "RuntimeError: not this fold"


@pytest.mark.parametrize(
    "estimator",
    [
        RFECV(TREE, cv=2),
        LogisticRegressionCV(Cs=2, cv=2, max_iter=5000),
        CalibratedClassifierCV(TREE, cv=2),
        make_pipeline(SequentialFeatureSelector(TREE, n_features_to_select=1, cv=2), TREE),
    ],
    ids=lambda estimator: type(estimator).__name__,
)
@pytest.mark.filterwarnings("ignore::FutureWarning")
@pytest.mark.edge_case("EC-S10")
def test_an_estimator_that_validates_inside_is_one_run(recording, estimator):
    estimator.fit(X, y)
    run = recording.run()
    assert (run.kind, run.status) == ("fit", "FINISHED")
    assert run.params
    assert "score" not in run.metrics


class Choosy(ClassifierMixin, BaseEstimator):
    """Validates its depth while it is fitted."""

    def fit(self, X, y):
        trees = [DecisionTreeClassifier(max_depth=depth, random_state=0) for depth in (1, 2)]
        best = max(trees, key=lambda tree: cross_val_score(tree, X, y, cv=2).mean())
        self.best_ = best.fit(X, y)
        self.classes_ = best.classes_
        return self

    def predict(self, X):
        return self.best_.predict(X)


@pytest.mark.edge_case("EC-S10")
def test_a_cross_validation_inside_another_training_is_none(recording):
    Choosy().fit(X, y)
    assert recording.run().name.startswith("Choosy")


@pytest.mark.edge_case("EC-D2")
def test_a_generator_of_folds_is_moved_on_by_scikit_learn_alone(recording):
    taken = []

    def folds():
        for start in (0, 50, 100):
            test = np.arange(start, start + 50)
            taken.append(start)
            yield np.setdiff1d(np.arange(150), test), test

    splits = folds()
    scores = cross_val_score(TREE, X, y, cv=splits)
    assert taken == [0, 50, 100]
    assert next(splits, None) is None
    values = autolog.metric_history(recording.run().run_id, "score").value
    assert values.tolist() == scores.tolist()
