"""What a fitted estimator knows: facts, series, coefficients and importances with names."""

from __future__ import annotations

import numpy as np
import pandas as pd
import pytest
from sklearn.base import BaseEstimator, RegressorMixin
from sklearn.cluster import KMeans
from sklearn.compose import ColumnTransformer
from sklearn.datasets import load_iris, make_classification
from sklearn.ensemble import (
    AdaBoostClassifier,
    ExtraTreesRegressor,
    GradientBoostingClassifier,
    GradientBoostingRegressor,
    HistGradientBoostingClassifier,
    RandomForestClassifier,
)
from sklearn.linear_model import (
    BayesianRidge,
    LinearRegression,
    LogisticRegression,
    Ridge,
    SGDClassifier,
)
from sklearn.mixture import GaussianMixture
from sklearn.model_selection import GridSearchCV
from sklearn.neural_network import MLPClassifier
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import FunctionTransformer, OneHotEncoder, StandardScaler
from sklearn.tree import DecisionTreeClassifier

import autolog

X, Y = load_iris(return_X_y=True)
FRAME = pd.DataFrame(X, columns=["sepal l", "sepal w", "petal l", "petal w"])


@pytest.fixture(autouse=True)
def _on(recording):
    autolog.autolog()


def tables(recording, run=None):
    return {table["name"]: table["columns"] for table in recording.events("table", run)}


# --- series and facts ------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("estimator", "series"),
    [
        (MLPClassifier((4,), max_iter=30, tol=1.0, early_stopping=True), "validation_scores_"),
        (GradientBoostingClassifier(n_estimators=4), "train_score_"),
        (GradientBoostingRegressor(n_estimators=4, subsample=0.7), "oob_improvement_"),
        (HistGradientBoostingClassifier(max_iter=3, early_stopping=True), "train_score_"),
        (HistGradientBoostingClassifier(max_iter=3, early_stopping=True), "validation_score_"),
        (AdaBoostClassifier(n_estimators=3), "estimator_errors_"),
        (BayesianRidge(compute_score=True), "scores_"),
    ],
    ids=lambda value: value if isinstance(value, str) else type(value).__name__,
)
@pytest.mark.edge_case("EC-V8")
def test_a_series_is_recorded_with_one_point_per_iteration(recording, estimator, series):
    estimator.fit(X, Y)
    expected = list(getattr(estimator, series))
    history = autolog.metric_history(recording.run().run_id, series[:-1])
    assert len(expected) >= 2
    assert history.value.tolist() == expected
    assert history.step.tolist() == list(range(len(expected)))


@pytest.mark.parametrize(
    ("estimator", "facts"),
    [
        (KMeans(3, n_init=1, random_state=0), ("inertia", "n_iter")),
        (GaussianMixture(2, random_state=0), ("lower_bound", "converged", "n_iter")),
        (RandomForestClassifier(40, oob_score=True, random_state=0), ("oob_score",)),
        (SGDClassifier(random_state=0), ("n_iter", "t")),
        (LogisticRegression(max_iter=300), ("n_iter",)),
    ],
    ids=lambda value: type(value).__name__,
)
def test_the_numbers_of_a_fitted_object_are_recorded(recording, estimator, facts):
    estimator.fit(X, Y)
    metrics = recording.run().metrics
    for fact in facts:
        assert metrics[fact] == float(np.max(getattr(estimator, f"{fact}_")))
    assert metrics["n_features_in"] == 4


def test_a_property_that_computes_is_never_asked(recording):
    class Computes(RegressorMixin, BaseEstimator):
        def fit(self, X, y):
            self.error_ = 0.5
            self._hidden_ = 1.0
            self.flag_ = True
            return self

        def predict(self, X):
            return np.zeros(len(X))

        @property
        def coef_(self):
            raise AssertionError

        feature_importances_ = loss_curve_ = n_iter_ = coef_

    Computes().fit(X, Y)
    run = recording.run()
    assert set(run.metrics) == {"fit_seconds", "error"}
    assert run.logging_errors == []


@pytest.mark.edge_case("EC-V4", "EC-V5")
def test_numbers_that_are_not_finite_are_kept(recording):
    class Odd(RegressorMixin, BaseEstimator):
        def fit(self, X, y):
            self.nothing_ = np.float64("nan")
            self.best_ = np.array(-np.inf)
            self.count_ = np.int32(3)
            return self

        def predict(self, X):
            return np.zeros(len(X))

    Odd().fit(X, Y)
    metrics = recording.run().metrics
    assert np.isnan(metrics["nothing"])
    assert (metrics["best"], metrics["count"]) == (-np.inf, 3.0)


@pytest.mark.edge_case("EC-V7")
def test_five_thousand_facts_are_all_recorded(recording):
    class Knows(RegressorMixin, BaseEstimator):
        def fit(self, X, y):
            vars(self).update({f"fact{number}_": float(number) for number in range(5000)})
            return self

        def predict(self, X):
            return np.zeros(len(X))

    Knows().fit(X, Y)
    metrics = recording.run().metrics
    assert len(metrics) == 5001
    assert metrics["fact4999"] == 4999.0


