"""A search is one run; its candidates are child runs with the scores of their folds."""

from __future__ import annotations

import importlib
import itertools
import math

import numpy as np
import pandas as pd
import polars as pl
import pytest
import scipy.sparse as sp
import sklearn.experimental.enable_halving_search_cv  # noqa: F401
from joblib import parallel_backend
from sklearn.base import BaseEstimator, ClassifierMixin, clone
from sklearn.datasets import load_iris
from sklearn.metrics import f1_score, make_scorer
from sklearn.model_selection import (
    GridSearchCV,
    HalvingGridSearchCV,
    HalvingRandomSearchCV,
    ParameterGrid,
    RandomizedSearchCV,
    cross_val_score,
)
from sklearn.multioutput import MultiOutputClassifier
from sklearn.naive_bayes import GaussianNB
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler
from sklearn.tree import DecisionTreeClassifier

import autolog

X, y = load_iris(return_X_y=True)
TREE = DecisionTreeClassifier(random_state=0)
DEPTHS = {"max_depth": [1, 2, 3]}


@pytest.fixture(autouse=True)
def _on(recording):
    autolog.autolog("sklearn")


def tree_of(recording):
    """The parent and its candidates in the order of `cv_results_`; there is nothing else."""
    runs = recording.runs()
    parents = [run for run in runs if run.kind != "candidate"]
    assert len(parents) == 1, [run.name for run in parents]
    children = [run for run in runs if run.kind == "candidate"]
    assert {run.parent_id for run in children} <= {parents[0].run_id}
    return parents[0], sorted(children, key=lambda run: (run.start_time, run.end_time))


class Broken(ClassifierMixin, BaseEstimator):
    """Fails for some parameters: always, or on one fold."""

    def __init__(self, fails="never", value=0):
        self.fails = fails
        self.value = value

    def fit(self, X, y):
        self.classes_ = np.unique(y)
        if self.fails == "always" or (self.fails == "once" and X[0, 3] == 0.3):
            raise RuntimeError(f"no fit with {self.value}")
        return self

    def predict(self, X):
        return np.full(len(X), self.classes_[0])


class OwnSearch(ClassifierMixin, BaseEstimator):
    """A search of the user: nothing but its results says that it is one."""

    def __init__(self, inner=None, values=()):
        self.inner = inner
        self.values = values

    def fit(self, X, y):
        results = {"params": [{"max_depth": value} for value in self.values]}
        scores = [
            [clone(self.inner).set_params(**one).fit(X, y).score(X, y)] for one in results["params"]
        ]
        results["split0_test_score"] = np.array([score[0] for score in scores])
        results["mean_test_score"] = results["split0_test_score"]
        self.cv_results_ = results
        self.best_params_ = results["params"][int(np.argmax(results["mean_test_score"]))]
        return self

    def predict(self, X):
        raise NotImplementedError


@pytest.mark.edge_case("EC-S9")
def test_every_column_of_the_results_is_recorded_with_its_candidate(recording):
    search = GridSearchCV(
        TREE,
        DEPTHS,
        cv=3,
        scoring={"accuracy": "accuracy", "mine": make_scorer(f1_score, average="macro")},
        refit="mine",
        return_train_score=True,
    ).fit(X, y)
    results = search.cv_results_
    parent, candidates = tree_of(recording)
    assert (parent.kind, parent.status, len(candidates)) == ("search", "FINISHED", 3)
    for index, run in enumerate(candidates):
        assert run.params == results["params"][index]
        assert type(run.params["max_depth"]) is int
        for part, prefix in (("test", ""), ("train", "train_")):
            for scorer in ("accuracy", "mine"):
                history = autolog.metric_history(run.run_id, prefix + scorer)
                expected = [results[f"split{fold}_{part}_{scorer}"][index] for fold in range(3)]
                assert (history.step.tolist(), history.value.tolist()) == ([0, 1, 2], expected)
                mean = results[f"mean_{part}_{scorer}"][index]
                assert run.metrics[f"{prefix}{scorer}_mean"] == mean
                assert (
                    run.metrics[f"{prefix}{scorer}_std"] == results[f"std_{part}_{scorer}"][index]
                )
        assert run.metrics["mine_rank"] == results["rank_test_mine"][index]
        assert run.metrics["fit_seconds_mean"] == results["mean_fit_time"][index]
        assert run.metrics["score_seconds_std"] == results["std_score_time"][index]
    best = results["mean_test_accuracy"][search.best_index_]
    assert parent.metrics["best_accuracy"] == best


