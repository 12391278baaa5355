"""A tiny training for the contract suite."""

from __future__ import annotations

from typing import Any

from autolog.integration import Example


def train() -> tuple[Any, Any]:
    import toyfit

    model = toyfit.Model(rate=0.05).fit([0.0, 1.0, 2.0], [1.0, 3.0, 5.0], epochs=5)
    return model, vars(model)


def predict(model: Any) -> Any:
    return model.predict([3.0, 4.0])


EXAMPLE = Example(train, owner="toyfit:Model", method="fit", predict=predict)
