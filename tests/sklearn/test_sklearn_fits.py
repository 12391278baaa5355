"""What one fit of scikit-learn records: runs, params, facts, data, models."""

from __future__ import annotations

import pickle
import threading

import numpy as np
import pandas as pd
import pytest
from sklearn.base import BaseEstimator, ClassifierMixin, TransformerMixin, clone
from sklearn.cluster import DBSCAN, KMeans
from sklearn.compose import ColumnTransformer
from sklearn.datasets import load_iris, make_regression
from sklearn.decomposition import PCA
from sklearn.ensemble import BaggingClassifier, RandomForestClassifier, VotingClassifier
from sklearn.feature_selection import SelectFromModel
from sklearn.impute import SimpleImputer
from sklearn.linear_model import LinearRegression, LogisticRegression, Ridge, SGDClassifier
from sklearn.model_selection import GridSearchCV, train_test_split
from sklearn.multiclass import OneVsRestClassifier
from sklearn.neighbors import KernelDensity, KNeighborsClassifier
from sklearn.neural_network import MLPClassifier
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import LabelEncoder, OneHotEncoder, OrdinalEncoder, StandardScaler

import autolog
from autolog import ModelError

X, Y = load_iris(return_X_y=True)


@pytest.fixture(autouse=True)
def _on(recording):
    autolog.autolog()


class Mine(ClassifierMixin, BaseEstimator):
    """An estimator of the user's."""

    def __init__(self, label=0):
        self.label = label

    def fit(self, X, y):
        self.classes_ = np.unique(y)
        return self

    def predict(self, X):
        return np.full(len(X), self.label)


def names(recording):
    return [run.name.rpartition("-")[0] for run in recording.runs()]


# --- which fits are runs ---------------------------------------------------------------------


@pytest.mark.edge_case("EC-R10", "EC-R11")
def test_one_fit_is_one_finished_run_and_none_is_active_after_it(recording):
    assert autolog.active_run() is None
    LogisticRegression(max_iter=500).fit(X, Y)
    assert autolog.active_run() is None
    run = recording.run()
    assert (run.status, run.kind) == ("FINISHED", "fit")
    assert run.metrics["fit_seconds"] > 0


@pytest.mark.edge_case("EC-N4", "EC-S11")
def test_a_pipeline_is_one_run_with_flat_params(recording):
    make_pipeline(StandardScaler(), PCA(2), LogisticRegression(C=0.5)).fit(X, Y)
    params = recording.run().params
    assert params["logisticregression__C"] == 0.5
    assert params["pca__n_components"] == 2
    assert params["pca"] == "sklearn.decomposition.PCA"
    assert params["steps"][0] == ["standardscaler", "sklearn.preprocessing.StandardScaler"]


@pytest.mark.parametrize(
    "estimator",
    [
        BaggingClassifier(LogisticRegression(max_iter=500), n_estimators=2),
        VotingClassifier([("a", LogisticRegression(max_iter=500)), ("b", KNeighborsClassifier())]),
        OneVsRestClassifier(LogisticRegression()),
        RandomForestClassifier(n_estimators=3),
        make_pipeline(SelectFromModel(RandomForestClassifier(3)), LogisticRegression(max_iter=500)),
    ],
    ids=lambda estimator: type(estimator).__name__,
)
def test_a_meta_estimator_is_one_run(recording, estimator):
    estimator.fit(X, Y)
    assert names(recording) == [type(estimator).__name__]


@pytest.mark.parametrize("backend", ["threading", "loky"])
@pytest.mark.edge_case("EC-N5", "EC-T3", "EC-T10")
def test_a_search_is_one_run_whatever_runs_its_folds(recording, backend):
    import joblib

    with joblib.parallel_backend(backend, n_jobs=2):
        GridSearchCV(LogisticRegression(max_iter=500), {"C": [0.1, 1.0]}, cv=2).fit(X, Y)
    run, *candidates = recording.runs()
    assert (run.kind, [one.kind for one in candidates]) == ("search", ["candidate"] * 2)
    assert run.metrics["best_score"] > 0.9
    assert run.params["best.C"] in (0.1, 1.0)


