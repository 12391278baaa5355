"""Training on Dask: the client's call is one run, and its workers open none.

The workers are threads of this process, where autolog is on: workers that are processes have none.
"""

from __future__ import annotations

import dask.array
import pytest
import xgboost
import xgboost.dask
from dask.distributed import Client, LocalCluster

import autolog
from tests.xgboost.tables import BINARY, X, assert_recorded


@pytest.fixture(scope="module")
def client():
    """One worker in a thread, for all tests: a cluster of processes takes half a minute."""
    with (
        LocalCluster(
            n_workers=1, threads_per_worker=1, processes=False, dashboard_address=None
        ) as cluster,
        Client(cluster) as one,
    ):
        yield one


@pytest.fixture
def chunks(client):
    """The data in two pieces."""
    return dask.array.from_array(X, chunks=(80, 4)), dask.array.from_array(BINARY, chunks=80)


@pytest.mark.edge_case("EC-T11")
def test_a_training_on_dask_is_one_run_with_its_history(recording, client, chunks):
    autolog.autolog("xgboost")
    dtrain = xgboost.dask.DaskDMatrix(client, *chunks)
    params = {"objective": "binary:logistic", "eta": 0.9, "max_depth": 3}
    found = xgboost.dask.train(
        client, params, dtrain, 8, evals=[(dtrain, "train")], verbose_eval=False
    )
    run = recording.run()
    assert (run.status, run.logging_errors) == ("FINISHED", [])
    assert_recorded(run, found["history"])
    assert (run.params["eta"], run.tags["eval_sets"]) == (0.9, "train")
    assert "stopped_iteration" not in run.metrics
    assert [event["name"] for event in recording.events("table")] == ["feature_importances"]
    told = found["booster"].predict(xgboost.DMatrix(X))
    loaded = autolog.load_model(run.run_id)
    assert loaded.predict(xgboost.DMatrix(X)).tobytes() == told.tobytes()


@pytest.mark.edge_case("EC-T11")
@pytest.mark.parametrize("on", [("xgboost",), ("xgboost", "sklearn")], ids="+".join)
def test_a_fit_on_dask_is_one_run_with_its_history(recording, client, chunks, on):
    autolog.autolog(*on)
    model = xgboost.dask.DaskXGBClassifier(
        n_estimators=60, max_depth=3, learning_rate=0.9, early_stopping_rounds=2
    )
    model.client = client
    model.fit(*chunks, eval_set=[chunks], verbose=False)
    run = recording.run()
    assert (run.status, run.logging_errors) == ("FINISHED", [])
    assert_recorded(run, model.evals_result())
    assert run.name.startswith("DaskXGBClassifier-")
    assert run.params["n_estimators"] == 60
    assert run.tags["estimator"] == "xgboost.dask.DaskXGBClassifier"
    assert run.metrics["best_iteration"] == model.best_iteration
    rounds = len(model.evals_result()["validation_0"]["logloss"])
    assert (run.metrics.get("stopped_iteration") == rounds - 1) == (rounds < 60)
    assert [event["name"] for event in recording.events("table")] == ["feature_importances"]
    loaded = autolog.load_model(run.run_id)
    assert type(loaded) is type(model)
    assert loaded.get_booster().save_raw() == model.get_booster().save_raw()
