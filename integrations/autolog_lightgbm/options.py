"""The options of this integration: `autolog(lightgbm={...})`."""

from __future__ import annotations

from dataclasses import dataclass

__all__ = ["Options"]


@dataclass(frozen=True)
class Options:
    """What is recorded beside the defaults.

    Args:
        train_metrics: evaluate the metrics on the training data in every iteration, as if it were
            among `valid_sets` (series `training-<metric>`); LightGBM takes some time for it.
        importances: record a table of the features' importances, split and gain.
    """

    train_metrics: bool = False
    importances: bool = True