def test_a_bagging_in_threads_is_one_run(recording):
    import joblib

    with joblib.parallel_backend("threading", n_jobs=2):
        BaggingClassifier(LogisticRegression(max_iter=500), n_estimators=4).fit(X, Y)
    assert names(recording) == ["BaggingClassifier"]


@pytest.mark.edge_case("EC-T1")
def test_fits_in_threads_are_runs_of_their_own_with_their_own_params(recording):
    def work(number):
        Ridge(alpha=number).fit(X, Y)

    threads = [threading.Thread(target=work, args=(number,)) for number in range(1, 9)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    runs = recording.runs()
    assert sorted(run.params["alpha"] for run in runs) == list(range(1, 9))
    assert {run.status for run in runs} == {"FINISHED"}


@pytest.mark.edge_case("EC-N6")
def test_a_fit_that_calls_its_parents_fit_is_one_run_of_the_child_class(recording):
    class Child(LogisticRegression):
        def fit(self, X, y):
            return super().fit(X, y)

    plain = LogisticRegression(max_iter=500).fit(X, Y)
    child = Child(max_iter=500).fit(X, Y)
    assert np.array_equal(plain.coef_, child.coef_)
    assert names(recording) == ["LogisticRegression", "Child"]


@pytest.mark.edge_case("EC-S4")
def test_an_estimator_of_the_user_is_recorded(recording):
    Mine(label=2).fit(X, Y)
    run = recording.run()
    assert run.params["label"] == 2
    assert run.tags["estimator"].endswith("Mine")


def test_an_estimator_defined_after_the_start_is_recorded(recording):
    class Later(BaseEstimator):
        def fit(self, X, y=None):
            return self

        def predict(self, X):
            return X

    Later().fit(X)
    assert names(recording) == ["Later"]


@pytest.mark.edge_case("EC-S7")
def test_estimators_without_a_target_are_recorded(recording):
    KMeans(3, n_init=1).fit(X)
    KMeans(3, n_init=1).fit(X, None)
    DBSCAN().fit_predict(X)
    KernelDensity().fit(X=X)
    LogisticRegression(max_iter=500).fit(y=Y, X=X)
    assert names(recording) == ["KMeans", "KMeans", "DBSCAN", "KernelDensity", "LogisticRegression"]
    assert all(run.status == "FINISHED" for run in recording.runs())


def test_a_failing_fit_is_a_failed_run_and_raises_what_it_raised(recording):
    with pytest.raises(ValueError, match="inconsistent numbers") as caught:
        LogisticRegression().fit(X, Y[:3])
    assert caught.value.__context__ is None
    run = recording.run()
    assert (run.status, run.params["C"]) == ("FAILED", 1.0)
    assert "inconsistent numbers" in recording.details().error


@pytest.mark.parametrize(
    ("exception", "status"),
    [(KeyboardInterrupt(), "KILLED"), (SystemExit(0), "FINISHED"), (SystemExit(2), "FAILED")],
)
@pytest.mark.edge_case("EC-R2", "EC-R3")
def test_a_fit_left_by_any_exception_is_terminal(recording, exception, status):
    class Stops(Mine):
        def fit(self, X, y):
            raise exception

    with pytest.raises(type(exception)):
        Stops().fit(X, Y)
    assert recording.run().status == status
    assert autolog.active_run() is None


# --- in the user's run -----------------------------------------------------------------------


@pytest.mark.edge_case("EC-R10", "EC-N1")
def test_the_first_fit_joins_the_users_run_and_the_second_is_its_child(recording):
    with autolog.start_run("mine") as mine:
        LogisticRegression(C=1.0, max_iter=500).fit(X, Y)
        assert autolog.active_run() is mine
        LogisticRegression(C=2.0, max_iter=500).fit(X, Y)
        assert mine.active
    first, second = recording.runs()
    assert (first.name, first.params["C"], first.status) == ("mine", 1.0, "FINISHED")
    assert (second.parent_id, second.params["C"]) == (mine.run_id, 2.0)


def test_every_fit_is_a_child_where_the_user_asks_for_it(recording):
    with autolog.start_run("folds", fits="children") as run:
        for _ in range(3):
            Ridge().fit(X, Y)
    runs = recording.runs()
    assert [one.parent_id for one in runs] == [None, run.run_id, run.run_id, run.run_id]


def test_a_warm_start_continues_the_users_run(recording):
    with autolog.start_run():
        model = SGDClassifier(warm_start=True, max_iter=5, tol=None, alpha=0.1)
        model.fit(X, Y)
        model.set_params(alpha=0.01).fit(X, Y)
    run = recording.run()
    assert (run.params["alpha"], run.params["fit.2.alpha"]) == (0.1, 0.01)


@pytest.mark.edge_case("EC-T2")
def test_fits_in_a_pool_inside_a_run_belong_to_it(recording):
    from concurrent.futures import ThreadPoolExecutor

    with autolog.start_run("pool") as run, ThreadPoolExecutor(2) as pool:
        list(pool.map(lambda alpha: Ridge(alpha=alpha).fit(X, Y), [1.0, 2.0]))
    joined, child = recording.runs()
    assert {joined.params["alpha"], child.params["alpha"]} == {1.0, 2.0}
    assert child.parent_id == run.run_id


# --- preparation -----------------------------------------------------------------------------


def prepare_and_train():
    frame = pd.DataFrame(X.copy(), columns=list("abcd"))
    frame["kind"] = np.where(frame["a"] > 5, "big", "small")
    frame.loc[::7, "b"] = np.nan
    frame["b"] = SimpleImputer().fit_transform(frame[["b"]])
    hot = OneHotEncoder(sparse_output=False).fit_transform(frame[["kind"]])
    ordinal = OrdinalEncoder().fit_transform(frame[["kind"]])
    target = LabelEncoder().fit_transform(np.array(["u", "v", "w"])[Y])
    scaled = StandardScaler().fit_transform(frame[list("abcd")])
    reduced = PCA(3).fit_transform(scaled)
    features = np.hstack([reduced, hot, ordinal])
    train, _, train_target, _ = train_test_split(features, target, random_state=0)
    RandomForestClassifier(n_estimators=3).fit(train, train_target)


def test_six_lone_transformers_are_steps_of_the_one_run(recording):
    prepare_and_train()
    assert names(recording) == ["RandomForestClassifier"]
    steps = recording.events("preparation")
    assert [step["class"].rpartition(".")[2] for step in steps] == [
        "SimpleImputer",
        "OneHotEncoder",
        "OrdinalEncoder",
        "LabelEncoder",
        "StandardScaler",
        "PCA",
    ]
    assert steps[-1]["params"]["n_components"] == 3


def test_inside_a_users_run_the_forests_params_are_on_it(recording):
    with autolog.start_run("mine"):
        prepare_and_train()
    run = recording.run()
    assert run.params["n_estimators"] == 3
    assert len(recording.events("preparation")) == 6


def test_a_step_is_linked_where_the_training_got_its_very_array(recording):
    StandardScaler().fit_transform(X + 1)
    scaler = StandardScaler().fit(X)
    reduced = PCA(2).fit_transform(scaler.transform(X))
    LogisticRegression().fit(reduced, Y)
    steps = recording.events("preparation")
    assert [step["linked"] for step in steps] == [False, True, True]


def test_a_pipeline_of_transformers_alone_is_a_step(recording):
    make_pipeline(StandardScaler(), PCA(2)).fit_transform(X)
    ColumnTransformer([("scale", StandardScaler(), [0, 1])]).fit(X)
    assert recording.runs() == []
    LinearRegression().fit(X, Y)
    steps = [step["class"] for step in recording.events("preparation")]
    assert steps == ["sklearn.pipeline.Pipeline", "sklearn.compose.ColumnTransformer"]


def test_a_transformer_of_the_user_that_fits_models_inside_opens_no_run(recording):
    class Stacks(TransformerMixin, BaseEstimator):
        def fit(self, X, y=None):
            self.inner_ = LinearRegression().fit(X, X)
            return self

        def transform(self, X):
            return self.inner_.predict(X)

    Stacks().fit_transform(X)
    assert recording.runs() == []


# --- what is recorded ------------------------------------------------------------------------


def test_data_is_described_with_its_name_in_the_source(recording):
    X_train = pd.DataFrame(X, columns=["a", "b", "c", "d"])
    LogisticRegression(max_iter=500).fit(X_train, Y)
    inputs = {one.role: one for one in recording.details().inputs}
    assert inputs["train"].name == "X_train"
    assert inputs["train"].profile["shape"] == [150, 4]
    assert inputs["train"].profile["columns"] == dict.fromkeys("abcd", "float64")
    assert inputs["train_target"].profile["dtype"] == "int64"


def test_data_is_not_described_where_the_user_does_not_want_it(recording):
    autolog.autolog(log_datasets=False)
    Ridge().fit(X, Y)
    assert recording.details().inputs == []


def test_what_the_fitted_object_knows_is_recorded(recording):
    forest = RandomForestClassifier(60, oob_score=True, random_state=0).fit(X, Y)
    net = MLPClassifier((4,), max_iter=300, tol=1.0, random_state=0).fit(X, Y)
    first, second = recording.runs()
    assert first.metrics["oob_score"] == forest.oob_score_
    history = autolog.metric_history(second.run_id, "loss_curve")
    assert history.value.tolist() == net.loss_curve_
    assert history.step.tolist() == list(range(len(net.loss_curve_)))


def test_a_list_of_rows_is_data_like_any_other(recording):
    Ridge().fit(X.tolist(), Y.tolist())
    profile = recording.details().inputs[0].profile
    assert (profile["class"], profile["shape"], profile["covered"]) == ("list", [150], 1.0)


# --- models ----------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "estimator",
    [
        LogisticRegression(max_iter=500),
        make_pipeline(StandardScaler(), RandomForestClassifier(5, random_state=0)),
        GridSearchCV(Ridge(), {"alpha": [0.1, 1.0]}, cv=2),
        Mine(1),
    ],
    ids=lambda estimator: type(estimator).__name__,
)
def test_a_model_is_loaded_again_with_the_same_predictions(recording, estimator):
    estimator.fit(X, Y)
    loaded = autolog.load_model(autolog.last_run())
    assert np.array_equal(loaded.predict(X), estimator.predict(X))


