"""What is logged of scikit-learn by default, in every version: `logs` in compat_matrix.yaml."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

import autolog
from tests.matrix import logged

sklearn = pytest.importorskip("sklearn")

from sklearn.base import BaseEstimator, ClassifierMixin  # noqa: E402
from sklearn.ensemble import GradientBoostingClassifier  # noqa: E402
from sklearn.linear_model import LogisticRegression, SGDClassifier  # noqa: E402
from sklearn.metrics import accuracy_score, confusion_matrix, get_scorer, roc_curve  # noqa: E402
from sklearn.model_selection import GridSearchCV  # noqa: E402
from sklearn.pipeline import make_pipeline  # noqa: E402
from sklearn.preprocessing import StandardScaler  # noqa: E402

pytestmark = [pytest.mark.filterwarnings("ignore")]  # old versions beside new companions

X_train = np.random.default_rng(0).normal(size=(80, 3))
y_train = (X_train[:, 0] + X_train[:, 1] > 0).astype(int)
X_test, y_test = X_train[::2] + 0.25, y_train[::2]


class Majority(ClassifierMixin, BaseEstimator):
    """An estimator that skops does not know: it holds a function without a name."""

    def fit(self, X: Any, y: Any) -> Any:
        self.classes_ = np.unique(y)
        answer = round(float(y.mean()))
        self.answer_ = lambda rows: np.full(len(rows), answer)
        return self

    def predict(self, X: Any) -> Any:
        return self.answer_(X)


def test_a_fit_is_logged_as_the_matrix_says(recording: Any) -> None:
    autolog.autolog("sklearn")
    model = make_pipeline(StandardScaler(), GradientBoostingClassifier(n_estimators=4))
    model.fit(X_train, y_train)
    predicted, scores = model.predict(X_test), model.predict_proba(X_test)
    score, accuracy = model.score(X_test, y_test), accuracy_score(y_test, predicted)
    scored = get_scorer("roc_auc")(model, X_test, y_test)
    confusion_matrix(y_test, predicted)
    roc_curve(y_test, scores[:, 1])
    run = recording.run()
    assert run.status == "FINISHED"
    # params
    assert model.get_params().keys() <= run.params.keys()
    assert run.params["gradientboostingclassifier__n_estimators"] == 4
    # evaluations
    assert (run.metrics["test/score"], run.metrics["test/accuracy"]) == (score, accuracy)
    assert scored in [value for key, value in run.metrics.items() if key.endswith("/roc_auc")]
    assert {"test/confusion_matrix", "test/roc_curve"} <= logged.tables(recording)
    # data
    profile = logged.profiles(recording)["train"]
    assert (profile["shape"], profile["dtype"]) == ([80, 3], "float64")
    assert profile["digest"]
    # model
    loaded = autolog.load_model(run.run_id)
    assert loaded.predict_proba(X_test).tolist() == scores.tolist()
    assert logged.models(recording) == {"model": ["pickle", "skops"]}
    # more
    assert "feature_importances" in logged.tables(recording)
    logged.expect_sound("sklearn")


def test_the_columns_of_a_table_are_logged(recording: Any) -> None:
    frame = logged.table(X_train)
    autolog.autolog("sklearn")
    LogisticRegression().fit(frame, y_train)
    profile = logged.profiles(recording)["train"]
    assert profile["columns"] == dict.fromkeys("abc", "float64")
    assert profile["digest"]
    logged.expect_sound("sklearn")


def test_curves_and_steps_are_series(recording: Any) -> None:
    autolog.autolog("sklearn")
    boosted = GradientBoostingClassifier(n_estimators=4).fit(X_train, y_train)
    assert logged.values(recording.run(), "train_score") == boosted.train_score_.tolist()
    stepwise = SGDClassifier()
    for _ in range(3):
        stepwise.partial_fit(X_train, y_train, classes=[0, 1])
    autolog.end_run()
    assert logged.values(recording.runs()[-1], "samples_seen") == [80, 160, 240]
    logged.expect_sound("sklearn")


def test_a_search_is_a_tree_and_what_came_before_it_a_preparation(recording: Any) -> None:
    autolog.autolog("sklearn")
    scaled = StandardScaler().fit_transform(X_train)
    GridSearchCV(LogisticRegression(), {"C": [0.1, 1.0]}, cv=2).fit(scaled, y_train)
    search, *candidates = recording.runs()
    assert search.kind == "search"
    assert {run.params["C"] for run in candidates} == {0.1, 1.0}
    assert {(run.kind, run.parent_id) for run in candidates} == {("candidate", search.run_id)}
    assert "coefficients" in logged.tables(recording, search)
    (prepared,) = recording.events("preparation", search)
    assert prepared["class"] == "sklearn.preprocessing.StandardScaler"
    logged.expect_sound("sklearn")


def test_what_skops_does_not_know_stays_a_pickle_that_says_so(recording: Any) -> None:
    autolog.autolog("sklearn")
    model = Majority().fit(X_train, y_train)
    loaded = autolog.load_model(recording.run().run_id)
    assert loaded.predict(X_test).tolist() == model.predict(X_test).tolist()
    (stored,) = recording.details().models
    assert (stored.format, stored.safe) == ("pickle", False)
    logged.expect_sound("sklearn")


@pytest.mark.edge_case("EC-X9")
def test_every_hook_finds_its_place(recording: Any) -> None:
    logged.expect_bound("sklearn")
