"""Estimators of every kind: of scikit-learn, of third parties, of users, and hostile ones."""

from __future__ import annotations

import asyncio
import functools
import gc
import json
import subprocess
import sys
import threading
import time

import numpy as np
import pandas as pd
import pytest
from sklearn.base import BaseEstimator, ClassifierMixin, OutlierMixin, RegressorMixin
from sklearn.cluster import AgglomerativeClustering, KMeans
from sklearn.compose import TransformedTargetRegressor
from sklearn.covariance import EllipticEnvelope
from sklearn.datasets import load_iris
from sklearn.ensemble import IsolationForest, StackingClassifier, VotingClassifier
from sklearn.feature_extraction.text import CountVectorizer
from sklearn.gaussian_process import GaussianProcessRegressor
from sklearn.gaussian_process.kernels import RBF, WhiteKernel
from sklearn.linear_model import LinearRegression, LogisticRegression, Ridge, RidgeCV
from sklearn.metrics import f1_score, make_scorer
from sklearn.mixture import GaussianMixture
from sklearn.model_selection import GridSearchCV, KFold, cross_val_score
from sklearn.multioutput import MultiOutputRegressor
from sklearn.naive_bayes import MultinomialNB
from sklearn.neighbors import KernelDensity, KNeighborsClassifier, LocalOutlierFactor
from sklearn.pipeline import make_pipeline
from sklearn.semi_supervised import SelfTrainingClassifier
from sklearn.svm import OneClassSVM
from sklearn.utils.estimator_checks import check_estimator

import autolog

X, Y = load_iris(return_X_y=True)


@pytest.fixture(autouse=True)
def _on(recording):
    autolog.autolog()


@pytest.fixture
def lenient(recording, monkeypatch):
    """As a user has it: what fails inside a hook is kept with the run, not raised."""
    monkeypatch.setenv("AUTOLOG_STRICT", "0")
    autolog.autolog()
    return recording


class Base(ClassifierMixin, BaseEstimator):
    def fit(self, X, y=None):
        self.classes_ = np.unique(y)
        return self

    def predict(self, X):
        return np.zeros(len(X), int)


def names(recording):
    return [run.name.rpartition("-")[0] for run in recording.runs()]


# --- of scikit-learn -----------------------------------------------------------------------------


@pytest.mark.parametrize(
    "train",
    [
        lambda: LocalOutlierFactor().fit_predict(X),
        lambda: LocalOutlierFactor(novelty=True).fit(X),
        lambda: IsolationForest(n_estimators=3).fit_predict(X),
        lambda: IsolationForest(n_estimators=3).fit(X, y=None),
        lambda: OneClassSVM().fit_predict(X, None),
        lambda: EllipticEnvelope(random_state=0).fit(X=X),
        lambda: AgglomerativeClustering(3).fit_predict(X),
        lambda: KMeans(3, n_init=1).fit(X, sample_weight=np.ones(150)),
        lambda: KernelDensity().fit(X),
        lambda: GaussianMixture(2).fit_predict(X),
        lambda: SelfTrainingClassifier(LogisticRegression()).fit(X[:, :2], np.where(Y, Y, -1)),
        lambda: MultiOutputRegressor(Ridge()).fit(X[:, :2], X[:, 2:]),
        lambda: TransformedTargetRegressor(Ridge(), func=np.log1p, inverse_func=np.expm1).fit(X, Y),
        lambda: KNeighborsClassifier().fit(X, np.c_[Y, Y]),
        lambda: GaussianProcessRegressor(RBF() + WhiteKernel(), optimizer=None).fit(X, Y),
        lambda: make_pipeline(CountVectorizer(), MultinomialNB()).fit(["a b", "b c"], [0, 1]),
        lambda: LogisticRegression(max_iter=300).fit(y=pd.Series(Y), X=pd.DataFrame(X)),
    ],
)
@pytest.mark.edge_case("EC-S7", "EC-R11", "EC-R12")
def test_one_training_is_one_finished_run_with_a_model(recording, train):
    train()
    run = recording.run()
    assert (run.status, run.logging_errors) == ("FINISHED", [])
    assert run.metrics["fit_seconds"] > 0
    assert len(recording.details().models) == 1
    autolog.log_metric("mine", 1.0)
    assert recording.run().metrics["mine"] == 1.0