def test_the_best_candidate_is_marked_and_named_by_the_search(recording):
    search = GridSearchCV(TREE, DEPTHS, cv=3).fit(X, y)
    parent, candidates = tree_of(recording)
    marked = [index for index, run in enumerate(candidates) if run.tags.get("best") == "1"]
    assert marked == [search.best_index_]
    best = candidates[search.best_index_]
    assert parent.tags["best_candidate"] == best.run_id
    assert parent.params["best.max_depth"] == search.best_params_["max_depth"]
    (event,) = recording.events("candidates", parent)
    assert event == {
        "count": 3,
        "stored": 3,
        "left_out": 0,
        "failed": 0,
        "best": best.run_id,
        "best_index": search.best_index_,
    }
    assert autolog.load_model(parent.run_id).get_depth() == search.best_estimator_.get_depth()


def test_candidates_share_the_time_of_the_search_in_their_order(recording):
    GridSearchCV(TREE, DEPTHS, cv=3).fit(X, y)
    parent, candidates = tree_of(recording)
    assert parent.start_time - 1 <= candidates[0].start_time
    for before, after in itertools.pairwise(candidates):
        assert before.start_time <= before.end_time == after.start_time
    assert candidates[-1].end_time <= parent.end_time


@pytest.mark.parametrize(
    "data",
    [
        X.tolist(),
        pd.DataFrame(X),
        pl.DataFrame(X),
        sp.csr_matrix(X),
        np.asfortranarray(X),
        "memmap",
    ],
    ids=["list", "pandas", "polars", "sparse", "fortran", "memmap"],
)
@pytest.mark.edge_case("EC-S2")
def test_candidates_do_not_depend_on_what_the_data_is(recording, data, tmp_path):
    if isinstance(data, str):
        data = np.memmap(tmp_path / "data", dtype=X.dtype, shape=X.shape, mode="w+")
        data[:] = X
    GridSearchCV(TREE, DEPTHS, cv=3).fit(data, y)
    assert len(tree_of(recording)[1]) == 3


@pytest.mark.parametrize("cls", [HalvingGridSearchCV, HalvingRandomSearchCV])
@pytest.mark.edge_case("EC-S3")
def test_a_halving_search_says_iteration_and_resources_of_each_candidate(recording, cls):
    search = cls(TREE, {"max_depth": [*range(1, 9)]}, cv=3, min_resources=30, random_state=0)
    results = search.fit(X, y).cv_results_
    _, candidates = tree_of(recording)
    found = [(run.metrics["iter"], run.metrics["n_resources"]) for run in candidates]
    assert found == list(zip(results["iter"], results["n_resources"], strict=True))
    assert len({iteration for iteration, _ in found}) > 1


@pytest.mark.edge_case("EC-S3")
def test_a_search_of_the_user_turns_out_to_be_one_by_its_results(recording):
    OwnSearch(TREE, values=(1, 2)).fit(X, y)
    parent, candidates = tree_of(recording)
    assert parent.kind == "search"
    assert [run.params for run in candidates] == [{"max_depth": 1}, {"max_depth": 2}]
    assert candidates[1].tags["best"] == "1"


@pytest.mark.edge_case("EC-S3")
@pytest.mark.filterwarnings("ignore")
def test_a_bayesian_search_has_candidates(recording):
    from skopt import BayesSearchCV

    search = BayesSearchCV(TREE, {"max_depth": (1, 5)}, n_iter=3, cv=3, random_state=0).fit(X, y)
    _, candidates = tree_of(recording)
    assert [run.params for run in candidates] == [dict(p) for p in search.cv_results_["params"]]


@pytest.mark.edge_case("EC-S3")
@pytest.mark.filterwarnings("ignore")
def test_a_search_by_a_study_has_candidates_with_their_own_times(recording):
    import optuna

    integration = importlib.import_module("optuna_integration.sklearn")
    optuna.logging.set_verbosity(optuna.logging.ERROR)
    space = {"max_depth": optuna.distributions.IntDistribution(1, 5)}
    search = integration.OptunaSearchCV(TREE, space, n_trials=3, cv=3, random_state=0).fit(X, y)
    parent, candidates = tree_of(recording)
    assert parent.kind == "search"
    assert sorted(run.metrics["score_mean"] for run in candidates) == sorted(
        trial.value for trial in search.trials_
    )
    best = next(run for run in candidates if run.tags.get("best") == "1")
    assert best.metrics["score_mean"] == search.best_score_
    assert parent.params["best.max_depth"] == search.best_params_["max_depth"]


