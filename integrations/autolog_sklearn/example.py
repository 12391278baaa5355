"""A tiny training for the contract suite."""

from __future__ import annotations

from importlib import import_module
from typing import Any

from autolog.integration import Example

__all__ = ["EXAMPLE"]


def train() -> tuple[Any, Any]:
    """Fit a logistic regression on 90 rows; the result is its coefficients."""
    datasets: Any = import_module("sklearn.datasets")
    linear: Any = import_module("sklearn.linear_model")
    data, target = datasets.make_classification(n_samples=90, n_features=4, random_state=0)
    model = linear.LogisticRegression().fit(data, target)
    return model, (model.coef_.tobytes(), model.predict(data).tobytes())


def predict(model: Any) -> Any:
    """Give the probabilities of two rows."""
    return model.predict_proba([[0.0, 1.0, 0.0, 1.0], [1.0, 0.0, 1.0, 0.0]]).tobytes()


EXAMPLE = Example(
    train, owner="sklearn.linear_model:LogisticRegression", method="fit", predict=predict
)