@pytest.mark.edge_case("EC-S7")
def test_swapped_data_and_target_are_recorded_as_they_were_given(recording):
    with pytest.raises(ValueError, match="2D array"):
        LinearRegression().fit(Y, X)
    run = recording.run()
    assert run.status == "FAILED"
    shapes = {one.role: one.profile["shape"] for one in recording.details().inputs}
    assert shapes == {"train": [150], "train_target": [150, 4]}


# --- parameters ----------------------------------------------------------------------------------


@pytest.mark.edge_case("EC-N4", "EC-S11")
def test_parameters_of_nested_estimators_are_flat_and_objects_are_named(recording):
    def cost(x):
        return x

    stack = StackingClassifier(
        [
            ("nb", make_pipeline(LogisticRegression(C=3.0))),
            ("knn", KNeighborsClassifier(metric=cost)),
        ],
        final_estimator=LogisticRegression(C=0.5),
        cv=KFold(2),
    )
    with autolog.suspend():
        inner = stack.get_params()
    try:
        stack.fit(X, Y)
    except Exception:  # the metric is no metric: the parameters are there all the same
        pass
    params = recording.run().params
    assert set(params) == set(inner)
    assert params["nb__logisticregression__C"] == 3.0
    assert params["nb__steps"] == [
        ["logisticregression", "sklearn.linear_model.LogisticRegression"]
    ]
    assert params["final_estimator"] == "sklearn.linear_model.LogisticRegression"
    assert params["final_estimator__C"] == 0.5
    assert params["cv"] == "KFold"
    assert params["knn__metric"].endswith("<locals>.cost")
    assert not any("object at 0x" in str(value) for value in params.values())


@pytest.mark.edge_case("EC-S11")
def test_functions_scorers_and_kernels_are_named(recording):
    search = GridSearchCV(
        GaussianProcessRegressor(RBF(2.0), optimizer=None),
        {"alpha": [0.1]},
        scoring=make_scorer(functools.partial(np.corrcoef), greater_is_better=False),
        cv=2,
        error_score=0.0,
    )
    search.set_params(scoring=make_scorer(f1_score, average="macro"))
    with pytest.warns(Warning, match="Scoring failed"):
        search.fit(X, Y)
    params = recording.runs()[0].params
    assert params["scoring"] == "make_scorer(sklearn.metrics._classification.f1_score)"
    assert params["estimator__kernel"] == "sklearn.gaussian_process.kernels.RBF"
    assert params["estimator__kernel__length_scale"] == 2.0


@pytest.mark.edge_case("EC-V7")
def test_five_thousand_parameters_are_all_recorded(recording):
    members = [(f"m{number}", LogisticRegression(C=number + 1.0)) for number in range(340)]
    model = VotingClassifier(members)
    expected = len(model.get_params())
    assert expected > 5000

    class Votes(VotingClassifier):
        def fit(self, X, y):
            return self

    Votes(members).fit(X, Y)
    params = recording.run().params
    assert len(params) == expected
    assert params["m339__C"] == 340.0


@pytest.mark.edge_case("EC-V1")
def test_a_parameter_of_a_megabyte_is_whole_in_an_artifact_and_the_rest_is_there(recording):
    class Weighs(Base):
        def __init__(self, weights=None, C=2.0):
            self.weights = weights
            self.C = C

    weights = {f"class {number:06}": number / 3 for number in range(40_000)}
    Weighs(weights).fit(X, Y)
    run = recording.run()
    assert (run.status, run.params["C"], run.metrics["fit_seconds"] > 0) == ("FINISHED", 2.0, True)
    assert "artifact params/weights.txt" in run.params["weights"]
    (told,) = recording.events("long_param")
    assert told["characters"] > 1_000_000
    with open(autolog.get_artifact(run.run_id, "params/weights.txt")) as file:
        assert json.load(file) == weights