@pytest.mark.parametrize("backend", ["loky", "threading", None])
@pytest.mark.edge_case("EC-T3", "EC-N5")
def test_the_tree_is_the_same_wherever_the_folds_are_fitted(recording, backend):
    search = GridSearchCV(TREE, DEPTHS, cv=3, n_jobs=2 if backend else None)
    if backend:
        with parallel_backend(backend):
            search.fit(X, y)
    else:
        search.fit(X, y)
    parent, candidates = tree_of(recording)
    assert parent.kind == "search"
    assert [run.params["max_depth"] for run in candidates] == [1, 2, 3]


@pytest.mark.filterwarnings("ignore")
@pytest.mark.parametrize("jobs", [None, 2])
def test_a_candidate_that_fails_is_failed_with_the_reason(recording, jobs):
    grid = {"fails": ["never", "always", "once"]}
    GridSearchCV(Broken(), grid, cv=3, refit=False, n_jobs=jobs).fit(X, y)
    parent, (fine, broken, partly) = tree_of(recording)
    assert [fine.status, broken.status, partly.status] == ["FINISHED", "FAILED", "FINISHED"]
    assert recording.details(broken).error == "RuntimeError: no fit with 0"
    assert np.isnan(autolog.metric_history(broken.run_id, "score").value).all()
    values = autolog.metric_history(partly.run_id, "score").value
    assert partly.tags["failed_folds"] == ",".join(
        str(fold) for fold, value in enumerate(values) if math.isnan(value)
    )
    assert partly.tags["error"] == "RuntimeError: no fit with 0"
    assert parent.status == "FINISHED"
    assert recording.events("candidates", parent)[0]["failed"] == 1


def test_a_search_that_raises_in_the_middle_is_failed_and_raises(recording):
    with pytest.raises(RuntimeError, match="no fit with 0"):
        GridSearchCV(Broken(), {"fails": ["never", "always"]}, cv=3, error_score="raise").fit(X, y)
    parent, candidates = tree_of(recording)
    assert (parent.status, candidates) == ("FAILED", [])


def test_a_search_whose_refit_raises_keeps_what_its_candidates_gave(recording):
    class Refused(Broken):
        def fit(self, X, y):
            if len(X) == 150:
                raise RuntimeError("no refit")
            return super().fit(X, y)

    with pytest.raises(RuntimeError, match="no refit"):
        GridSearchCV(Refused(), {"value": [1, 2]}, cv=3).fit(X, y)
    parent, candidates = tree_of(recording)
    assert parent.status == "FAILED"
    assert [run.params for run in candidates] == [{"value": 1}, {"value": 2}]


def test_a_search_inside_a_search_has_no_runs_of_its_own(recording):
    inner = GridSearchCV(TREE, {"min_samples_leaf": [1, 2]}, cv=2)
    GridSearchCV(inner, {"estimator__max_depth": [1, 2]}, cv=2).fit(X, y)
    _, candidates = tree_of(recording)
    assert [run.params for run in candidates] == [
        {"estimator__max_depth": 1},
        {"estimator__max_depth": 2},
    ]


@pytest.mark.edge_case("EC-S10")
def test_a_validated_search_is_one_run(recording):
    cross_val_score(GridSearchCV(TREE, DEPTHS, cv=2), X, y, cv=2)
    assert recording.run().kind == "cv"


def test_a_pipeline_that_ends_in_a_search_has_its_candidates(recording):
    make_pipeline(StandardScaler(), GridSearchCV(TREE, DEPTHS, cv=3)).fit(X, y)
    parent, candidates = tree_of(recording)
    assert (parent.kind, len(candidates)) == ("search", 3)
    assert "best.max_depth" in parent.params
    assert parent.name.startswith("Pipeline")


def test_searches_that_another_estimator_runs_have_no_candidates(recording):
    targets = np.stack([y, y[::-1]], axis=1)
    MultiOutputClassifier(GridSearchCV(TREE, DEPTHS, cv=2)).fit(X, targets)
    assert recording.run().kind == "fit"


