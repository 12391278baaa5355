"""What the scikit-learn API records: one run with everything once, whichever integration is on."""

from __future__ import annotations

import subprocess
import sys
import textwrap

import numpy as np
import pandas as pd
import pytest
import xgboost
from sklearn.base import BaseEstimator, ClassifierMixin, clone
from sklearn.ensemble import BaggingRegressor
from sklearn.metrics import accuracy_score
from sklearn.model_selection import GridSearchCV, cross_val_score
from sklearn.multioutput import MultiOutputRegressor
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler
from xgboost.callback import EarlyStopping

import autolog
from tests.xgboost.tables import BINARY, MULTI, REAL, TEST, TRAIN, X, assert_recorded, series

ORDERS = [("xgboost",), ("sklearn", "xgboost"), ("xgboost", "sklearn"), ()]
"""What is switched on, one after the other; nothing names everything."""

X_train, X_test = X[TRAIN], X[TEST]
y_train, y_test = BINARY[TRAIN], BINARY[TEST]
EVALS = [(X_train, y_train), (X_test, y_test)]


@pytest.fixture(params=ORDERS, ids=lambda order: "+".join(order) or "all")
def on(request, recording):
    for name in request.param:
        autolog.autolog(name)
    if not request.param:
        autolog.autolog()
    return request.param


@pytest.fixture
def place(tmp_path):
    """A folder for a model."""
    folder = tmp_path / "model"
    folder.mkdir()
    return folder


@pytest.fixture
def alone(recording):
    autolog.autolog("xgboost")


def classifier(**params):
    return xgboost.XGBClassifier(**{"n_estimators": 5, "max_depth": 2, "n_jobs": 1, **params})


# --- one fit -------------------------------------------------------------------------------------


@pytest.mark.edge_case("EC-X3", "EC-X8")
def test_a_fit_is_one_run_with_everything_once_in_whatever_order(on, recording):
    model = classifier(eval_metric=["logloss", "auc"])
    known = model.get_params()
    model.fit(X_train, y_train, eval_set=EVALS, verbose=False)
    predicted = model.predict(X_test)
    accuracy = accuracy_score(y_test, predicted)
    score = model.score(X_test, y_test)
    run = recording.run()
    assert (run.status, run.kind, run.logging_errors) == ("FINISHED", "fit", [])
    assert run.name.startswith("XGBClassifier-")
    assert run.tags == {
        "estimator": "xgboost.sklearn.XGBClassifier",
        "eval_sets": "validation_0, validation_1",
    }
    assert known.keys() | {"num_boost_round"} == run.params.keys()
    assert run.params["max_depth"] == 2
    assert np.isnan(run.params["missing"])
    assert_recorded(run, model.evals_result())
    assert run.metrics["test/score"] == score
    if on != ("xgboost",):
        assert run.metrics["test/accuracy"] == accuracy
    details = recording.details()
    assert [(one.role, one.name) for one in details.inputs] == [
        ("train", "X_train"),
        ("train_target", "y_train"),
        ("validation", "validation_1"),
        ("validation_target", "validation_1"),
    ]
    assert [event.data["name"] for event in details.events if event.kind == "table"] == [
        "feature_importances"
    ]
    (stored,) = details.models
    assert "xgboost-ubj" in (stored.format, stored.manifest.get("convert_to"))
    for key in ("fit_seconds", "validation_0-auc", "test/score"):
        assert len(series(run, key)) == (5 if key.startswith("val") else 1)


@pytest.mark.edge_case("EC-X1")
@pytest.mark.parametrize("stops", ["argument", "callback"])
def test_early_stopping_is_known_however_it_is_asked_for(on, recording, stops):
    how = {"early_stopping_rounds": 2}
    if stops == "callback":
        how = {"callbacks": [EarlyStopping(rounds=2)]}
    model = classifier(n_estimators=300, learning_rate=0.9, **how)
    model.fit(X_train, y_train, eval_set=EVALS, verbose=False)
    run = recording.run()
    rounds = len(model.evals_result()["validation_1"]["logloss"])
    assert rounds < 300
    assert run.metrics["best_iteration"] == model.best_iteration
    assert run.metrics["best_score"] == model.best_score
    assert run.metrics["stopped_iteration"] == rounds - 1
    if stops == "callback":
        assert model.get_params()["callbacks"] == how["callbacks"]
        assert len(how["callbacks"]) == 1


