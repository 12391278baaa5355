"""What is logged of XGBoost by default, in every version: `logs` in compat_matrix.yaml."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

import autolog
from tests.matrix import logged

xgboost = pytest.importorskip("xgboost")

pytestmark = [pytest.mark.filterwarnings("ignore")]  # old versions beside new companions

X_train = np.random.default_rng(0).normal(size=(80, 3)).astype("float32")
y_train = (X_train[:, 0] + X_train[:, 1] > 0).astype(int)
X_test, y_test = X_train[::2] + 0.25, y_train[::2]
PARAMS = {
    "max_depth": 2,
    "objective": "binary:logistic",
    "eval_metric": ["logloss", "error"],
    "nthread": 1,
}


def test_a_training_is_logged_as_the_matrix_says(recording: Any) -> None:
    autolog.autolog("xgboost")
    told: dict[str, Any] = {}
    names = ["a", "b", "c"]
    rows = xgboost.DMatrix(X_train, label=y_train, feature_names=names)
    held_out = xgboost.DMatrix(X_test, label=y_test, feature_names=names)
    booster = xgboost.train(
        PARAMS,
        rows,
        40,
        evals=[(rows, "train"), (held_out, "test")],
        evals_result=told,
        early_stopping_rounds=2,
        verbose_eval=False,
    )
    said = booster.eval(held_out, "held").split()[1:]  # "[0]", then each metric
    run = recording.run()
    assert run.status == "FINISHED"
    # params
    expected = {**PARAMS, "num_boost_round": 40, "early_stopping_rounds": 2}
    assert {key: run.params.get(key) for key in expected} == expected
    # series
    for data, metrics in told.items():
        for metric, series in metrics.items():
            assert logged.values(run, f"{data}-{metric}") == series
    # evaluations
    for key, value in (one.rsplit(":", 1) for one in said):
        assert run.metrics[key.replace("-", "/", 1)] == pytest.approx(float(value), abs=1e-4)
    # data
    known = logged.profiles(recording)
    assert (known["train"]["shape"], known["validation"]["shape"]) == ([80, 3], [40, 3])
    assert known["train"]["columns"] == dict.fromkeys(names, "float")
    # model
    assert logged.models(recording) == {"model": ["xgboost-ubj"]}
    loaded = autolog.load_model(run.run_id)
    assert loaded.predict(held_out).tolist() == booster.predict(held_out).tolist()
    # more
    assert run.metrics["best_iteration"] == booster.best_iteration
    assert run.metrics["stopped_iteration"] == len(told["test"]["error"]) - 1
    table = autolog.load_table(run.run_id, "feature_importances")
    assert {"feature", "weight", "gain", "cover"} <= table.columns.keys()
    logged.expect_sound("xgboost")


def test_an_estimator_is_logged_as_the_matrix_says(recording: Any) -> None:
    metrics = pytest.importorskip("sklearn.metrics")
    autolog.autolog("xgboost", "sklearn")
    model = xgboost.XGBClassifier(n_estimators=3, max_depth=2, n_jobs=1)
    model.fit(X_train, y_train, eval_set=[(X_test, y_test)], verbose=False)
    score, predicted = model.score(X_test, y_test), model.predict(X_test)
    f1 = metrics.f1_score(y_test, predicted)
    run = recording.run()
    assert model.get_params().keys() <= run.params.keys()
    told = model.evals_result()["validation_0"]["logloss"]
    assert logged.values(run, "validation_0-logloss") == told
    assert (run.metrics["test/score"], run.metrics["test/f1"]) == (score, f1)
    profile = logged.profiles(recording)["train"]
    assert (profile["shape"], profile["dtype"]) == ([80, 3], "float32")
    assert profile["digest"]
    assert autolog.load_model(run.run_id).predict(X_test).tolist() == predicted.tolist()
    logged.expect_sound("xgboost")


def test_the_columns_of_a_table_are_logged(recording: Any) -> None:
    frame = logged.table(X_train)
    autolog.autolog("xgboost")
    xgboost.train(PARAMS, xgboost.DMatrix(frame, label=y_train), 2)
    assert logged.profiles(recording)["train"]["columns"] == dict.fromkeys("abc", "float")
    logged.expect_sound("xgboost")


@pytest.mark.edge_case("EC-X9")
def test_every_hook_finds_its_place(recording: Any) -> None:
    logged.expect_bound("xgboost")
