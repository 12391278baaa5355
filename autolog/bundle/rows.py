"""Reads the tables of a bundle once through, a run at a time."""

from __future__ import annotations

import contextlib
from collections.abc import Generator, Iterator
from itertools import chain
from pathlib import Path
from typing import Any, Final, NamedTuple

import numpy as np
from numpy.typing import NDArray

from autolog.bundle.layout import parquet
from autolog.errors import StoreError
from autolog.store.portrait import Points
from autolog.store.sql.values import from_json

__all__ = ["PointRows", "Rows"]

_ROWS: Final = 500
_POINTS: Final = 1 << 16
_COLUMNS: Final = ("step", "value", "timestamp", "epoch", "attempt", "context")


class _Stretch(NamedTuple):
    """Points of a metric that lie one after the other in a batch."""

    run_id: str
    key: str
    points: Points


class Rows:
    """The rows of a small table as dictionaries, in the order of the runs."""

    def __init__(self, path: Path) -> None:
        self._path = path
        self._rows = self._read()
        self._next = next(self._rows, None)

    def __iter__(self) -> Iterator[dict[str, Any]]:
        while self._next is not None:
            row, self._next = self._next, next(self._rows, None)
            yield row

    def take(self, run_id: str) -> list[dict[str, Any]]:
        """Return the rows of the next run, if they are next."""
        found: list[dict[str, Any]] = []
        while self._next is not None and self._next["run_id"] == run_id:
            found.append(self._next)
            self._next = next(self._rows, None)
        return found

    def must_be_over(self) -> None:
        """Raise a StoreError if rows of a run are left that was not there in its turn."""
        if self._next is not None:
            raise _out_of_turn(self._path, self._next["run_id"])

    def _read(self) -> Iterator[dict[str, Any]]:
        with _explained(self._path), parquet().parquet.ParquetFile(self._path) as file:
            for batch in _batches(file, _ROWS):
                yield from batch.to_pylist()


class PointRows:
    """The points of every run; each metric is put together from as many batches as it fills."""

    def __init__(self, path: Path) -> None:
        self._path = path
        self._numbers: dict[str, int] = {}
        self._contexts: list[dict[str, Any]] = []
        self._stretches = self._read()
        self._next = next(self._stretches, None)

    def of(
        self, run_id: str, metrics: set[str], contexts: list[dict[str, Any]]
    ) -> Iterator[tuple[str, Points]]:
        """Yield each metric of the next run, whole.

        Raises:
            StoreError: a metric or a context is not among those that the run is said to have, or
                a metric comes twice.
        """
        left = set(metrics)
        while self._next is not None and self._next.run_id == run_id:
            key = self._next.key
            if key not in left:
                raise StoreError(f"{self._path}: run {run_id} is not said to have metric {key!r}")
            left.remove(key)
            parts: list[Points] = []
            while self._next is not None and self._next[:2] == (run_id, key):
                parts.append(self._next.points)
                self._next = next(self._stretches, None)
            yield key, self._joined(parts, contexts, run_id)

    def drop(self, run_id: str) -> None:
        """Pass over what is left of a run."""
        while self._next is not None and self._next.run_id == run_id:
            self._next = next(self._stretches, None)

    def must_be_over(self) -> None:
        """Raise a StoreError if points of a run are left that was not there in its turn."""
        if self._next is not None:
            raise _out_of_turn(self._path, self._next.run_id)

    def _joined(self, parts: list[Points], known: list[dict[str, Any]], run_id: str) -> Points:
        columns: dict[str, Any] = {
            name: np.concatenate([getattr(part, name) for part in parts]) for name in _COLUMNS
        }
        joined = Points(**columns, contexts=self._contexts)
        used: list[int] = np.unique(joined.context).tolist()
        for body in (self._contexts[number] for number in used):
            if body not in known:
                raise StoreError(f"{self._path}: run {run_id} is not said to have context {body}")
        return joined

    def _read(self) -> Iterator[_Stretch]:
        words = ["run_id", "key", "context"]
        with (
            _explained(self._path),
            parquet().parquet.ParquetFile(self._path, read_dictionary=words) as file,
        ):
            for batch in _batches(file, _POINTS):
                yield from self._cut(batch)

    def _cut(self, batch: Any) -> Iterator[_Stretch]:
        """Cut a batch wherever the run or the metric changes."""
        run_ids, keys, contexts = (batch.column(name) for name in ("run_id", "key", "context"))
        runs, metrics = _indices(run_ids), _indices(keys)
        changes = (runs[1:] != runs[:-1]) | (metrics[1:] != metrics[:-1])
        cuts: list[int] = (np.flatnonzero(changes) + 1).tolist()
        numbers = [self._number(text) for text in contexts.dictionary.to_pylist()]
        whole = [
            *(_numbers(batch.column(name)) for name in ("step", "value", "timestamp")),
            _numbers(batch.column("epoch").cast("double").fill_null(float("nan"))),
            _numbers(batch.column("attempt")),
            np.array(numbers, np.int64)[_indices(contexts)],
        ]
        for start, end in zip(chain([0], cuts), chain(cuts, [batch.num_rows]), strict=True):
            columns: Any = [column[start:end] for column in whole]
            points = Points(*columns, contexts=self._contexts)
            yield _Stretch(run_ids[start].as_py(), keys[start].as_py(), points)

    def _number(self, text: str) -> int:
        """Return the same number for equal contexts, however many batches have them."""
        number = self._numbers.setdefault(text, len(self._numbers))
        if number == len(self._contexts):
            self._contexts.append(from_json(text))
        return number


def _batches(file: Any, rows: int) -> Iterator[Any]:
    """Read one row group after the other: all at once would take memory for each of them."""
    for group in range(file.num_row_groups):
        yield from file.iter_batches(batch_size=rows, row_groups=[group])


def _indices(column: Any) -> NDArray[np.int64]:
    return column.indices.to_numpy(zero_copy_only=False)


def _numbers(column: Any) -> NDArray[Any]:
    """Return a column without nulls as an array.

    Raises:
        ValueError: it has nulls.
    """
    if column.null_count:
        raise ValueError("a point has no number")
    return column.to_numpy(zero_copy_only=False)


def _out_of_turn(path: Path, run_id: str) -> StoreError:
    return StoreError(f"{path} is damaged: run {run_id} is unknown or not in the order of the runs")


@contextlib.contextmanager
def _explained(path: Path) -> Generator[None]:
    arrow = parquet()
    try:
        yield
    except (arrow.ArrowException, ValueError, OSError) as exc:
        raise StoreError(f"{path} is damaged: {exc}") from exc
