"""Data for tests of LightGBM: tiny, and the same each time; one thread."""

from __future__ import annotations

import lightgbm as lgb
import numpy as np
import pytest

import autolog

ROWS = np.random.default_rng(0)
X = ROWS.normal(size=(160, 4))
Y = (X[:, 0] + X[:, 1] ** 2 + ROWS.normal(size=160) > 1).astype(int)
PARAMS = {"objective": "binary", "num_leaves": 5, "num_threads": 1, "verbosity": -1, "seed": 3}


class Data:
    """Sets of rows as LightGBM takes them, made anew for each training."""

    X, y, params = X, Y, PARAMS

    def train(self, **options):
        return lgb.Dataset(X[:100], Y[:100], **options)

    def valid(self, reference, rows=slice(100, 160)):
        return lgb.Dataset(X[rows], Y[rows], reference=reference)

    def booster(self, rounds=8, params=None, **options):
        """Train with one evaluation set."""
        train = self.train(free_raw_data=False)
        options.setdefault("valid_sets", [self.valid(train)])
        return lgb.train({**PARAMS, **(params or {})}, train, rounds, **options)

    def estimator(self, kind=lgb.LGBMClassifier, **options):
        return kind(n_estimators=6, num_leaves=5, n_jobs=1, verbosity=-1, **options)

    def evals(self, *pairs):
        """Give evaluation sets to `fit` in the way that this version does not deprecate."""
        if tuple(map(int, lgb.__version__.split(".")[:2])) >= (4, 7):
            return {"eval_X": tuple(x for x, _ in pairs), "eval_y": tuple(y for _, y in pairs)}
        return {"eval_set": list(pairs)}


@pytest.fixture
def data(recording):
    """The data, with LightGBM's integration on."""
    autolog.autolog("lightgbm")
    return Data()


@pytest.fixture
def series(recording):
    """Read a series of a run, by default of the only one, as a list."""

    def read(key, run=None):
        return autolog.metric_history((run or recording.run()).run_id, key).value.tolist()

    return read