@pytest.mark.edge_case("EC-V6", "EC-V2")
def test_values_of_every_type_are_kept_or_described(recording):
    class Takes(Base):
        def __init__(self, a=None, b=None, c=None, d=None, e=None):
            self.a, self.b, self.c, self.d, self.e = a, b, c, d, e

    Takes(a=np.float32(0.5), b=(1, "zwei"), c=np.zeros((3, 2)), d=Ridge, e=float("inf")).fit(X, Y)
    params = recording.run().params
    assert (params["a"], params["b"]) == (0.5, [1, "zwei"])
    assert params["c"] == "ndarray(shape=(3, 2), dtype=float64)"
    assert params["d"] == "sklearn.linear_model._ridge.Ridge"
    assert params["e"] == float("inf")


def test_parameters_of_an_estimator_whose_get_params_raises_are_its_attributes(recording):
    class Stubborn(Base):
        def __init__(self, depth=3, *, rate=0.1, unkept=None):
            self.depth = depth
            self.rate = rate

    Stubborn(depth=4).fit(X, Y)  # `unkept` is no attribute: get_params raises
    run = recording.run()
    assert run.params == {"depth": 4, "rate": 0.1}
    assert (run.status, run.logging_errors) == ("FINISHED", [])


# --- of the user ---------------------------------------------------------------------------------


class Nearest(ClassifierMixin, BaseEstimator):
    """A classifier as scikit-learn's documentation tells users to write one."""

    def __init__(self, shift=0.0):
        self.shift = shift

    def fit(self, X, y):
        from sklearn.utils.multiclass import check_classification_targets
        from sklearn.utils.validation import validate_data

        X, y = validate_data(self, X, y)
        check_classification_targets(y)
        self.classes_, codes = np.unique(y, return_inverse=True)
        self.centers_ = np.array([X[codes == code].mean(axis=0) for code in np.unique(codes)])
        return self

    def predict(self, X):
        from sklearn.utils.validation import check_is_fitted, validate_data

        check_is_fitted(self)
        X = validate_data(self, X, reset=False)
        distances = ((X[:, None, :] - self.centers_) ** 2).sum(axis=2)
        return self.classes_[distances.argmin(axis=1)]


@pytest.mark.edge_case("EC-S4")
def test_an_estimator_that_passes_check_estimator_passes_it_watched_and_is_recorded(recording):
    check_estimator(Nearest())
    assert {run.name.partition("-")[0] for run in recording.runs()} >= {"Nearest"}
    assert all(not run.logging_errors for run in recording.runs())


@pytest.mark.edge_case("EC-N6")
def test_a_child_that_calls_its_parents_fit_is_tagged_with_its_own_class(recording):
    class Parent(LogisticRegression):
        def fit(self, X, y):
            return super().fit(X, y)

    class Child(Parent):
        def fit(self, X, y):
            return super().fit(X, y)

    Child(max_iter=300).fit(X, Y)
    run = recording.run()
    assert run.tags["estimator"].endswith("Child")


@pytest.mark.edge_case("EC-N8")
def test_a_training_inside_another_writes_no_key_of_its_own(recording):
    class Inner(Base):
        def fit(self, X, y):
            self.inner_fact_ = 1.0
            return super().fit(X, y)

    class Outer(Base):
        def fit(self, X, y):
            cross_val_score(Inner(), X, y, cv=2)
            self.model_ = Inner().fit(X, y)
            self.model_.score(X, y)
            return super().fit(X, y)

    Outer().fit(X, Y)
    run = recording.run()
    assert set(run.metrics) == {"fit_seconds"}