def test_a_loaded_model_has_been_converted_to_the_safe_format(recording):
    Ridge().fit(X, Y)
    assert [model.format for model in recording.details().models] == ["pickle"]
    autolog.load_model(recording.run().run_id)
    formats = {model.format: model.safe for model in recording.details().models}
    assert formats == {"pickle": False, "skops": True}
    manifest = recording.details().models[0].manifest
    assert manifest["class"].endswith("Ridge")
    assert manifest["signature"]["inputs"]["shape"] == [150, 4]
    assert set(manifest["versions"]) == {"scikit-learn", "numpy", "scipy"}


def test_a_model_whose_file_was_changed_is_not_loaded(recording):
    Ridge().fit(X, Y)
    file = recording.details().models[0].files[0]
    path = recording.folder / "artifacts" / file.uri
    path.write_bytes(pickle.dumps(Mine()))
    with pytest.raises(ModelError, match="sha256"):
        autolog.load_model(autolog.last_run())


def test_a_model_above_the_limit_is_not_stored_and_a_notice_names_the_option(recording):
    autolog.autolog(max_model_mb=0.01)
    RandomForestClassifier(50).fit(X, Y)
    details = recording.details()
    assert details.models == []
    assert details.run.status == "FINISHED"
    assert "max_model_mb" in recording.events("notice")[0]["text"]


