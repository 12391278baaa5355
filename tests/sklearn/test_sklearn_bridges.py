"""scikit-learn's containers decide who owns a training, also while scikit-learn itself is off."""

from __future__ import annotations

import threading

import numpy as np
import pytest
from joblib import parallel_backend
from sklearn.base import clone
from sklearn.calibration import CalibratedClassifierCV
from sklearn.compose import TransformedTargetRegressor
from sklearn.datasets import load_iris
from sklearn.ensemble import (
    BaggingClassifier,
    RandomForestClassifier,
    StackingClassifier,
    VotingClassifier,
)
from sklearn.linear_model import LogisticRegression
from sklearn.metrics import accuracy_score
from sklearn.model_selection import GridSearchCV, cross_val_predict, cross_val_score
from sklearn.multiclass import OneVsRestClassifier
from sklearn.multioutput import MultiOutputClassifier
from sklearn.pipeline import FeatureUnion, make_pipeline
from sklearn.preprocessing import StandardScaler

import autolog
from autolog.capture import spans
from autolog.discovery import discover
from tests.sklearn import toy_models
from tests.sklearn.toy_models import Booster, ToyClassifier

X, y = load_iris(return_X_y=True)
SEARCH = GridSearchCV(ToyClassifier(), {"rounds": [2, 3]}, cv=2)
Elsewhere = type("Elsewhere", (ToyClassifier,), {"__module__": "elsewhere"})
"""An estimator of which nobody can see that it trains a framework that is on."""


@pytest.fixture(autouse=True)
def _installed(monkeypatch, recording):
    monkeypatch.setitem(discover().integrations, "toymodels", toy_models.INTEGRATION)


@pytest.fixture
def only_toy(recording):
    autolog.autolog("toymodels")


def parent_of(recording):
    (parent,) = [run for run in recording.runs() if run.kind != "candidate"]
    return parent


@pytest.mark.parametrize("on", [("toymodels",), ("sklearn",), ("toymodels", "sklearn")])
@pytest.mark.parametrize("backend", [None, "threading", "loky"])
@pytest.mark.edge_case("EC-N5", "EC-I3", "EC-T3")
def test_a_search_is_one_run_with_its_candidates_whatever_is_on(recording, on, backend):
    autolog.autolog(*on)
    with parallel_backend(backend or "threading", n_jobs=2 if backend else 1):
        clone(SEARCH).fit(X, y)
    runs = recording.runs()
    assert sorted(run.kind for run in runs) == ["candidate", "candidate", "search"]
    parent = parent_of(recording)
    assert {run.parent_id for run in runs if run is not parent} == {None, parent.run_id}
    assert [run.params for run in runs if run.kind == "candidate"] == [{"rounds": 2}, {"rounds": 3}]
    assert parent.params["best.rounds"] == 2
    assert ("cv" in parent.params) is ("sklearn" in on)


@pytest.mark.edge_case("EC-N5")
def test_the_refit_speaks_for_a_search_whose_own_integration_is_off(recording, only_toy):
    clone(SEARCH).fit(X, y)
    parent = parent_of(recording)
    assert parent.params["booster.rounds"] == 2
    history = autolog.metric_history(parent.run_id, "toy-loss")
    assert history.value.tolist() == [1.0, 0.5]
    assert isinstance(autolog.load_model(parent.run_id), Booster)
    assert autolog.last_run().run_id == parent.run_id


def test_of_a_search_with_both_on_the_refit_alone_gives_its_rounds(recording):
    autolog.autolog("toymodels", "sklearn")
    clone(SEARCH).fit(X, y)
    parent = parent_of(recording)
    assert "booster.rounds" not in parent.params
    assert autolog.metric_history(parent.run_id, "toy-loss").value.tolist() == [1.0, 0.5]


