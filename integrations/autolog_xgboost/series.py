"""The points of one training: what each round adds to XGBoost's own history.

The history is `{data: {metric: [value, ...]}}`, the very lists that `evals_result` is made of, so
what is recorded is equal to it bit for bit. In a cross-validation a value is `(mean, std)`.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from autolog.integration import Span

__all__ = ["History", "Series"]

History = Mapping[str, Mapping[str, Sequence[Any]]]


class _Column:
    """One list of the history, and how many of its values were recorded."""

    __slots__ = ("key", "log", "taken")

    def __init__(self, key: str, log: Sequence[Any]) -> None:
        self.key = key
        self.log = log
        self.taken = 0


class Series:
    """Records rounds on a span.

    Args:
        span: where the points go.
        folds: the values are means and standard deviations over folds.
        prefix: comes before each name; empty for the first training of a run.
    """

    def __init__(self, span: Span, *, folds: bool = False, prefix: str = "") -> None:
        self.start = 0
        """Rounds that the model had before this training: steps go on from there."""
        self.rounds = 0
        """Rounds of this training so far."""
        self.best: dict[str, float] = {}
        """`best_iteration` and `best_score` of an early stopping."""
        self.history: History | None = None
        self.span = span
        self.prefix = prefix
        self._folds = folds
        self._columns: list[_Column] = []

    @property
    def last_step(self) -> int:
        """The absolute number of the last round."""
        return self.start + self.rounds - 1

    def names(self) -> list[str]:
        """Return the eval sets that had a value, in order."""
        return list(self.history) if self.history is not None else []

    def take(self, epoch: int, history: History) -> None:
        """Record what round `epoch` has added to the history."""
        self.rounds = epoch + 1
        self.history = history
        columns = self._columns
        if len(columns) != sum(map(len, history.values())):
            columns = self._columns = self._all(history)
        values: dict[str, float] = {}
        repeated: list[_Column] = []
        for column in columns:
            log = column.log
            if len(log) <= column.taken:  # a metric that is not there in each round
                continue
            value = log[column.taken]
            column.taken += 1
            if self._folds:
                values[f"{column.key}-mean"], values[f"{column.key}-std"] = value
            else:
                values[column.key] = value
            if len(log) > column.taken:
                repeated.append(column)
        if values:
            self.span.metrics(values, step=self.start + epoch)
        if repeated:  # two eval sets of one name share a list, as they do in `evals_result`
            self.take(epoch, history)

    def flush(self) -> None:
        """Record a round that nobody was told of, because an earlier callback stopped it."""
        history = self.history
        if history is None:
            return
        lengths = [len(log) for metrics in history.values() for log in metrics.values()]
        taken = [column.taken for column in self._columns]
        if lengths != taken:
            self.take(self.rounds, history)

    def replay(self, history: History, rounds: int) -> None:
        """Record a history that is complete."""
        self.history, self.rounds = history, rounds
        logs = [
            (f"{self.prefix}{data}-{name}", log)
            for data, one in history.items()
            for name, log in one.items()
        ]
        for epoch in range(rounds):
            values = {key: log[epoch] for key, log in logs if epoch < len(log)}
            self.span.metrics(values, step=self.start + epoch)

    def _all(self, history: History) -> list[_Column]:
        known = {column.key: column for column in self._columns}
        columns: list[_Column] = []
        for data, metrics in history.items():
            for metric, log in metrics.items():
                key = f"{self.prefix}{data}-{metric}"
                columns.append(known.get(key) or _Column(key, log))
        return columns