@pytest.mark.edge_case("EC-X2")
def test_a_fit_that_goes_on_from_a_model_counts_on(on, recording):
    first = classifier().fit(X_train, y_train)
    second = classifier().fit(
        X_train, y_train, eval_set=EVALS, xgb_model=first.get_booster(), verbose=False
    )
    run = recording.runs()[1]
    assert_recorded(run, second.evals_result(), start=5)


def test_native_parameters_that_differ_stand_beside_the_estimators(on, recording):
    seed = np.random.RandomState(5)
    drawn = np.random.RandomState(5).randint(np.iinfo(np.int32).max)
    target = MULTI[TRAIN]
    xgboost.XGBClassifier(
        n_estimators=2, objective="multi:softprob", random_state=seed, n_jobs=1
    ).fit(X_train, target)
    run = recording.run()
    assert run.params["num_class"] == 3
    assert run.params["objective"] == "multi:softprob"
    assert run.params["native.random_state"] == drawn or run.params["random_state"] == drawn
    follows = np.random.RandomState(5)
    follows.randint(np.iinfo(np.int32).max)
    assert np.array_equal(seed.get_state()[1], follows.get_state()[1])
    assert seed.get_state()[2] == follows.get_state()[2]


def test_additional_native_parameters_are_recorded(on, recording):
    objective = "reg:pseudohubererror"
    xgboost.XGBRegressor(n_estimators=2, n_jobs=1, objective=objective, huber_slope=2.5).fit(
        X_train, REAL[TRAIN]
    )
    run = recording.run()
    assert run.params["huber_slope"] == 2.5
    assert run.tags["eval_sets"] == "none"