def test_no_model_is_stored_where_the_user_wants_none(recording):
    autolog.autolog(log_models="never")
    Ridge().fit(X, Y)
    assert recording.details().models == []


def test_a_model_that_holds_training_rows_is_marked(recording):
    KNeighborsClassifier().fit(X, Y)
    assert recording.details().models[0].manifest["contains_data"] is True


@pytest.mark.edge_case("EC-S8", "EC-R1")
def test_an_estimator_that_cannot_be_saved_leaves_everything_else(recording, monkeypatch):
    monkeypatch.setenv("AUTOLOG_STRICT", "0")
    autolog.autolog()

    class Unsaveable(Mine):
        def fit(self, X, y):
            self.lock_ = threading.Lock()
            return super().fit(X, y)

    model = Unsaveable(3)
    assert model.fit(X, Y) is model
    run = recording.run()
    assert (run.status, run.params["label"]) == ("FINISHED", 3)
    assert run.logging_errors[0].startswith("sklearn, model: ModelError: Unsaveable cannot")
    assert any("cannot be pickled" in notice.text for notice in autolog.status().notices)


def test_a_lambda_inside_a_model_is_stored_by_value(recording):
    from sklearn.preprocessing import FunctionTransformer

    make_pipeline(FunctionTransformer(lambda data: data * 2), Ridge()).fit(X, Y)
    loaded = autolog.load_model(autolog.last_run())
    assert loaded.predict(X).shape == (150,)


