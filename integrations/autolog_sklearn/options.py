"""What a user may choose about scikit-learn: `autolog(sklearn={"train_metrics": True})`."""

from __future__ import annotations

from dataclasses import dataclass

__all__ = ["Options"]


@dataclass(frozen=True, slots=True)
class Options:
    """The options of `autolog(sklearn={...})`.

    Args:
        train_metrics: after each fit, predict on at most 50,000 rows of the training data and
            record the usual metrics of the estimator's kind as `train/<metric>`. It costs a
            prediction, so it is off unless asked for.
        max_candidates: how many candidates of a search become child runs, the best ones by rank;
            None is all of them.
        importances: record the coefficients of linear models and the feature importances of trees
            and forests as tables. It takes 0.05 % of the time of a forest's fit, or less.

    Raises:
        ValueError: an option has no such value; the message says what is expected.
    """

    train_metrics: bool = False
    max_candidates: int | None = None
    importances: bool = True

    def __post_init__(self) -> None:
        for name in ("train_metrics", "importances"):
            given = getattr(self, name)
            if not isinstance(given, bool):
                raise ValueError(f"{name}={given!r}: expected True or False")  # noqa: TRY004
        limit: object = self.max_candidates
        if limit is not None and (type(limit) is not int or limit < 1):
            raise ValueError(f"max_candidates={limit!r}: expected 1 or more, or None")
