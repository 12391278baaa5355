"""The options of this integration: `autolog(xgboost={"train_metrics": True})`."""

from __future__ import annotations

from dataclasses import dataclass

__all__ = ["Options"]


@dataclass(frozen=True, slots=True)
class Options:
    """What is recorded beyond, or left out of, what a training gives anyway.

    Args:
        importances: store a table of feature importances of every type.
        train_metrics: evaluate the model once on its training data if there was no eval set;
            that is a prediction which the program did not ask for.
    """

    importances: bool = True
    train_metrics: bool = False
