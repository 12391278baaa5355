"""What a user may choose about scikit-learn: `autolog(sklearn={"train_metrics": True})`."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final

__all__ = ["Options"]

_ROWS: Final = 100
"""Rows of an example at most: it is an example, not a copy."""


@dataclass(frozen=True, slots=True)
class Options:
    """The options of `autolog(sklearn={...})`.

    Args:
        train_metrics: after each fit, predict on at most 50,000 rows of the training data and
            record the usual metrics of the estimator's kind as `train/<metric>`. It costs a
            prediction, so it is off unless asked for.
        max_candidates: how many candidates of a search become child runs, the best ones by rank;
            None is all of them.
        curves: with the first metric of a model's predictions also compute the confusion matrix of
            labels, or the ROC and precision-recall curves of scores of two classes. Those that a
            script computes itself are recorded in any case.
        importances: record the coefficients of linear models and the feature importances of trees
            and forests as tables. It takes 0.05 % of the time of a forest's fit, or less.
        input_example: how many rows of the training data are stored with the signature of the
            model, as an example of what it takes. They are data, so none are unless asked for.

    Raises:
        ValueError: an option has no such value; the message says what is expected.
    """

    train_metrics: bool = False
    max_candidates: int | None = None
    curves: bool = False
    importances: bool = True
    input_example: int = 0

    def __post_init__(self) -> None:
        for name in ("train_metrics", "curves", "importances"):
            given = getattr(self, name)
            if not isinstance(given, bool):
                raise ValueError(f"{name}={given!r}: expected True or False")  # noqa: TRY004
        limit: object = self.max_candidates
        if limit is not None and (type(limit) is not int or limit < 1):
            raise ValueError(f"max_candidates={limit!r}: expected 1 or more, or None")
        rows: object = self.input_example
        if type(rows) is not int or not 0 <= rows <= _ROWS:
            raise ValueError(f"input_example={rows!r}: expected a number of rows, 0 to {_ROWS}")
