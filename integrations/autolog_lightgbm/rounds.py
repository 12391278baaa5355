"""The rounds of one training: the callback that LightGBM calls after each, and what they gave.

A point is written the moment its iteration is evaluated, so a crash in iteration k leaves all of
the iterations before. Names are those of `record_evaluation`: `<dataset>-<metric>`.
"""

from __future__ import annotations

import weakref
from collections.abc import Callable, Iterator
from itertools import chain
from typing import Any, Final

from autolog.integration import Span

__all__ = ["Appended", "Callback", "Rounds"]

_CV: Final = "cv_agg"
"""What LightGBM before 4.6 calls every data set of a cross-validation."""


class Callback:
    """An official callback; a copy of it records nothing.

    `order` is beneath that of early stopping (30), which leaves the loop by an exception: what
    comes after it never sees the last iteration.
    """

    def __init__(self, function: Callable[[Any], None] | None = None) -> None:
        self.order = 25
        self.before_iteration = False
        self._function = function

    def __call__(self, env: Any) -> None:
        """Hand on what LightGBM tells after an iteration."""
        if self._function is not None:
            self._function(env)

    def __reduce__(self) -> tuple[Any, ...]:
        return (Callback, ())


class Appended:
    """The user's callbacks and one more, which is iterated over but not counted.

    LightGBM gives each callback without an `order` the one that counts from the end of the list,
    and keeps it on the callback: one more would change it
    (quirk lightgbm-callback-order-counts-from-the-end). Whatever the user gave is asked only
    where LightGBM asks, so what is no list fails as it would.
    """

    def __init__(self, given: Any, callback: Callback) -> None:
        self._given = given
        self._callback = callback

    def __iter__(self) -> Iterator[Any]:
        return chain(self._given, (self._callback,))

    def __len__(self) -> int:
        return len(self._given)


class Rounds:
    """What the iterations of one `train` or `cv` gave.

    Args:
        span: where the points go.
        prefix: comes before each name; empty for the first training of a run.
        train_metrics: evaluate on the training data too, which LightGBM was not asked to.
        folds: results are those of a cross-validation: a mean and a standard deviation.
        merged: the name of a fold's data set stands before that of the metric.
    """

    def __init__(
        self,
        span: Span,
        *,
        prefix: str = "",
        train_metrics: bool = False,
        folds: bool = False,
        merged: bool = False,
    ) -> None:
        self.span = span
        self.prefix = prefix
        self.last: int | None = None
        """The newest iteration, counted from 0 over all continued trainings."""
        self.end: int | None = None
        """The iteration before which the training was to end."""
        self.names: dict[str, None] = {}
        """Data sets that were evaluated, in their order."""
        self.watches = False
        """No callback tells of the iterations: the calls that evaluate them are watched."""
        self._train_metrics = train_metrics
        self._folds = folds
        self._merged = merged
        self._pairs: list[tuple[str, str]] = []
        self._keys: list[str] = []
        self._text: tuple[weakref.ref[Any], str] | None = None

    def after_iteration(self, env: Any) -> None:
        """Take what LightGBM gives its callbacks."""
        self.last, self.end = env.iteration, env.end_iteration
        results: list[Any] = env.evaluation_result_list or []
        if self._train_metrics:
            results = [*env.model.eval_train(), *results]
        self._record(results, env.iteration)

    def evaluated(self, booster: Any, results: list[Any]) -> None:
        """Take what `Booster.eval_valid` or `eval_train` gave inside the training."""
        if results:
            self.last = int(booster.current_iteration()) - 1
            if self.end is None:
                self.end = self.last + int(booster.params["num_iterations"])
            self._record(results, self.last)

    def written(self, booster: Any, text: str) -> None:
        """Keep the text that the training itself made of its booster, at its end."""
        self._text = (weakref.ref(booster), text)

    def text_of(self, booster: Any) -> str | None:
        """Return the text that the training read `booster` from; None if it did not."""
        text, self._text = self._text, None
        return text[1] if text is not None and text[0]() is booster else None

    def series(self, history: Any) -> None:
        """Record a history `{dataset: {metric: [value, ...]}}` that exists already."""
        for dataset, metrics in history.items():
            self.names[dataset] = None
            for metric, values in metrics.items():
                for step, value in enumerate(values):
                    self.span.metrics({f"{self.prefix}{dataset}-{metric}": value}, step=step)

    def _record(self, results: list[Any], iteration: int) -> None:
        pairs = [result[:2] for result in results]
        if pairs != self._pairs:  # they are the same in each iteration, as a rule
            self._pairs, self._keys = pairs, [self._key(*pair) for pair in pairs]
        points: dict[str, float] = {}
        for key, result in zip(self._keys, results, strict=True):
            if self._folds:
                points[f"{key}-mean"] = float(result[2])
                points[f"{key}-stdv"] = float(result[4])
            else:
                points[key] = float(result[2])
        if points:
            self.span.metrics(points, step=iteration)

    def _key(self, dataset: str, metric: str) -> str:
        if self._merged and dataset == _CV:
            dataset, metric = _apart(metric)
        self.names[dataset] = None
        return f"{self.prefix}{dataset}-{metric}"

    def key_of(self, name: str) -> str:
        """Return the key of a list in what `cv` returned: `valid l2-mean`, or `l2-mean`."""
        return self._key(*_apart(name))


def _apart(name: str) -> tuple[str, str]:
    """Return the data set and the metric that LightGBM writes in one: `valid l2`, or `l2`."""
    first, _, rest = name.partition(" ")
    return (first, rest) if rest and first in ("train", "valid") else ("valid", name)