@pytest.mark.parametrize(
    ("make", "fit"),
    [
        (lambda: xgboost.XGBRegressor(n_estimators=3, n_jobs=1), {"y": REAL}),
        (lambda: xgboost.XGBClassifier(n_estimators=3, n_jobs=1), {"y": MULTI}),
        (
            lambda: xgboost.XGBRanker(n_estimators=3, n_jobs=1, eval_metric="ndcg@2"),
            {"y": BINARY, "qid": np.arange(160) // 8},
        ),
        (
            lambda: xgboost.XGBRegressor(
                n_estimators=3, n_jobs=1, objective="survival:cox", eval_metric="cox-nloglik"
            ),
            {"y": np.where(BINARY == 1, 3.0, -2.0)},
        ),
        (
            lambda: xgboost.XGBRegressor(
                n_estimators=3, n_jobs=1, multi_strategy="multi_output_tree", tree_method="hist"
            ),
            {"y": np.stack([REAL, -REAL], axis=1)},
        ),
    ],
    ids=["regressor", "classes", "ranker", "survival", "outputs"],
)
def test_every_kind_of_estimator_is_recorded(alone, recording, make, fit):
    model = make()
    y = fit.pop("y")
    extra = {f"eval_{key}": [values] for key, values in fit.items()}
    model.fit(X, y, eval_set=[(X, y)], verbose=False, **fit, **extra)
    fit["y"] = y
    run = recording.run()
    assert (run.status, run.logging_errors) == ("FINISHED", [])
    assert_recorded(run, model.evals_result())


@pytest.mark.filterwarnings("ignore:.*XGBRF.*:FutureWarning")
@pytest.mark.parametrize("name", ["XGBRFClassifier", "XGBRFRegressor"])
def test_a_forest_is_one_run(on, recording, name):
    model = getattr(xgboost, name)(n_estimators=4, max_depth=2, n_jobs=1)
    model.fit(X_train, y_train, eval_set=EVALS, verbose=False)
    run = recording.run()
    assert run.name.startswith(f"{name}-")
    assert run.params["num_boost_round"] == 1
    assert run.params["num_parallel_tree"] in (4, None)
    assert_recorded(run, model.evals_result())


@pytest.mark.edge_case("EC-N6")
def test_a_users_subclass_is_one_run_of_its_own_name(on, recording):
    class Mine(xgboost.XGBClassifier):
        def fit(self, X, y, **kwargs):
            return super().fit(X, y, **kwargs)

    model = Mine(n_estimators=3, n_jobs=1)
    assert model.fit(X_train, y_train, eval_set=EVALS, verbose=False) is model
    run = recording.run()
    assert run.name.startswith("Mine-")
    assert_recorded(run, model.evals_result())


def test_a_custom_objective_of_an_estimator_is_recorded(alone, recording):
    def squared(y_true, y_pred):
        return y_pred - y_true, np.ones(len(y_pred))

    model = xgboost.XGBRegressor(n_estimators=3, n_jobs=1, objective=squared)
    model.fit(X_train, REAL[TRAIN], eval_set=[(X_test, REAL[TEST])], verbose=False)
    run = recording.run()
    assert_recorded(run, model.evals_result())
    loaded = autolog.load_model(run.run_id)
    assert loaded.predict(X_test).tobytes() == model.predict(X_test).tobytes()


def test_a_fit_that_raises_is_one_failed_run(on, recording):
    with pytest.raises(ValueError, match="Invalid classes"):
        classifier().fit(X_train, y_train + 5)
    assert recording.run().status == "FAILED"


@pytest.mark.edge_case("EC-N1")
def test_two_fits_in_a_users_run_keep_their_parameters_apart(on, recording):
    with autolog.start_run():
        classifier(max_depth=2).fit(X_train, y_train)
        classifier(max_depth=3).fit(X_train, y_train)
    first, second = recording.runs()
    assert second.parent_id == first.run_id
    assert (first.params["max_depth"], second.params["max_depth"]) == (2, 3)


# --- inside of others ----------------------------------------------------------------------------


@pytest.mark.edge_case("EC-N4")
def test_a_pipeline_is_one_run_with_its_parameters_and_the_boosters_rounds(recording):
    autolog.autolog()
    pipe = make_pipeline(StandardScaler(), classifier())
    pipe.fit(
        X_train,
        y_train,
        xgbclassifier__eval_set=[(X_test, y_test)],
        xgbclassifier__verbose=False,
    )
    run = recording.run()
    assert run.name.startswith("Pipeline-")
    assert run.params["xgbclassifier__max_depth"] == 2
    assert not {"max_depth", "num_boost_round"} & run.params.keys()
    assert_recorded(run, pipe[-1].evals_result())


@pytest.mark.edge_case("EC-N5")
def test_what_is_recorded_as_a_whole_costs_its_parts_nothing(alone, recording):
    from autolog.capture import spans
    from autolog.capture.options import Options

    silent = spans.CaptureSpan(
        role="part", owner=object(), name="fold", kind="fit", integration="x", options=Options()
    )
    spans.enter(silent)
    try:
        model = classifier().fit(X_train, y_train, eval_set=EVALS, verbose=False)
        xgboost.train({"nthread": 1}, xgboost.DMatrix(X, label=BINARY), 2)
    finally:
        spans.close(silent)
    assert len(model.evals_result()["validation_0"]["logloss"]) == 5
    assert recording.runs() == []


@pytest.mark.edge_case("EC-N5")
def test_searches_and_validations_open_no_run_for_a_fold(recording):
    autolog.autolog()
    GridSearchCV(classifier(), {"max_depth": [1, 2]}, cv=2).fit(X_train, y_train)
    cross_val_score(classifier(), X_train, y_train, cv=2)
    roots = [run.kind for run in recording.runs() if run.depth == 0]
    assert roots == ["search", "cv"]


def test_estimators_of_a_meta_estimator_open_no_run(recording):
    autolog.autolog()
    target = np.stack([REAL, -REAL], axis=1)
    MultiOutputRegressor(xgboost.XGBRegressor(n_estimators=2, n_jobs=1)).fit(X, target)
    assert recording.run().name.startswith("MultiOutputRegressor-")


def test_a_users_estimator_that_trains_a_booster_is_one_run_with_its_rounds(recording):
    autolog.autolog()

    class Boosted(ClassifierMixin, BaseEstimator):
        def fit(self, X, y):
            matrix = xgboost.DMatrix(X, label=y)
            self.told_ = {}
            self.booster_ = xgboost.train(
                {"nthread": 1, "objective": "binary:logistic"},
                matrix,
                3,
                evals=[(matrix, "train")],
                evals_result=self.told_,
                verbose_eval=False,
            )
            return self

        def predict(self, X):
            return self.booster_.predict(xgboost.DMatrix(X)) > 0.5

    model = Boosted().fit(X_train, y_train)
    run = recording.run()
    assert run.name.startswith("Boosted-")
    assert_recorded(run, model.told_)


# --- models --------------------------------------------------------------------------------------


def frame(categories):
    """Numbers and a category."""
    kinds = pd.Categorical(np.array(["red", "green", "blue"])[MULTI], categories=categories)
    return pd.DataFrame({"a": X[:, 0], "b": X[:, 1], "kind": kinds})


@pytest.mark.edge_case("EC-X6")
@pytest.mark.parametrize(
    ("make", "data", "target"),
    [
        (lambda: classifier(), X, BINARY),
        (lambda: classifier(early_stopping_rounds=2, n_estimators=100), X, BINARY),
        (lambda: classifier(), X, MULTI),
        (lambda: classifier(objective="multi:softmax"), X, MULTI),
        (lambda: classifier(booster="dart", rate_drop=0.4), X, BINARY),
        (lambda: classifier(booster="gblinear", max_depth=None), X, MULTI),
        (
            lambda: classifier(enable_categorical=True, tree_method="hist"),
            frame(["blue", "green", "red"]),
            BINARY,
        ),
        (
            lambda: xgboost.XGBRegressor(
                n_estimators=3, n_jobs=1, monotone_constraints=(1, 0, 0, -1)
            ),
            X,
            REAL,
        ),
        (
            lambda: xgboost.XGBRegressor(
                n_estimators=3, n_jobs=1, multi_strategy="multi_output_tree", tree_method="hist"
            ),
            X,
            np.stack([REAL, -REAL], axis=1),
        ),
        (lambda: xgboost.XGBRegressor(n_estimators=3, n_jobs=1), X, np.stack([REAL, -REAL], 1)),
    ],
    ids=[
        *("binary", "early stopping", "classes", "softmax", "dart", "gblinear", "categorical"),
        *("tuple", "vector leaf", "outputs"),
    ],
)
def test_an_estimator_loads_as_its_class_and_predicts_the_same_bits(
    alone, recording, make, data, target, place
):
    from autolog_xgboost import formats

    model = make().fit(data, target, eval_set=[(data, target)], verbose=False)
    formats.save(model, place)
    (run,) = recording.runs()
    for loaded in (formats.load(place), autolog.load_model(run.run_id)):
        assert type(loaded) is type(model)
        assert loaded.predict(data).tobytes() == model.predict(data).tobytes()
        assert str(loaded.get_params()) == str(model.get_params())
        assert loaded.evals_result() == model.evals_result()
        assert str(clone(loaded).get_params()) == str(clone(model).get_params())
        if hasattr(model, "predict_proba"):
            probabilities = model.predict_proba(data)
            assert loaded.predict_proba(data).tobytes() == probabilities.tobytes()
            assert loaded.classes_.tolist() == model.classes_.tolist()
        if model.early_stopping_rounds:
            assert loaded.best_iteration == model.best_iteration
        names = model.get_booster().feature_names
        assert loaded.get_booster().feature_names == names
        assert autolog.get_run(run.run_id).status == "FINISHED"


@pytest.mark.edge_case("EC-X6")
@pytest.mark.parametrize(
    ("params", "target"),
    [
        ({"objective": "binary:logistic", "max_depth": 2}, BINARY),
        ({"booster": "dart", "rate_drop": 0.5}, REAL),
        ({"booster": "gblinear"}, REAL),
        ({"objective": "multi:softprob", "num_class": 3}, MULTI),
        ({"multi_strategy": "multi_output_tree"}, np.stack([REAL, -REAL], axis=1)),
    ],
    ids=["trees", "dart", "gblinear", "classes", "vector leaf"],
)
def test_a_booster_loads_and_predicts_the_same_bits(alone, recording, params, target, place):
    from autolog_xgboost import formats

    matrix = xgboost.DMatrix(X, label=target, feature_names=["a", "b", "c", "d"])
    booster = xgboost.train(
        {"nthread": 1, **params},
        matrix,
        20,
        evals=[(matrix, "t")],
        early_stopping_rounds=50,
        verbose_eval=False,
    )
    formats.save(booster, place)
    assert [path.name for path in place.iterdir()] == ["model.ubj"]
    for loaded in (formats.load(place), autolog.load_model(recording.run().run_id)):
        assert type(loaded) is xgboost.Booster
        assert loaded.predict(matrix).tobytes() == booster.predict(matrix).tobytes()
        assert loaded.best_iteration == booster.best_iteration
        assert loaded.attributes() == booster.attributes()
        assert loaded.feature_names == ["a", "b", "c", "d"]


def test_saving_changes_nothing_about_a_model(alone, place):
    from autolog_xgboost import formats

    model = classifier().fit(X_train, y_train)
    before = {**vars(model)}, bytes(model.get_booster().save_raw())
    formats.save(model, place)
    assert ({**vars(model)}, bytes(model.get_booster().save_raw())) == before


def test_models_that_the_format_cannot_hold_are_refused_with_a_reason(alone, place):
    from autolog_xgboost import formats

    class Mine(xgboost.XGBRegressor):
        pass

    mine = Mine(n_estimators=1, n_jobs=1).fit(X, REAL)
    with pytest.raises(ValueError, match="Mine is not one of XGBoost's own classes"):
        formats.save(mine, place)
    custom = xgboost.XGBRegressor(objective=lambda y, p: (p - y, np.ones(len(p))), n_estimators=1)
    with pytest.raises(ValueError, match="objective is a function"):
        formats.save(custom.fit(X, REAL), place)
    assert list(place.iterdir()) == []


def test_a_file_that_names_another_class_is_refused(alone, place):
    from autolog_xgboost import formats

    formats.save(classifier().fit(X_train, y_train), place)
    wrapper = place / "wrapper.json"
    for name in ("subprocess:Popen", "xgboost.core:DMatrix"):
        text = wrapper.read_text().replace("xgboost.sklearn:XGBClassifier", name)
        (place / "other").mkdir(exist_ok=True)
        (place / "other" / "wrapper.json").write_text(text)
        with pytest.raises(ValueError, match=name):
            formats.load(place / "other")


def test_what_only_training_needs_and_json_cannot_hold_is_left_out(alone, place):
    from autolog_xgboost import formats

    def worst(y_true, y_score):
        return float(np.abs(y_true - y_score).max())

    model = xgboost.XGBRegressor(
        n_estimators=2, eval_metric=worst, random_state=np.random.RandomState(0), n_jobs=1
    ).fit(X, REAL, eval_set=[(X, REAL)], verbose=False)
    formats.save(model, place)
    loaded = formats.load(place)
    assert loaded.eval_metric is None
    assert loaded.random_state is None
    assert loaded.predict(X).tobytes() == model.predict(X).tobytes()


def test_a_user_who_has_no_scikit_learn_still_trains(recording):
    script = """
        import sys
        sys.modules["sklearn"] = None
        import autolog
        autolog.autolog("xgboost", silent=True)
        import numpy as np, xgboost
        data = xgboost.DMatrix(np.eye(4), label=[0, 1, 0, 1])
        told = {}
        xgboost.train({"nthread": 1}, data, 2, evals=[(data, "t")], evals_result=told)
        (run,) = autolog.search_runs("")
        assert autolog.metric_history(run, "t-rmse").value.tolist() == told["t"]["rmse"]
        """
    done = subprocess.run(
        [sys.executable, "-c", textwrap.dedent(script)], capture_output=True, text=True
    )
    assert done.returncode == 0, done.stderr


@pytest.mark.edge_case("EC-N5")
def test_a_search_is_one_tree_without_rounds_of_its_folds_whatever_is_on(on, recording):
    told = {"eval_set": [(X_test, y_test)], "verbose": False}
    search = GridSearchCV(classifier(), {"max_depth": [1, 2]}, cv=2).fit(X_train, y_train, **told)
    runs = recording.runs()
    (top,) = [run for run in runs if run.depth == 0]
    assert "fit" not in {run.kind for run in runs}
    # The fits of four folds would be four times five points more than those of the refit.
    key = "validation_0-logloss"
    assert sum(len(series(run, key)) for run in runs if key in run.metrics) <= 5
    assert top.status == "FINISHED"
    assert len(search.best_estimator_.evals_result()["validation_0"]["logloss"]) == 5


@pytest.mark.parametrize("on", [("xgboost",), ()])
def test_the_importances_of_a_booster_inside_a_pipeline_or_bagging_are_a_table_of_its_run(
    recording, on
):
    autolog.autolog(*on)
    model = xgboost.XGBRegressor(n_estimators=2, max_depth=2, n_jobs=1)
    make_pipeline(StandardScaler(), model).fit(X, REAL)
    BaggingRegressor(model, n_estimators=2).fit(X, REAL)
    assert [
        [event["name"] for event in recording.events("table", run)] for run in recording.runs()
    ] == [["feature_importances"], ["feature_importances", "fit.2.feature_importances"]]