def test_an_estimator_that_hands_attributes_on_is_what_it_hands_on(recording):
    class Proxy(BaseEstimator):
        def __init__(self, inner=None):
            self.inner = inner

        def __getattr__(self, name):
            if name.startswith("__") or name == "inner":
                raise AttributeError(name)
            return getattr(self.inner, name)

        def fit(self, X, y):
            self.inner.fit(X, y)
            return self

    Proxy(Ridge(alpha=2.0)).fit(X, Y).predict(X)
    run = recording.run()
    assert (run.name.partition("-")[0], run.params["inner__alpha"]) == ("Proxy", 2.0)


def test_an_estimator_with_slots_is_recorded(recording):
    class Slotted(OutlierMixin):
        __slots__ = ("fitted",)

        def fit(self, X, y=None):
            self.fitted = True
            return self

        def predict(self, X):
            return np.ones(len(X))

    assert Slotted().fit(X).fitted
    assert recording.run().status == "FINISHED"


@pytest.mark.parametrize("trap", ["__getattribute__", "__eq__", "__len__", "__bool__", "__hash__"])
def test_an_estimator_that_refuses_to_be_looked_at_is_trained(lenient, trap):
    def refuse(self, *arguments):
        if trap == "__getattribute__" and arguments[0] in ("fit", "predict", "__class__"):
            return object.__getattribute__(self, arguments[0])
        raise RuntimeError("hands off")

    hostile = type("Hostile", (Base,), {trap: refuse, "fit": lambda self, X, y=None: 42})
    assert hostile().fit(X, Y) == 42
    assert lenient.run().status == "FINISHED"


@pytest.mark.edge_case("EC-D7")
def test_columns_are_those_given_although_the_training_changes_them(recording):
    class Adds(RegressorMixin, BaseEstimator):
        def fit(self, X, y):
            X["extra"] = 1.0
            del X["a"]
            self.seen_ = X.shape[1]
            return self

        def predict(self, X):
            return np.zeros(len(X))

    frame = pd.DataFrame(X, columns=list("abcd"))
    Adds().fit(frame, Y)
    (data, _) = recording.details().inputs
    assert list(data.profile["columns"]) == ["a", "b", "c", "d"]
    assert list(frame.columns) == ["b", "c", "d", "extra"]


# --- trainings that are not over when fit returns ------------------------------------------------


class Later(Base):
    async def fit(self, X, y):
        self.fitted_ = 0.0
        await asyncio.sleep(0)
        self.fitted_ = 1.0
        return self


class Yields(Base):
    def fit(self, X, y):
        for step in range(3):
            self.step_ = step
            yield step


def test_a_coroutine_has_not_trained_before_it_ran(recording):
    model = Later()

    async def main():
        training = model.fit(X, Y)
        assert recording.run().status == "RUNNING"
        return await training

    assert asyncio.run(main()) is model
    gc.collect()
    run = recording.run()
    assert (run.status, run.tags["deferred"]) == ("FINISHED", "coroutine")
    assert "trains later" in recording.events("notice")[0]["text"]
    assert autolog.load_model(run.run_id).fitted_ == 1.0


def test_a_generator_is_not_finished_before_it_is_gone(recording):
    model = Yields()
    training = model.fit(X, Y)
    assert next(training) == 0
    Ridge().fit(X, Y)
    first, second = recording.runs()
    assert (first.status, second.status, second.depth) == ("RUNNING", "FINISHED", 0)
    assert list(training) == [1, 2]
    del training
    gc.collect()
    assert recording.runs()[0].status == "FINISHED"
    assert autolog.load_model(first.run_id).step_ == 2


# --- many at once, many in a row -----------------------------------------------------------------