def test_in_a_users_run_the_run_itself_is_the_parent(recording):
    with autolog.start_run("mine"):
        GridSearchCV(TREE, DEPTHS, cv=2).fit(X, y)
    parent, candidates = tree_of(recording)
    assert (parent.name, parent.kind, len(candidates)) == ("mine", "run", 3)
    assert parent.tags["best_candidate"] in {run.run_id for run in candidates}


@pytest.mark.parametrize("scoring", ["accuracy", ["accuracy", "f1_macro"]])
def test_a_search_without_a_refit_has_candidates(recording, scoring):
    search = GridSearchCV(TREE, DEPTHS, cv=2, refit=False, scoring=scoring).fit(X, y)
    parent, candidates = tree_of(recording)
    assert len(candidates) == 3
    marked = [run for run in candidates if "best" in run.tags]
    assert (
        len(marked) == int(hasattr(search, "best_index_")) == int("best_candidate" in parent.tags)
    )


def test_a_search_that_chooses_by_a_function_names_its_choice(recording):
    GridSearchCV(TREE, DEPTHS, cv=2, refit=lambda results: 1).fit(X, y)
    parent, candidates = tree_of(recording)
    assert parent.tags["best_candidate"] == candidates[1].run_id
    assert parent.metrics["best_score"] == candidates[1].metrics["score_mean"]


@pytest.mark.edge_case("EC-S11")
def test_a_candidate_that_is_an_estimator_is_named_with_its_params(recording):
    pipe = make_pipeline(StandardScaler(), TREE)
    grid = [
        {"decisiontreeclassifier": [GaussianNB(var_smoothing=0.5)], "standardscaler": [None]},
        {"decisiontreeclassifier": [TREE], "decisiontreeclassifier__max_depth": [7]},
    ]
    assert len(list(ParameterGrid(grid))) == 2
    GridSearchCV(pipe, [{**grid[0], "standardscaler": ["passthrough"]}, grid[1]], cv=2).fit(X, y)
    _, (bayes, tree) = tree_of(recording)
    assert bayes.params["decisiontreeclassifier"] == "sklearn.naive_bayes.GaussianNB"
    assert bayes.params["decisiontreeclassifier__var_smoothing"] == 0.5
    assert bayes.params["standardscaler"] == "passthrough"
    assert tree.params["decisiontreeclassifier__max_depth"] == 7


def test_a_limit_keeps_the_best_candidates_and_says_what_it_left_out(recording):
    autolog.autolog("sklearn", sklearn={"max_candidates": 2})
    search = GridSearchCV(TREE, {"max_depth": [1, 2, 3, 4, 5]}, cv=3).fit(X, y)
    parent, candidates = tree_of(recording)
    ranks = search.cv_results_["rank_test_score"]
    assert len(candidates) == 2
    assert parent.tags["best_candidate"] in {run.run_id for run in candidates}
    assert sorted(run.metrics["score_rank"] for run in candidates) == sorted(ranks)[:2]
    assert recording.events("candidates", parent)[0]["left_out"] == 3
    (notice,) = recording.events("notice", parent)
    assert "3 left out" in notice["text"]


def test_a_limit_of_none_at_all_is_refused():
    with pytest.raises(autolog.UsageError, match="max_candidates=0"):
        autolog.autolog("sklearn", sklearn={"max_candidates": 0})


def test_a_random_search_records_values_that_were_drawn(recording):
    search = RandomizedSearchCV(
        TREE, {"max_depth": range(1, 9)}, n_iter=3, cv=2, random_state=3
    ).fit(X, y)
    _, candidates = tree_of(recording)
    assert [run.params for run in candidates] == search.cv_results_["params"]


def test_a_search_computes_the_same_with_and_without(recording):
    with_autolog = GridSearchCV(TREE, DEPTHS, cv=3).fit(X, y)
    autolog.disable()
    without = GridSearchCV(TREE, DEPTHS, cv=3).fit(X, y)
    assert vars(with_autolog).keys() == vars(without).keys()
    assert with_autolog.cv_results_.keys() == without.cv_results_.keys()
    assert np.array_equal(
        with_autolog.cv_results_["mean_test_score"], without.cv_results_["mean_test_score"]
    )
