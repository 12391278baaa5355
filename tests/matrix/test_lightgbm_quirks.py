"""Quirks of LightGBM, each proved with its guard and without: see compat_matrix.yaml."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

import pytest

lightgbm = pytest.importorskip("lightgbm")


def outcome(program: str, folder: Path) -> str:
    """Run a program in a process of its own, recording into the folder; give what it printed."""
    path = folder / "program.py"
    path.write_text(program)
    command = [sys.executable, str(path), str(folder / "store")]
    done = subprocess.run(command, cwd=folder, capture_output=True, text=True, timeout=300)
    if done.returncode != 0:  # no AssertionError: a program that breaks proves no quirk
        raise RuntimeError(done.stderr)
    return done.stdout


ORDERS = """
import json, sys
import autolog
import numpy as np, lightgbm as lgb

X = np.arange(40.0).reshape(20, 2)
called = []

class Named:
    def __init__(self, name, order=None):
        self.name = name
        if order is not None:
            self.order = order
    def __call__(self, env):
        called.append(self.name)

def train():
    called.clear()
    given = [Named("first", -2), Named("second")]
    lgb.train({"verbosity": -1, "num_threads": 1}, lgb.Dataset(X, X[:, 0]), 1, callbacks=given)
    return [vars(one) for one in given], list(called)

plain = train()
autolog.autolog("lightgbm", strict=True, store=sys.argv[1])
watched = train()
print(json.dumps([plain, watched]))
"""


@pytest.mark.quirk("lightgbm-callback-order-counts-from-the-end")
@pytest.mark.edge_case("EC-N3")
def test_the_users_callbacks_keep_the_order_that_they_have_alone(
    guarded: bool, tmp_path: Path
) -> None:
    plain, watched = json.loads(outcome(ORDERS, tmp_path).splitlines()[-1])
    assert watched == plain


DEFAULT_LOG = """
import contextlib, io, json, sys, warnings
import autolog
import numpy as np, lightgbm as lgb

rows = np.random.default_rng(0)
X, y = rows.normal(size=(60, 3)), rows.normal(size=60)

def train():
    data = lgb.Dataset(X, y, free_raw_data=False)
    valid = lgb.Dataset(X[::-1].copy(), y, reference=data)
    params = {"verbosity": -1, "num_threads": 1, "early_stopping_round": 2, "min_data_in_leaf": 1}
    said = io.StringIO()
    with contextlib.redirect_stdout(said):
        lgb.train(params, data, 20, valid_sets=[valid])
    return said.getvalue()

plain = train()
autolog.autolog("lightgbm", strict=True, store=sys.argv[1])
watched = train()
(run,) = autolog.search_runs()
points = len(autolog.metric_history(run.run_id, "valid_0-l2").value)
print(json.dumps({"plain": plain, "watched": watched, "points": points}))
"""


@pytest.mark.quirk("lightgbm-any-callback-silences-the-default-log")
def test_a_training_without_callbacks_prints_its_evaluations(guarded: bool, tmp_path: Path) -> None:
    found = json.loads(outcome(DEFAULT_LOG, tmp_path).splitlines()[-1])
    assert found["watched"] == found["plain"]
    assert found["points"] >= 3


FOLDS = """
import json, sys, warnings
import autolog
import numpy as np, lightgbm as lgb

warnings.simplefilter("ignore")
rows = np.random.default_rng(0)
X, y = rows.normal(size=(60, 3)), rows.normal(size=60)
autolog.autolog("lightgbm", strict=True, store=sys.argv[1])
params = {"verbosity": -1, "num_threads": 1, "objective": "l2"}
told = lgb.cv(params, lgb.Dataset(X, y), 3, nfold=2, stratified=False, eval_train_metric=True)
(run,) = autolog.search_runs()
keys = ["train-l2-mean", "train-l2-stdv", "valid-l2-mean", "valid-l2-stdv"]
known = [key for key in keys if key in run.metrics]
series = [autolog.metric_history(run.run_id, key).value.tolist() for key in known]
print(json.dumps([series, [told[key.replace("-", " ", 1)] for key in keys]]))
"""


@pytest.mark.quirk("lightgbm-cv-merges-names")
def test_the_series_of_a_cross_validation_have_one_name(guarded: bool, tmp_path: Path) -> None:
    series, told = json.loads(outcome(FOLDS, tmp_path).splitlines()[-1])
    assert series == told


ON_A_CLUSTER = """
import json, sys
import autolog
import dask.array as da
import numpy as np
from distributed import Client, LocalCluster
from lightgbm.dask import DaskLGBMRegressor

if __name__ == "__main__":
    with LocalCluster(n_workers=1, threads_per_worker=1, processes=False,
                      dashboard_address=None) as cluster, Client(cluster) as client:
        rows = np.random.default_rng(0)
        X = da.from_array(rows.normal(size=(200, 3)), chunks=(200, 3))
        y = da.from_array(rows.normal(size=200), chunks=200)
        autolog.autolog("lightgbm", strict=True, store=sys.argv[1])
        model = DaskLGBMRegressor(client=client, n_estimators=4, num_leaves=5, verbosity=-1)
        model.fit(X, y, eval_set=[(X, y)])
        runs = autolog.search_runs()
        series = autolog.metric_history(runs[0].run_id, "valid_0-l2").value.tolist()
        loaded = autolog.load_model(runs[0].run_id)
        print(json.dumps({
            "runs": [run.name.partition("-")[0] for run in runs],
            "params": runs[0].params["n_estimators"],
            "series": series == model.evals_result_["valid_0"]["l2"],
            "loaded": type(loaded).__name__,
            "same": bool((loaded.predict(X.compute()) == model.predict(X).compute()).all()),
        }))
"""


@pytest.mark.quirk("lightgbm-dask-trains-in-worker-threads")
@pytest.mark.edge_case("EC-T10", "EC-T11")
def test_a_distributed_fit_is_one_run_wherever_its_workers_are(
    guarded: bool, tmp_path: Path
) -> None:
    pytest.importorskip("distributed")
    found = json.loads(outcome(ON_A_CLUSTER, tmp_path).splitlines()[-1])
    assert found == {
        "runs": ["DaskLGBMRegressor"],
        "params": 4,
        "series": True,
        "loaded": "LGBMRegressor",
        "same": True,
    }