@pytest.mark.edge_case("EC-V2", "EC-V3")
def test_names_of_facts_are_kept_as_they_are(recording):
    class Named(RegressorMixin, BaseEstimator):
        def fit(self, X, y):
            vars(self).update({"ndcg@3_": 1.0, "ndcg_at_3_": 2.0, "größe (mm), %_": 3.0})
            return self

        def predict(self, X):
            return np.zeros(len(X))

    Named().fit(X, Y)
    metrics = recording.run().metrics
    assert (metrics["ndcg@3"], metrics["ndcg_at_3"], metrics["größe (mm), %"]) == (1, 2, 3)


# --- coefficients ------------------------------------------------------------------------------


def test_coefficients_carry_the_names_of_the_columns_and_the_intercept(recording):
    model = LinearRegression().fit(FRAME, Y)
    table = tables(recording)["coefficients"]
    assert table["feature"] == [*FRAME.columns, "(intercept)"]
    assert table["coefficient"] == [*model.coef_, model.intercept_]


def test_several_classes_have_a_column_each(recording):
    names = np.array(["setosa", "versicolor", "virginica"])
    model = LogisticRegression(max_iter=300).fit(X, names[Y])
    table = tables(recording)["coefficients"]
    assert table["feature"] == ["x0", "x1", "x2", "x3", "(intercept)"]
    for row, name in enumerate(names):
        assert table[name] == [*model.coef_[row], model.intercept_[row]]


def test_a_pipeline_names_the_features_that_its_transformers_make(recording):
    frame = FRAME.assign(kind=np.where(X[:, 0] > 5.5, "big", "small"))
    prepare = ColumnTransformer(
        [("hot", OneHotEncoder(), ["kind"]), ("scale", StandardScaler(), ["petal l"])]
    )
    make_pipeline(prepare, Ridge()).fit(frame, Y)
    assert tables(recording)["coefficients"]["feature"] == [
        "hot__kind_big",
        "hot__kind_small",
        "scale__petal l",
        "(intercept)",
    ]


def test_names_are_not_asked_of_code_that_is_not_of_scikit_learn(recording):
    def refuse(*_):
        raise AssertionError

    step = FunctionTransformer(feature_names_out=refuse)
    make_pipeline(step, Ridge()).fit(X, Y)
    assert tables(recording)["coefficients"]["feature"][:4] == ["x0", "x1", "x2", "x3"]


def test_of_very_many_features_the_largest_are_listed_and_the_rest_is_counted(recording):
    data = np.random.default_rng(0).normal(size=(5, 20_000))
    model = Ridge().fit(data, [0, 1, 2, 3, 4])
    (told,) = recording.events("table_shortened")
    assert told == {"name": "coefficients", "left_out": {"features": 19_000}}
    table = autolog.load_table(recording.run().run_id, "coefficients")
    listed = np.abs(np.array(table.columns["coefficient"][:1000]))
    assert listed.min() == np.sort(np.abs(model.coef_))[-1000]


def test_the_best_estimator_of_a_search_speaks_for_it(recording):
    GridSearchCV(Ridge(), {"alpha": [0.1, 1.0]}, cv=2).fit(FRAME, Y)
    search = recording.runs()[0]
    assert tables(recording, search)["coefficients"]["feature"][0] == "sepal l"


# --- importances ---------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "estimator",
    [
        DecisionTreeClassifier(random_state=0),
        RandomForestClassifier(8, random_state=0),
        ExtraTreesRegressor(8, random_state=0, max_depth=1),
        GradientBoostingClassifier(n_estimators=5),
        make_pipeline(StandardScaler(), RandomForestClassifier(3)),
    ],
    ids=lambda estimator: type(estimator).__name__,
)
def test_importances_are_those_that_scikit_learn_computes(recording, estimator):
    estimator.fit(FRAME, Y)
    table = tables(recording)["feature_importances"]
    last = estimator[-1] if hasattr(estimator, "steps") else estimator
    assert table["feature"] == list(FRAME.columns)
    assert np.allclose(table["importance"], last.feature_importances_, rtol=1e-12, atol=0)


@pytest.mark.edge_case("EC-X7")
def test_a_tree_without_a_split_has_importances_of_zero_and_a_forest_of_such_none(recording):
    DecisionTreeClassifier().fit(X, np.zeros(150))
    RandomForestClassifier(3).fit(X, np.zeros(150))
    tree, forest = recording.runs()
    assert tables(recording, tree)["feature_importances"]["importance"] == [0.0] * 4
    assert tables(recording, forest) == {}


def test_no_table_is_recorded_where_the_user_wants_none(recording):
    autolog.autolog(sklearn={"importances": False})
    RandomForestClassifier(3).fit(X, Y)
    LinearRegression().fit(X, Y)
    assert [tables(recording, run) for run in recording.runs()] == [{}, {}]


@pytest.mark.edge_case("EC-D10")
def test_reading_importances_changes_nothing(recording):
    data, target = make_classification(60, 5, random_state=0)

    def train():
        np.random.seed(3)
        model = RandomForestClassifier(5).fit(data, target)
        return model.predict_proba(data).tobytes(), np.random.get_state()[1].tobytes()

    watched = train()
    with autolog.suspend():
        assert train() == watched
