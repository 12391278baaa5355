"""What `lightgbm.cv` records: one run with the mean and the deviation of the folds."""

from __future__ import annotations

import lightgbm as lgb
import numpy as np
import pytest


def given(result, name):
    """Find a list in what `cv` returned; its names differ between versions."""
    return next(values for key, values in result.items() if key in (name, f"valid {name}"))


@pytest.mark.parametrize("train_too", [False, True])
def test_a_validation_is_one_run_with_what_it_returned(data, recording, series, train_too):
    params = {**data.params, "metric": ["auc", "binary_logloss"]}
    result = lgb.cv(params, data.train(), 6, nfold=3, eval_train_metric=train_too)
    run = recording.run()
    assert (run.kind, run.status, run.params["cv.nfold"]) == ("cv", "FINISHED", 3)
    for name in ("auc-mean", "auc-stdv", "binary_logloss-mean", "binary_logloss-stdv"):
        assert series(f"valid-{name}") == given(result, name)
    assert ("train-auc-mean" in run.metrics) == train_too


@pytest.mark.edge_case("EC-X1")
def test_an_early_stop_of_a_validation_is_known(data, recording, series):
    stop = [lgb.early_stopping(3, verbose=False)]
    result = lgb.cv(data.params, data.train(), 200, nfold=3, callbacks=stop)
    metrics = recording.run().metrics
    values = series("valid-binary_logloss-mean")
    best = given(result, "binary_logloss-mean")
    assert metrics["best_iteration"] == len(best) == np.argmin(values) + 1
    assert values[: len(best)] == best
    assert metrics["stopped_iteration"] == len(values) == len(best) + 3
    assert metrics["best_score.valid-binary_logloss-mean"] == best[-1]
