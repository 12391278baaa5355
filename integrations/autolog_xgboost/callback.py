"""The official callback that is given to one training, beside the user's own.

It goes first: XGBoost asks callbacks one after the other and stops asking when one of them stops
the training, so a callback that stands last does not see the last round. This module alone imports
XGBoost on top: hooks import it when a training begins.
"""

from __future__ import annotations

import re
from collections.abc import Callable
from importlib import import_module
from typing import Any, Final

from autolog_xgboost.series import Series

__all__ = ["RecordingCallback"]

_Base: Any = import_module("xgboost.callback").TrainingCallback

_FIRST: Final = re.compile(r"\(([^(),]+)[,)]")
"""The first number of `(0.5, 0.1)` and of `(np.float64(0.5), 0.1)`."""


class RecordingCallback(_Base):
    """Tells a series what each round gave.

    A copy records to the same series; a pickle is an idle callback of XGBoost's own, so it loads
    where there is no autolog and a worker records nothing twice.

    Args:
        series: takes the rounds.
        goes_on: the training starts from a model that has rounds.
        stops_early: an early stopping will know the best round.
        guarded: makes functions that never raise.
        score_with_deviation: the best score of a cross-validation is a pair, as text.
    """

    def __init__(
        self,
        series: Series,
        *,
        goes_on: bool,
        stops_early: bool,
        guarded: Callable[[Callable[..., None]], Callable[..., None]],
        score_with_deviation: bool,
        begun: Callable[[Any], None] | None = None,
    ) -> None:
        _Base.__init__(self)
        self._series = series
        self._goes_on = goes_on
        self._stops_early = stops_early
        self._score_with_deviation = score_with_deviation
        self._begun = begun
        self._begin = guarded(self._read_start)
        self._take = guarded(series.take)
        self._end = guarded(self._read_best)

    def before_training(self, model: Any) -> Any:
        """See how many rounds the model has already."""
        self._begin(model)
        return model

    def before_iteration(self, model: Any, epoch: int, evals_log: Any) -> bool:  # noqa: ARG002
        """Keep hold of the history, which is one object for all rounds."""
        self._series.history = evals_log
        return False

    def after_iteration(self, model: Any, epoch: int, evals_log: Any) -> bool:  # noqa: ARG002
        """Record the round."""
        self._take(epoch, evals_log)
        return False

    def after_training(self, model: Any) -> Any:
        """See which round was the best."""
        self._end(model)
        return model

    def _read_start(self, model: Any) -> None:
        if self._goes_on:
            self._series.start = int(model.num_boosted_rounds())
        if self._begun is not None:
            self._begun(model)

    def _read_best(self, model: Any) -> None:
        if not self._stops_early:
            return
        iteration, score = model.attr("best_iteration"), model.attr("best_score")
        if iteration is not None and score is not None:
            if self._score_with_deviation:  # quirk xgboost-cv-best-score-is-a-pair
                pair = _FIRST.search(str(score))
                score = pair[1] if pair is not None else score
            self._series.best = {"best_iteration": int(iteration), "best_score": float(score)}

    def __reduce__(self) -> tuple[Any, ...]:
        return (_Base, ())

    def __copy__(self) -> RecordingCallback:
        return self

    def __deepcopy__(self, memo: dict[int, Any]) -> RecordingCallback:
        return self
