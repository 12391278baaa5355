"""A tiny training for the contract suite."""

from __future__ import annotations

from importlib import import_module
from typing import Any

from autolog.integration import Example

__all__ = ["EXAMPLE"]

_PARAMS = {"objective": "binary", "num_leaves": 4, "num_threads": 1, "verbosity": -1}


def train() -> tuple[Any, Any]:
    """Train eight rounds on 90 rows, with an evaluation set; the result is the model's text."""
    lightgbm: Any = import_module("lightgbm")
    datasets: Any = import_module("sklearn.datasets")
    data, target = datasets.make_classification(n_samples=90, n_features=4, random_state=0)
    train_set = lightgbm.Dataset(data[:60], target[:60])
    valid = lightgbm.Dataset(data[60:], target[60:], reference=train_set)
    booster = lightgbm.train(_PARAMS, train_set, 8, valid_sets=[valid])
    return booster, booster.model_to_string()


def predict(model: Any) -> Any:
    """Give the probabilities of two rows."""
    return model.predict([[0.0, 1.0, 0.0, 1.0], [1.0, 0.0, 1.0, 0.0]]).tobytes()


EXAMPLE = Example(train, owner="lightgbm", method="train", predict=predict)
