"""Which fits train a model, and which prepare data for one."""

from __future__ import annotations

import numpy as np
import pytest
from sklearn.base import BaseEstimator, ClassifierMixin
from sklearn.cluster import FeatureAgglomeration, SpectralCoclustering
from sklearn.covariance import LedoitWolf
from sklearn.datasets import load_iris
from sklearn.ensemble import StackingClassifier, StackingRegressor
from sklearn.linear_model import LogisticRegression, Ridge
from sklearn.manifold import MDS
from sklearn.neighbors import NearestNeighbors
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler

import autolog

X, Y = load_iris(return_X_y=True)


@pytest.fixture(autouse=True)
def _on(recording):
    autolog.autolog()


class Recommender(BaseEstimator):
    def __init__(self, fails=False):
        self.fails = fails

    def fit(self, X, y=None):
        if self.fails:
            raise RuntimeError("no items")
        self.items_ = X[:3]
        return self

    def recommend(self, user):
        return self.items_


class Lazy(BaseEstimator):
    asked = 0

    def fit(self, X, y=None):
        return self

    @property
    def predict(self):
        Lazy.asked += 1
        return np.zeros_like


@pytest.mark.parametrize(
    "train",
    [
        lambda: StackingClassifier([("a", LogisticRegression(max_iter=300))], cv=2).fit(X, Y),
        lambda: StackingRegressor([("a", Ridge())], cv=2).fit(X, Y),
        lambda: make_pipeline(StandardScaler(), StackingRegressor([("a", Ridge())])).fit(X, Y),
        lambda: SpectralCoclustering(2, random_state=0).fit(X),
        lambda: LedoitWolf().fit(X),
        lambda: Recommender().fit(X),
    ],
    ids=["stacking", "regression", "in a pipeline", "biclusters", "covariance", "own methods"],
)
def test_what_prepares_no_data_is_a_training(recording, train):
    train()
    assert recording.run().status == "FINISHED"


@pytest.mark.parametrize(
    "prepare",
    [
        lambda: NearestNeighbors().fit(X),
        lambda: FeatureAgglomeration().fit(X),
        lambda: MDS(n_init=1, max_iter=2, init="random").fit_transform(X[:10]),
    ],
    ids=["neighbours", "features", "embedding"],
)
@pytest.mark.filterwarnings("ignore")
def test_what_prepares_data_is_no_run(recording, prepare):
    prepare()
    assert recording.runs() == []


def test_a_training_of_an_estimator_without_predict_that_fails_is_failed(recording):
    with pytest.raises(RuntimeError, match="no items"):
        Recommender(fails=True).fit(X)
    assert recording.run().status == "FAILED"


def test_a_property_of_the_users_is_not_computed(recording):
    Lazy().fit(X)
    assert (Lazy.asked, recording.run().status) == (0, "FINISHED")


AT_ONCE = """
from concurrent.futures import ThreadPoolExecutor
from threading import Barrier
import autolog; autolog.autolog()
from sklearn.datasets import load_iris
from sklearn.svm import SVC
X, y = load_iris(return_X_y=True)
ready = Barrier(4)
def train(c):
    model = SVC(C=c)
    ready.wait()
    return model.fit(X, y).score(X, y)
with ThreadPoolExecutor(4) as pool:
    list(pool.map(train, [0.1, 1, 10, 100]))
"""


def test_the_first_models_of_a_class_are_watched_before_any_thread_goes_on(recording, program):
    program(AT_ONCE)
    assert len(recording.runs()) == 4
    assert [run.name for run in recording.runs() if "train/score" not in run.metrics] == []


@pytest.mark.parametrize("given", [None, {"a": 1}, np.ones(2)], ids=["nothing", "dict", "array"])
def test_a_score_that_is_no_number_is_the_users_alone(recording, given):
    class Own(ClassifierMixin, BaseEstimator):
        def fit(self, X, y):
            return self

        def predict(self, X):
            return np.zeros(len(X))

        def score(self, X, y):
            return given

    assert Own().fit(X, Y).score(X, Y) is given
    assert "train/score" not in recording.run().metrics
