"""The options of this integration: `autolog(sklearn={...})`."""

from __future__ import annotations

from dataclasses import dataclass

__all__ = ["Options"]


@dataclass(frozen=True)
class Options:
    """What is recorded of trainings of scikit-learn.

    Args:
        train_metrics: compute metrics on the training data after each fit.
        max_candidates: how many candidates of a search become child runs, the best ones by rank;
            None is all of them.
    """

    train_metrics: bool = False
    max_candidates: int | None = None

    def __post_init__(self) -> None:
        if self.max_candidates is not None and self.max_candidates < 1:
            raise ValueError(f"max_candidates={self.max_candidates}: expected 1 or more, or None")
