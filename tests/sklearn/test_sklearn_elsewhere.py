"""Evaluations of models that were trained elsewhere: they get a run of kind `eval`."""

from __future__ import annotations

import copy
import pickle

import pytest
from sklearn.datasets import load_breast_cancer
from sklearn.linear_model import LogisticRegression
from sklearn.metrics import accuracy_score
from sklearn.model_selection import GridSearchCV, train_test_split
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler

import autolog

X, y = load_breast_cancer(return_X_y=True)
X_train, X_test, y_train, y_test = train_test_split(X, y, random_state=0)


@pytest.fixture
def stored():
    """A pickle of a pipeline that nobody recorded."""
    return pickle.dumps(make_pipeline(StandardScaler(), LogisticRegression()).fit(X_train, y_train))


def test_an_unpickled_model_gets_one_run_for_its_evaluations(recording, stored):
    autolog.autolog()
    model = pickle.loads(stored)
    score = model.score(X_test, y_test)
    accuracy_score(y_train, model.predict(X_train))
    autolog.log_metric("cost", 3)
    run = recording.run()
    assert (run.kind, run.status, run.tags["model"]) == ("eval", "FINISHED", "Pipeline")
    assert run.name.startswith("Pipeline-")
    assert set(run.metrics) == {"test/score", "train/accuracy", "cost"}
    assert run.metrics["test/score"] == score


def test_unpickling_and_predicting_alone_records_nothing(recording, stored):
    autolog.autolog()
    pickle.loads(stored).predict(X_test)
    assert recording.runs() == []


def test_in_a_users_run_the_evaluation_is_the_runs(recording, stored):
    autolog.autolog()
    model = pickle.loads(stored)
    with autolog.start_run("first"):
        model.score(X_test, y_test)
    with autolog.start_run("second"):
        model.score(X_test, y_test)
    assert [list(run.metrics) for run in recording.runs()] == [["test/score"]] * 2


def test_a_model_that_load_model_gave_is_linked_to_its_training(recording):
    autolog.autolog()
    make_pipeline(StandardScaler(), LogisticRegression()).fit(X_train, y_train)
    trained = recording.run()
    autolog.load_model(trained.run_id).score(X_test, y_test)
    evaluation = recording.runs()[1]
    assert (evaluation.kind, evaluation.tags["evaluates"]) == ("eval", trained.run_id)


def test_copies_inside_a_training_are_nobodys(recording):
    autolog.autolog()
    search = GridSearchCV(LogisticRegression(max_iter=5000), {"C": [1, 2]}, cv=2)
    search.fit(X_train[:100], y_train[:100])
    assert recording.runs()[0].kind == "search"
    assert "eval" not in {run.kind for run in recording.runs()}


def test_a_fit_of_an_unpickled_model_is_a_training_again(recording, stored):
    autolog.autolog()
    model = pickle.loads(stored).fit(X_train, y_train)
    model.score(X_test, y_test)
    run = recording.run()
    assert (run.kind, "test/score" in run.metrics) == ("fit", True)


def test_an_unfitted_model_comes_from_nowhere(recording):
    autolog.autolog()
    copied = copy.deepcopy(LogisticRegression(max_iter=5000))
    copied.fit(X_train, y_train).score(X_test, y_test)
    assert [run.kind for run in recording.runs()] == ["fit"]