CONTAINERS = [
    make_pipeline(StandardScaler(), ToyClassifier()),
    VotingClassifier([("a", ToyClassifier()), ("b", ToyClassifier())]),
    StackingClassifier([("a", ToyClassifier())], LogisticRegression(), cv=2),
    BaggingClassifier(ToyClassifier(), n_estimators=2),
    OneVsRestClassifier(ToyClassifier()),
    CalibratedClassifierCV(ToyClassifier(), cv=2),
    make_pipeline(FeatureUnion([("a", StandardScaler())]), ToyClassifier()),
    make_pipeline(StandardScaler(), GridSearchCV(ToyClassifier(), {"rounds": [2]}, cv=2)),
    VotingClassifier([("a", Elsewhere()), ("b", Elsewhere())]),
    make_pipeline(StandardScaler(), Elsewhere()),
]


@pytest.mark.parametrize("estimator", CONTAINERS, ids=lambda one: type(one).__name__)
@pytest.mark.edge_case("EC-N4", "EC-N5")
def test_a_container_is_one_run_with_the_params_of_what_it_trains(recording, only_toy, estimator):
    clone(estimator).fit(X, y)
    run = parent_of(recording)
    assert run.status == "FINISHED"
    assert run.tags["estimator"].endswith(type(estimator).__name__)
    assert run.params["booster.rounds"] == 2
    assert "toy-loss" in run.metrics


def test_several_targets_are_one_run(recording, only_toy):
    MultiOutputClassifier(ToyClassifier()).fit(X, np.stack([y, y], axis=1))
    assert recording.run().params["booster.rounds"] == 2


@pytest.mark.edge_case("EC-T10", "EC-N5")
def test_a_container_that_trains_in_threads_is_one_run(recording, only_toy):
    with parallel_backend("threading", n_jobs=2):
        BaggingClassifier(Elsewhere(), n_estimators=4, n_jobs=2).fit(X, y)
        VotingClassifier([("a", Elsewhere()), ("b", Elsewhere())], n_jobs=2).fit(X, y)
    bagging, voting = recording.runs()
    assert bagging.params["booster.rounds"] == voting.params["booster.rounds"] == 2
    assert spans.stack() == ()
    assert autolog.active_run() is None


def test_a_container_in_processes_has_the_params_that_it_was_given(recording, only_toy):
    with parallel_backend("loky", n_jobs=2):
        VotingClassifier([("a", ToyClassifier(3)), ("b", ToyClassifier())], n_jobs=2).fit(X, y)
    assert recording.run().params["a__rounds"] == 3


@pytest.mark.parametrize("jobs", [None, 2])
@pytest.mark.edge_case("EC-N5", "EC-S10")
def test_a_cross_validation_is_one_run_with_the_params_of_its_estimator(recording, only_toy, jobs):
    scores = cross_val_score(ToyClassifier(5), X, y, cv=3, n_jobs=jobs)
    run = recording.run()
    assert (run.kind, run.params) == ("cv", {"rounds": 5})
    assert autolog.metric_history(run.run_id, "score").value.tolist() == scores.tolist()
    assert "toy-loss" not in run.metrics


def test_a_cross_validation_of_a_framework_that_nobody_names_is_seen_by_its_folds(
    recording, only_toy
):
    cross_val_score(Elsewhere(5), X, y, cv=3)
    assert recording.run().params == {"rounds": 5}


def test_a_search_without_a_refit_has_the_params_that_it_was_given(recording, only_toy):
    clone(SEARCH).set_params(refit=False).fit(X, y)
    assert parent_of(recording).params == {"rounds": 2, "best.rounds": 2}


@pytest.mark.edge_case("EC-R11")
def test_containers_that_train_nothing_that_is_on_are_no_runs(recording, only_toy):
    make_pipeline(StandardScaler(), LogisticRegression()).fit(X, y)
    GridSearchCV(LogisticRegression(max_iter=500), {"C": [1, 2]}, cv=2).fit(X, y)
    cross_val_score(RandomForestClassifier(2), X, y, cv=2)
    TransformedTargetRegressor(make_pipeline(StandardScaler())).__sklearn_clone__()
    assert recording.runs() == []


