"""Reads a metric in buckets of steps: a long series as a few numbers that show its shape.

Buckets are powers of two wide and aligned to step 0. A sealed chunk that lies in one bucket is
summed up by its row, without its points; where chunks do not overlap, times are not decoded.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, fields
from itertools import pairwise
from typing import Any, Final

import numpy as np
from numpy.typing import NDArray
from sqlalchemy import Connection

from autolog.store.points import Downsampled
from autolog.store.sql.history import Attempt, Context, bodies_of, fitting, read_history
from autolog.store.sql.points import Part, Wanted, chunk_rows, read_values, tail_parts
from autolog.store.sql.timeline import last_steps, restored_steps

__all__ = ["downsample"]

_FIRST: Final = -(1 << 63)
_LAST: Final = (1 << 63) - 1

_WHOLE: Final = 64
"""Width, as a power of two, of the one bucket that holds every step."""

_CHUNKS: Final = 256
"""How many chunks are decoded at once."""


@dataclass(frozen=True, slots=True)
class _Span:
    """A chunk, known by its row, or a part of the tail; `low` and `high` are steps."""

    context: int
    attempt: int
    low: int
    high: int
    n: int
    chunk: Any = None
    part: Part | None = None


@dataclass(frozen=True, slots=True)
class _Buckets:
    """Columns of buckets; `index` is the step without its last bits. Neighbours may be equal."""

    index: NDArray[np.int64]
    count: NDArray[np.int64]
    nan_count: NDArray[np.int64]
    min: NDArray[np.float64]
    max: NDArray[np.float64]
    first_step: NDArray[np.int64]
    first: NDArray[np.float64]
    last_step: NDArray[np.int64]
    last: NDArray[np.float64]


def downsample(
    connection: Connection,
    run_id: int,
    key_id: int,
    buckets: int,
    *,
    context: Context = None,
    attempt: Attempt = None,
    steps: tuple[int, int] | None = None,
) -> Downsampled | None:
    """Return at most `buckets` buckets of a metric; None if the run has none of it at all."""
    spans = _all_spans(connection, run_id, key_id)
    if not spans:
        return None
    contexts = fitting(bodies_of(connection, {span.context for span in spans}), context)
    spans = [
        span
        for span in spans
        if span.context in contexts and attempt in (None, "all", span.attempt)
    ]
    # The width depends on these alone: points within them do not move the buckets.
    asked = (_FIRST, _LAST) if steps is None else steps
    low = max(asked[0], min((span.low for span in spans), default=1))
    high = min(asked[1], max((span.high for span in spans), default=0))
    power = _power(low, high, buckets)
    spans = [span for span in spans if span.low <= high and span.high >= low]
    if sum(span.n for span in spans) > buckets and _simple(connection, run_id, spans, attempt):
        found = list(_of_spans(connection, run_id, key_id, spans, (low, high), power))
        if found and sum(some.count.sum() for some in found) > buckets:
            return _answer(_merged(_cat(found)), power)
    history = read_history(
        connection, run_id, key_id, context=context, attempt=attempt, steps=(low, high)
    )
    if history is None:
        return None
    if len(history) > buckets:
        return _answer(_of_points(history.step, history.value, power), power)
    return _raw(history.step, history.value)


def _all_spans(connection: Connection, run_id: int, key_id: int) -> list[_Span]:
    """Return all there is of a metric, by first step."""
    rows = chunk_rows(connection, run_id, Wanted(keys=[key_id], points=False))
    spans = [
        _Span(row.context_id, row.attempt, row.step_min, row.step_max, row.n, chunk=row)
        for row in rows
    ]
    for part in tail_parts(connection, run_id, [key_id]).get(key_id, []):
        high, n = int(part.step.max()), len(part.step)
        spans.append(_Span(part.context, part.attempt, part.first_step, high, n, part=part))
    return sorted(spans, key=lambda span: span.low)


def _power(low: int, high: int, buckets: int) -> int:
    """Return the smallest width, as a power of two, with which so many buckets are enough."""
    power = 0
    while power < _WHOLE and (high >> power) - (low >> power) >= buckets:
        power += 1
    return power


def _simple(connection: Connection, run_id: int, spans: Sequence[_Span], attempt: Attempt) -> bool:
    """Whether every point counts, and each span can be read without its times."""
    if any(earlier.high >= later.low for earlier, later in pairwise(spans)):
        return False
    if any(span.part is not None and not _rising(span.part.step) for span in spans):
        return False
    if attempt is not None:
        return True
    restored = restored_steps(connection, [run_id]).get(run_id, {})
    return not last_steps([(span.context, span.attempt, span.low) for span in spans], restored)


def _rising(step: NDArray[np.int64]) -> bool:
    return bool((step[1:] > step[:-1]).all())


def _of_spans(
    connection: Connection,
    run_id: int,
    key_id: int,
    spans: Sequence[_Span],
    limits: tuple[int, int],
    power: int,
) -> Iterator[_Buckets]:
    low, high = limits
    to_read: list[_Span] = []
    for span in spans:
        same = power == _WHOLE or span.low >> power == span.high >> power
        known = span.chunk is not None and same and low <= span.low and span.high <= high
        if not known:
            to_read.append(span)
        if known or len(to_read) == _CHUNKS:
            yield from _read(connection, run_id, key_id, to_read, limits, power)
            to_read = []
        if known:
            yield _of_row(span, power)
    yield from _read(connection, run_id, key_id, to_read, limits, power)


def _read(
    connection: Connection,
    run_id: int,
    key_id: int,
    spans: Sequence[_Span],
    limits: tuple[int, int],
    power: int,
) -> Iterator[_Buckets]:
    if not spans:
        return
    ids = [span.chunk.axis_id for span in spans if span.chunk is not None]
    chunks = read_values(connection, run_id, key_id, ids) if ids else {}
    pairs = [
        chunks[span.chunk.axis_id] if span.part is None else (span.part.step, span.part.value)
        for span in spans
    ]
    step = np.concatenate([step for step, _ in pairs])
    value = np.concatenate([value for _, value in pairs])
    first, last = np.searchsorted(step, limits[0]), np.searchsorted(step, limits[1], "right")
    if first < last:
        yield _of_points(step[first:last], value[first:last], power)


def _of_points(step: NDArray[np.int64], value: NDArray[np.float64], power: int) -> _Buckets:
    """Put points that are in order into buckets."""
    index = step >> power if power < _WHOLE else np.zeros_like(step)
    starts, ends = _bounds(index)
    nan = np.isnan(value)
    return _Buckets(
        index=index[starts],
        count=ends - starts + 1,
        nan_count=np.add.reduceat(nan, starts, dtype=np.int64),
        min=_least(value, starts, some=bool(nan.any())),
        max=-_least(-value, starts, some=bool(nan.any())),
        first_step=step[starts],
        first=value[starts],
        last_step=step[ends],
        last=value[ends],
    )


def _of_row(span: _Span, power: int) -> _Buckets:
    row = span.chunk
    counts = np.array([[row.n], [row.nan_count]], np.int64)
    index = span.low >> power if power < _WHOLE else 0
    steps = np.array([[index], [span.low], [span.high]], np.int64)
    values = np.array(
        [[row.min_value], [row.max_value], [row.first_value], [row.last_value]], np.float64
    )
    return _Buckets(
        index=steps[0],
        count=counts[0],
        nan_count=counts[1],
        min=values[0],
        max=values[1],
        first_step=steps[1],
        first=values[2],
        last_step=steps[2],
        last=values[3],
    )


def _merged(some: _Buckets) -> _Buckets:
    """Join neighbours that are parts of one bucket."""
    starts, ends = _bounds(some.index)
    return _Buckets(
        index=some.index[starts],
        count=np.add.reduceat(some.count, starts),
        nan_count=np.add.reduceat(some.nan_count, starts),
        min=_least(some.min, starts, some=True),
        max=-_least(-some.max, starts, some=True),
        first_step=some.first_step[starts],
        first=some.first[starts],
        last_step=some.last_step[ends],
        last=some.last[ends],
    )


def _least(
    value: NDArray[np.float64], starts: NDArray[np.intp], *, some: bool
) -> NDArray[np.float64]:
    """Return the smallest value from each start on, leaving NaN out if there is `some`."""
    with np.errstate(invalid="ignore"):
        least: Any = (np.fmin if some else np.minimum).reduceat(value, starts)
    return least


def _bounds(index: NDArray[np.int64]) -> tuple[NDArray[np.intp], NDArray[np.intp]]:
    """Return where stretches of equal numbers start, and their last places."""
    changes = np.flatnonzero(index[1:] != index[:-1])
    return np.append(0, changes + 1), np.append(changes, len(index) - 1)


def _cat(parts: Sequence[_Buckets]) -> _Buckets:
    return _Buckets(
        *(np.concatenate([getattr(part, f.name) for part in parts]) for f in fields(_Buckets))
    )


def _answer(some: _Buckets, power: int) -> Downsampled:
    start = some.index << power if power < _WHOLE else np.full_like(some.index, _FIRST)
    columns = [getattr(some, f.name) for f in fields(_Buckets)]
    return Downsampled(1 << power, start, *columns[1:])


def _raw(step: NDArray[np.int64], value: NDArray[np.float64]) -> Downsampled:
    one = np.ones(len(step), np.int64)
    nan = np.isnan(value).astype(np.int64)
    return Downsampled(0, step, one, nan, value, value, step, value, step, value)