@pytest.mark.edge_case("EC-T1", "EC-V8")
def test_fits_in_threads_have_all_their_points(recording):
    class Slow(Base):
        def __init__(self, number=0):
            self.number = number

        def fit(self, X, y):
            time.sleep(0.01)
            self.twice_ = 2.0 * self.number
            self.loss_curve_ = [1.0, 1.0, 1.0]
            return super().fit(X, y)

    threads = [threading.Thread(target=Slow(number).fit, args=(X, Y)) for number in range(12)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    runs = recording.runs()
    assert len(runs) == 12
    for run in runs:
        assert run.metrics["twice"] == 2 * run.params["number"]
        assert autolog.metric_history(run.run_id, "loss_curve").value.tolist() == [1.0, 1.0, 1.0]


@pytest.mark.edge_case("EC-N10")
def test_a_suspension_is_of_its_thread_and_ends_with_the_outermost_block(recording):
    def elsewhere():
        Ridge(alpha=2.0).fit(X, Y)

    with autolog.suspend():
        with autolog.suspend():
            Ridge(alpha=1.0).fit(X, Y)
        thread = threading.Thread(target=elsewhere)
        thread.start()
        thread.join()
        Ridge(alpha=3.0).fit(X, Y)
    Ridge(alpha=4.0).fit(X, Y)
    assert [run.params["alpha"] for run in recording.runs()] == [2.0, 4.0]


@pytest.mark.edge_case("EC-D12")
def test_a_thousand_fits_leave_no_table_longer(recording):
    from autolog.capture import kept, port, preparation
    from autolog.tracking import context, recorder

    def sizes():
        gc.collect()
        open_runs = sum(len(one.open_runs) for one in recorder.all_recorders())
        steps, loops = len(preparation._thread.steps), len(context.open_loops())
        return len(port._attribution), len(kept._entries), open_runs, steps, loops

    autolog.autolog(log_models="never")
    Ridge().fit(X, Y)
    before = sizes()
    for _ in range(1000):
        Ridge().fit(X, Y).predict(X)
    assert sizes() == before
    assert len(recording.runs()) == 1001


@pytest.mark.edge_case("EC-D13")
def test_no_plotting_library_and_no_heavy_module_is_imported(recording):
    script = """
import sys
from autolog import autolog
autolog()
import sklearn.linear_model, sklearn.ensemble
before = set(sys.modules)
sklearn.linear_model.LogisticRegression().fit([[0.0], [1.0]], [0, 1])
sklearn.ensemble.RandomForestClassifier(3).fit([[0.0], [1.0]], [0, 1])
new = {name.partition(".")[0] for name in set(sys.modules) - before}
print(sorted(new & {"matplotlib", "pandas", "skops", "sqlalchemy", "IPython", "cloudpickle"}))
"""
    done = subprocess.run(
        [sys.executable, "-c", script], capture_output=True, text=True, check=True, timeout=120
    )
    assert done.stdout.strip() == "[]"


@pytest.mark.edge_case("EC-I9")
def test_a_class_that_cannot_be_patched_does_not_stop_the_others(lenient):
    class Meta(type(BaseEstimator)):
        def __setattr__(cls, name, value):
            raise TypeError("this class is frozen")

    class Frozen(BaseEstimator, metaclass=Meta):
        def fit(self, X, y=None):
            return self

        def predict(self, X):
            return X

    autolog.disable()
    autolog.autolog()
    Frozen().fit(X)
    RidgeCV().fit(X, Y)
    assert names(lenient) == ["RidgeCV"]
    place = [site for site in autolog.status().sites if "Frozen" in site.owner]
    assert [site.state for site in place] == ["skipped"]


@pytest.mark.edge_case("EC-R8")
def test_what_comes_after_the_end_is_marked_and_changes_no_status(recording):
    model = Ridge().fit(X, Y)
    before = recording.run()
    model.score(X, Y)
    run = recording.run()
    assert (run.status, run.end_time) == ("FINISHED", before.end_time)
    history = autolog.metric_history(run.run_id, "train/score")
    assert [one["phase"] for one in history.context] == ["post"]
