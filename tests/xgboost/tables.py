"""Data that is tiny and always the same, and how a run's series are read."""

from __future__ import annotations

from typing import Any

import numpy as np
import xgboost

import autolog

_RANDOM = np.random.default_rng(7)
X = _RANDOM.normal(size=(160, 4))
NOISE = _RANDOM.normal(size=160)
BINARY = (X[:, 0] + X[:, 1] ** 2 + NOISE > 0.7).astype(int)
MULTI = np.digitize(X[:, 0] + 0.3 * NOISE, [-0.5, 0.5])
REAL = X[:, 0] * 2 - X[:, 1] + 0.1 * NOISE
TRAIN, TEST = slice(0, 110), slice(110, 160)

PARAMS: dict[str, Any] = {"max_depth": 2, "objective": "binary:logistic", "nthread": 1}
QUIET: dict[str, Any] = {"verbose_eval": False}


def matrices(target: Any = BINARY) -> tuple[Any, Any]:
    """The training and the test matrix."""
    return (
        xgboost.DMatrix(X[TRAIN], label=target[TRAIN]),
        xgboost.DMatrix(X[TEST], label=target[TEST]),
    )


def series(run: Any, key: str) -> list[float]:
    """The values of a metric."""
    return autolog.metric_history(run.run_id, key).value.tolist()


def steps(run: Any, key: str) -> list[int]:
    """The steps of a metric."""
    return autolog.metric_history(run.run_id, key).step.tolist()


def assert_recorded(run: Any, told: Any, start: int = 0) -> None:
    """Every list of a history is a series, value by value, at absolute steps."""
    assert told
    for data, metrics in told.items():
        for metric, values in metrics.items():
            assert series(run, f"{data}-{metric}") == values
            assert steps(run, f"{data}-{metric}") == list(range(start, start + len(values)))