def test_a_users_run_is_joined_by_the_first_container_that_trains_what_is_on(recording, only_toy):
    with autolog.start_run("mine"):
        make_pipeline(StandardScaler(), LogisticRegression()).fit(X, y)
        make_pipeline(StandardScaler(), ToyClassifier()).fit(X, y)
        clone(SEARCH).fit(X, y)
    runs = recording.runs()
    mine = runs[0]
    assert (mine.name, mine.params["booster.rounds"]) == ("mine", 2)
    (search,) = [run for run in runs if run.kind == "search"]
    assert search.parent_id == mine.run_id
    assert len(runs) == 4


def test_a_container_that_raises_is_failed(recording, only_toy):
    class Fails(ToyClassifier):
        def fit(self, X, y):
            super().fit(X, y)
            raise RuntimeError("after its training")

    with pytest.raises(RuntimeError, match="after its training"):
        make_pipeline(StandardScaler(), Fails()).fit(X, y)
    assert recording.run().status == "FAILED"


def test_a_container_began_when_its_fit_did(recording, only_toy):
    class Late(ToyClassifier):
        def fit(self, X, y):
            threading.Event().wait(0.2)
            return super().fit(X, y)

    Late.__module__ = "elsewhere"
    make_pipeline(StandardScaler(), Late()).fit(X, y)
    run = recording.run()
    assert run.end_time - run.start_time >= 200


@pytest.mark.parametrize("off", ["sklearn", "toymodels"])
@pytest.mark.edge_case("EC-I3")
def test_switching_one_off_leaves_what_the_other_records(recording, off):
    autolog.autolog("sklearn", "toymodels")
    autolog.autolog(exclude=(off,))
    make_pipeline(StandardScaler(), ToyClassifier()).fit(X, y)
    run = recording.run()
    assert ("toy-loss" in run.metrics) is (off == "sklearn")
    assert ("memory" in run.params) is (off == "toymodels")


def test_evaluations_of_scikit_learn_stay_unseen_while_it_is_off(recording, only_toy):
    model = make_pipeline(StandardScaler(), ToyClassifier()).fit(X, y)
    accuracy_score(y, model.predict(X))
    accuracy_score(y, cross_val_predict(ToyClassifier(), X, y, cv=2))
    assert not any("accuracy" in key for run in recording.runs() for key in run.metrics)


@pytest.mark.edge_case("EC-I2")
def test_nothing_of_the_bridges_is_left_after_disable(recording, only_toy):
    before = GridSearchCV.fit
    autolog.disable()
    assert GridSearchCV.fit is not before
    assert "autolog" not in GridSearchCV.fit.__code__.co_filename
    assert not [site for site in autolog.status().sites if site.state == "applied"]


@pytest.mark.edge_case("EC-N8")
def test_a_metric_inside_a_training_of_another_framework_is_none(recording, monkeypatch):
    original = Booster.train

    def train(self, y, on_round=None):
        fitted = LogisticRegression(max_iter=500).fit(X, y)
        accuracy_score(y, fitted.predict(X))
        return original(self, y, on_round)

    monkeypatch.setattr(Booster, "train", train)
    autolog.autolog("toymodels", "sklearn")
    Booster().train(y)
    run = recording.run()
    assert run.name.startswith("Booster")
    assert set(run.metrics) == {"toy-loss", "fit_seconds"} & set(run.metrics) | {"toy-loss"}


@pytest.mark.edge_case("EC-N9", "EC-N11")
def test_suspended_code_trains_unseen_and_the_options_stay(recording):
    autolog.autolog("sklearn", sklearn={"max_candidates": 1})
    with pytest.raises(ValueError, match="Invalid parameter"), autolog.suspend():
        clone(SEARCH).fit(X, y).set_params(nothing=1)
    assert recording.runs() == []
    clone(SEARCH).fit(X, y)
    assert len(recording.runs()) == 2
