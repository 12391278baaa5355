"""A tiny training for the contract suite."""

from __future__ import annotations

from importlib import import_module
from typing import Any

from autolog.integration import Example

__all__ = ["EXAMPLE"]


def train() -> tuple[Any, Any]:
    """Train four rounds on 60 rows; the result is the model's bytes and its history."""
    numpy: Any = import_module("numpy")
    xgboost: Any = import_module("xgboost")
    data = numpy.random.default_rng(0).normal(size=(60, 3))
    target = data[:, 0] + data[:, 1] ** 2
    matrix = xgboost.DMatrix(data, label=target)
    history: dict[str, Any] = {}
    booster = xgboost.train(
        {"max_depth": 2, "nthread": 1},
        matrix,
        4,
        evals=[(matrix, "train")],
        evals_result=history,
        verbose_eval=False,
    )
    scores = {data: dict(metrics) for data, metrics in history.items()}
    return booster, (bytes(booster.save_raw("ubj")), scores)


def predict(model: Any) -> Any:
    """Give the predictions of two rows."""
    numpy: Any = import_module("numpy")
    xgboost: Any = import_module("xgboost")
    rows = numpy.array([[0.0, 1.0, 0.0], [1.0, 0.0, 1.0]])
    return model.predict(xgboost.DMatrix(rows)).tobytes()


EXAMPLE = Example(train, owner="xgboost.training", method="train", predict=predict)