# --- neutrality ------------------------------------------------------------------------------


@pytest.mark.edge_case("EC-D9", "EC-D10")
def test_a_fitted_object_and_the_random_state_are_the_same_with_and_without(recording):
    def train():
        np.random.seed(0)
        model = RandomForestClassifier(5).fit(X, Y)
        return pickle.dumps(model), np.random.get_state()[1].tobytes(), sorted(vars(model))

    watched = train()
    with autolog.suspend():
        assert train() == watched
    autolog.disable()
    assert train() == watched


@pytest.mark.edge_case("EC-D7")
def test_the_data_is_not_touched(recording):
    data, target = X.copy(), Y.copy()
    data.flags.writeable = target.flags.writeable = False
    LogisticRegression(max_iter=500).fit(data, target)
    assert recording.run().status == "FINISHED"


@pytest.mark.edge_case("EC-D3")
def test_a_users_container_is_never_asked_for_anything(recording):
    class Touchy:
        def __init__(self):
            self.asked = []

        def __getattr__(self, name):
            if name.startswith("__"):
                raise AttributeError(name)
            self.asked.append(name)
            raise AttributeError(name)

        def __len__(self):
            raise AssertionError

        __getitem__ = __iter__ = __len__

    class Takes(Mine):
        def fit(self, X, y=None):
            return self

    data = Touchy()
    Takes().fit(data)
    assert data.asked == []


def test_clone_pickle_and_signature_work_while_on(recording):
    import inspect

    model = clone(LogisticRegression(C=3))
    again = pickle.loads(pickle.dumps(model))
    assert again.C == 3
    fit = pickle.loads(pickle.dumps(model.fit))
    fit(X, Y)
    assert list(inspect.signature(model.fit).parameters) == ["X", "y", "sample_weight"]


@pytest.mark.edge_case("EC-D12")
def test_nothing_is_kept_alive_and_no_table_grows(recording):
    import gc
    import weakref

    from autolog.capture import port

    entries = len(port._attribution)
    alive = []
    for _ in range(50):
        data, target = make_regression(20, 3)
        model = Ridge().fit(data, target)
        alive += [weakref.ref(model), weakref.ref(data), weakref.ref(model.predict(data))]
    del model, data, target
    gc.collect()
    assert not [reference for reference in alive if reference() is not None]
    assert len(port._attribution) == entries
