"""A tiny training for the contract suite."""

from __future__ import annotations

from typing import Any

from autolog.integration import Example

__all__ = ["EXAMPLE"]


def train() -> tuple[Any, Any]:
    """Fit a logistic regression on 90 rows; the result is its coefficients."""
    from sklearn.datasets import make_classification
    from sklearn.linear_model import LogisticRegression

    data, target = make_classification(n_samples=90, n_features=4, random_state=0)
    model = LogisticRegression().fit(data, target)
    return model, (model.coef_.tobytes(), model.predict(data).tobytes())


EXAMPLE = Example(train, owner="sklearn.linear_model:LogisticRegression", method="fit")
