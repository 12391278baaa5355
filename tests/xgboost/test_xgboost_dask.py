"""Training on Dask: the client's call is one run, and its workers open none."""

from __future__ import annotations

import subprocess
import sys
import textwrap

import pytest

from tests.xgboost.tables import assert_recorded

SCRIPT = """
    import json, sys, warnings
    import numpy as np
    import dask, dask.array as da
    import xgboost, xgboost.dask as dxgb
    from dask.distributed import Client, LocalCluster
    import autolog

    def main(processes, how):
        random = np.random.default_rng(0)
        X = random.normal(size=(200, 4))
        y = (X[:, 0] + random.normal(size=200) > 0).astype(int)
        dask.config.set({"distributed.worker.daemon": False})
        options = dict(n_workers=2 if processes else 1, threads_per_worker=1)
        autolog.autolog("xgboost", *how[1:], silent=True)
        with LocalCluster(processes=processes, dashboard_address=None, **options) as cluster:
            with Client(cluster) as client:
                dX, dy = da.from_array(X, chunks=(100, 4)), da.from_array(y, chunks=100)
                if how[0] == "train":
                    dtrain = dxgb.DaskDMatrix(client, dX, dy)
                    found = dxgb.train(
                        client,
                        {"objective": "binary:logistic", "eta": 0.9, "max_depth": 3},
                        dtrain,
                        60,
                        evals=[(dtrain, "train")],
                        verbose_eval=False,
                    )
                    told = found["history"]
                    model, extra = found["booster"], {}
                else:
                    model = dxgb.DaskXGBClassifier(
                        n_estimators=60, max_depth=3, learning_rate=0.9, early_stopping_rounds=2
                    )
                    model.client = client
                    model.fit(dX, dy, eval_set=[(dX, dy)], verbose=False)
                    told = model.evals_result()
                    extra = {"best": model.best_iteration}
                predicted = model.predict(xgboost.DMatrix(X)) if how[0] == "train" else None
        found = autolog.search_runs("")
        loaded = autolog.load_model(found[0].run_id)
        if predicted is not None:
            assert loaded.predict(xgboost.DMatrix(X)).tobytes() == predicted.tobytes()
        else:
            booster = model.get_booster()
            assert type(loaded) is type(model), type(loaded)
            assert loaded.get_booster().save_raw() == booster.save_raw()
        print(json.dumps({"told": told, **extra}))

    if __name__ == "__main__":
        main(sys.argv[1] == "processes", sys.argv[2:])
    """


@pytest.mark.edge_case("EC-T11")
@pytest.mark.parametrize(
    ("workers", "how"),
    [
        ("threads", ("train",)),
        ("threads", ("fit",)),
        ("processes", ("fit", "sklearn")),
    ],
    ids=str,
)
def test_a_training_on_dask_is_one_run_with_its_history(recording, tmp_path, workers, how):
    import json

    path = tmp_path / "script.py"
    path.write_text(textwrap.dedent(SCRIPT))
    done = subprocess.run(
        [sys.executable, str(path), workers, *how],
        capture_output=True,
        text=True,
        cwd=tmp_path,
        timeout=600,
    )
    assert done.returncode == 0, done.stderr
    found = json.loads(done.stdout.splitlines()[-1])
    run = recording.run()
    assert (run.status, run.logging_errors) == ("FINISHED", [])
    assert_recorded(run, found["told"])
    if how == ("train",):
        assert run.params["eta"] == 0.9
        assert run.tags["eval_sets"] == "train"
        assert "stopped_iteration" not in run.metrics
    else:
        assert run.name.startswith("DaskXGBClassifier-")
        assert run.params["n_estimators"] == 60
        assert run.tags["estimator"] == "xgboost.dask.DaskXGBClassifier"
        assert run.metrics["best_iteration"] == found["best"]
        rounds = len(found["told"]["validation_0"]["logloss"])
        assert (run.metrics.get("stopped_iteration") == rounds - 1) == (rounds < 60)
    assert [event["name"] for event in recording.events("table")] == ["feature_importances"]
