"""What is logged of LightGBM by default, in every version: `logs` in compat_matrix.yaml."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

import autolog
from tests.matrix import logged

lightgbm = pytest.importorskip("lightgbm")

pytestmark = [pytest.mark.filterwarnings("ignore")]  # old versions beside new companions

X_train = np.random.default_rng(0).normal(size=(80, 3))
y_train = (X_train[:, 0] + X_train[:, 1] > 0).astype(int)
X_test, y_test = X_train[::2] + 0.25, y_train[::2]
PARAMS = {
    "max_depth": 2,
    "objective": "binary",
    "metric": ["binary_logloss", "auc"],
    "min_data_in_leaf": 2,
    "num_threads": 1,
    "verbosity": -1,
}


def test_a_training_is_logged_as_the_matrix_says(recording: Any) -> None:
    autolog.autolog("lightgbm")
    told: dict[str, Any] = {}
    rows = lightgbm.Dataset(X_train, label=y_train, free_raw_data=False)
    held_out = lightgbm.Dataset(X_test, label=y_test, reference=rows, free_raw_data=False)
    booster = lightgbm.train(
        PARAMS,
        rows,
        40,
        valid_sets=[rows, held_out],
        valid_names=["train", "test"],
        callbacks=[lightgbm.record_evaluation(told), lightgbm.early_stopping(2, verbose=False)],
    )
    run = recording.run()
    assert run.status == "FINISHED"
    # params
    expected = {**PARAMS, "num_boost_round": 40}
    assert {key: run.params.get(key) for key in expected} == expected
    # series
    for data, metrics in told.items():
        for metric, series in metrics.items():
            assert logged.values(run, f"{data}-{metric}") == series
    # data
    known = logged.profiles(recording)
    assert (known["train"]["shape"], known["validation"]["shape"]) == ([80, 3], [40, 3])
    assert (known["train"]["dtype"], bool(known["train"]["digest"])) == ("float64", True)
    # model
    assert logged.models(recording) == {"model": ["lightgbm-text"]}
    loaded = autolog.load_model(run.run_id)
    assert loaded.predict(X_test).tolist() == booster.predict(X_test).tolist()
    # more
    assert run.metrics["best_iteration"] == booster.best_iteration
    assert run.metrics["stopped_iteration"] == len(told["test"]["auc"])
    table = autolog.load_table(run.run_id, "feature_importances")
    assert {"feature", "split", "gain"} <= table.columns.keys()
    logged.expect_sound("lightgbm")


def test_the_columns_of_a_table_are_logged(recording: Any) -> None:
    frame = logged.table(X_train)
    autolog.autolog("lightgbm")
    lightgbm.train(PARAMS, lightgbm.Dataset(frame, label=y_train), 2)
    profile = logged.profiles(recording)["train"]
    assert profile["columns"] == dict.fromkeys("abc", "float64")
    assert profile["digest"]
    logged.expect_sound("lightgbm")


def test_an_estimator_is_logged_as_the_matrix_says(recording: Any) -> None:
    metrics = pytest.importorskip("sklearn.metrics")
    autolog.autolog("lightgbm", "sklearn")
    model = lightgbm.LGBMClassifier(n_estimators=3, reg_lambda=0.5, n_jobs=1)
    model.fit(X_train, y_train, eval_set=[(X_test, y_test)])
    score, predicted = model.score(X_test, y_test), model.predict(X_test)
    f1 = metrics.f1_score(y_test, predicted)
    run = recording.run()
    assert model.get_params().keys() <= run.params.keys()
    assert run.params["native.objective"] == "binary"
    told = model.evals_result_["valid_0"]["binary_logloss"]
    assert logged.values(run, "valid_0-binary_logloss") == told
    assert (run.metrics["test/score"], run.metrics["test/f1"]) == (score, f1)
    assert autolog.load_model(run.run_id).predict(X_test).tolist() == predicted.tolist()
    logged.expect_sound("lightgbm")


@pytest.mark.edge_case("EC-X9")
def test_every_hook_finds_its_place(recording: Any) -> None:
    logged.expect_bound("lightgbm")
