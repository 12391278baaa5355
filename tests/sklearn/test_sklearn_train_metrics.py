"""The options of the integration, and the metrics on the training data that one of them adds."""

from __future__ import annotations

import random

import numpy as np
import pandas as pd
import pytest
import scipy.sparse
from sklearn import metrics as sk
from sklearn.cluster import DBSCAN, KMeans
from sklearn.datasets import load_iris
from sklearn.dummy import DummyClassifier
from sklearn.ensemble import IsolationForest
from sklearn.linear_model import LinearRegression, LogisticRegression, SGDClassifier
from sklearn.model_selection import GridSearchCV
from sklearn.neighbors import KNeighborsClassifier
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler
from sklearn.semi_supervised import LabelPropagation
from sklearn.svm import LinearSVC

import autolog
from autolog import UsageError

X, Y = load_iris(return_X_y=True)


@pytest.fixture
def measuring(recording):
    autolog.autolog(sklearn={"train_metrics": True})
    return recording


def measured(recording, run=None):
    found = (run or recording.run()).metrics
    return {key: value for key, value in found.items() if key.startswith("train/")}


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"train_metrics": "yes"}, "True or False"),
        ({"importances": None}, "True or False"),
        ({"max_candidates": 0}, "1 or more"),
        ({"max_candidates": True}, "1 or more"),
        ({"train_metric": True}, "Did you mean 'train_metrics'"),
    ],
)
def test_a_wrong_option_says_what_is_expected(recording, options, message):
    with pytest.raises(UsageError, match=message):
        autolog.autolog(sklearn=options)


def test_nothing_is_predicted_unless_asked(recording):
    autolog.autolog()

    class Silent(LogisticRegression):
        def predict(self, X):
            raise AssertionError

    Silent(max_iter=300).fit(X, Y)
    assert measured(recording) == {}


@pytest.mark.edge_case("EC-S5")
def test_a_classifier_with_several_classes(measuring):
    model = LogisticRegression(max_iter=300).fit(X, Y)
    predicted, proba = model.predict(X), model.predict_proba(X)
    assert measured(measuring) == {
        "train/accuracy": sk.accuracy_score(Y, predicted),
        "train/f1_macro": sk.f1_score(Y, predicted, average="macro"),
        "train/precision_macro": sk.precision_score(Y, predicted, average="macro"),
        "train/recall_macro": sk.recall_score(Y, predicted, average="macro"),
        "train/log_loss": sk.log_loss(Y, proba),
        "train/roc_auc_ovr_macro": sk.roc_auc_score(Y, proba, multi_class="ovr"),
    }


@pytest.mark.parametrize(
    "model", [LogisticRegression(max_iter=300), LinearSVC(), make_pipeline(SGDClassifier())]
)
def test_a_classifier_with_two_classes_has_an_auc_of_its_scores(measuring, model):
    target = np.where(Y > 0, "yes", "no")
    model.fit(X, target)
    score = model.predict_proba(X)[:, 1] if hasattr(model, "predict_proba") else None
    score = model.decision_function(X) if score is None else score
    found = measured(measuring)
    assert found["train/roc_auc"] == sk.roc_auc_score(target, score)
    assert ("train/log_loss" in found) == hasattr(model, "predict_proba")


def test_a_regressor_with_one_target_and_with_several(measuring):
    model = LinearRegression().fit(X, Y)
    LinearRegression().fit(X[:, :2], X[:, 2:])
    first, second = measuring.runs()
    assert measured(measuring, first) == {
        "train/r2": sk.r2_score(Y, model.predict(X)),
        "train/mean_squared_error": sk.mean_squared_error(Y, model.predict(X)),
        "train/mean_absolute_error": sk.mean_absolute_error(Y, model.predict(X)),
    }
    assert len(measured(measuring, second)) == 3


def test_a_clusterer_and_estimators_without_a_truth(measuring):
    model = KMeans(3, n_init=1, random_state=0).fit(X)
    DBSCAN(eps=100).fit(X)  # one cluster has no silhouette
    IsolationForest(n_estimators=3).fit(X, Y)
    LabelPropagation().fit(X, np.where(np.arange(150) % 2, Y, -1))
    found = [measured(measuring, run) for run in measuring.runs()]
    assert found == [{"train/silhouette": sk.silhouette_score(X, model.labels_)}, {}, {}, {}]


def test_labels_in_several_columns(measuring):
    KNeighborsClassifier().fit(X, np.c_[Y > 0, Y > 1].astype(int))
    assert set(measured(measuring)) == {
        f"train/{name}" for name in ("accuracy", "f1_macro", "precision_macro", "recall_macro")
    }


@pytest.mark.parametrize(
    "make",
    [np.asarray, pd.DataFrame, scipy.sparse.csr_matrix, list],
    ids=lambda make: make.__name__,
)
def test_of_more_rows_a_part_at_equal_distances_is_used(measuring, monkeypatch, make):
    from autolog_sklearn import train_metrics

    monkeypatch.setattr(train_metrics, "_ROWS", 60)
    model = KNeighborsClassifier(1).fit(make(X), Y)
    assert measuring.events("train_metrics") == [{"rows": 50, "of": 150}]
    expected = sk.accuracy_score(Y[::3], model.predict(X[::3]))
    assert measured(measuring)["train/accuracy"] == expected


def test_a_search_and_a_pipeline_are_measured_once(measuring):
    GridSearchCV(LogisticRegression(max_iter=300), {"C": [0.1, 1.0]}, cv=2).fit(X, Y)
    make_pipeline(StandardScaler(), LogisticRegression()).fit(X, Y)
    roots = [run for run in measuring.runs() if run.depth == 0]
    assert ["train/accuracy" in run.metrics for run in roots] == [True, True]


@pytest.mark.edge_case("EC-D10")
def test_no_generator_is_moved_on_by_a_prediction_that_draws(measuring):
    def train():
        np.random.seed(0)
        random.seed(0)
        own = np.random.RandomState(0)
        DummyClassifier(strategy="stratified").fit(X, Y)
        DummyClassifier(strategy="stratified", random_state=own).fit(X, Y)
        states = np.random.get_state()[1].tobytes(), own.get_state()[1].tobytes()
        return *states, random.getstate()

    watched = train()
    assert [bool(measured(measuring, run)) for run in measuring.runs()] == [True, True]
    with autolog.suspend():
        assert train() == watched


@pytest.mark.edge_case("EC-R1")
def test_a_prediction_that_fails_leaves_the_run_finished(measuring, monkeypatch):
    monkeypatch.setenv("AUTOLOG_STRICT", "0")
    autolog.autolog(sklearn={"train_metrics": True})

    class Fails(LogisticRegression):
        def predict(self, X):
            raise RuntimeError("no prediction")

    Fails(max_iter=300).fit(X, Y)
    run = measuring.run()
    assert run.status == "FINISHED"
    assert "no prediction" in run.logging_errors[0]
    assert len(measuring.details().models) == 1
