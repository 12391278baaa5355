from __future__ import annotations

import math

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from autolog.errors import UsageError
from autolog.store.fold import fold
from autolog.store.points import Downsampled
from autolog.store.sql import joining
from tests.store.sealing import batches, seal_run

COLUMNS = [name for name in Downsampled.__slots__ if name != "width"]
LOWEST, HIGHEST = -(2**63), 2**63 - 1


def naive(points: list[tuple[int, float]], buckets: int, low: int, high: int) -> dict:
    """Put points, ordered by step, into buckets the slow way."""
    extent = [step for step, _ in points]
    low, high = max(low, min(extent)), min(high, max(extent))
    points = [(step, value) for step, value in points if low <= step <= high]
    if len(points) <= buckets:
        width, groups = 0, [(step, [(step, value)]) for step, value in points]
    else:
        width = 1
        while high // width - low // width >= buckets and width < 2**64:
            width *= 2
        by_start: dict[int, list] = {}
        for step, value in points:
            start = LOWEST if width == 2**64 else step // width * width
            by_start.setdefault(start, []).append((step, value))
        groups = sorted(by_start.items())
    real = [[value for _, value in group if not math.isnan(value)] for _, group in groups]
    return {
        "width": width,
        "start": [start for start, _ in groups],
        "count": [len(group) for _, group in groups],
        "nan_count": [
            len(group) - len(some) for (_, group), some in zip(groups, real, strict=True)
        ],
        "min": [min(some, default=math.nan) for some in real],
        "max": [max(some, default=math.nan) for some in real],
        "first_step": [group[0][0] for _, group in groups],
        "first": [group[0][1] for _, group in groups],
        "last_step": [group[-1][0] for _, group in groups],
        "last": [group[-1][1] for _, group in groups],
    }


def check(found: Downsampled, expected: dict) -> None:
    assert found.width == expected["width"]
    for name in COLUMNS:
        np.testing.assert_array_equal(getattr(found, name), expected[name], err_msg=name)


steps = st.integers(-100, 100) | st.sampled_from([LOWEST, LOWEST + 1, -1, 0, HIGHEST])


@settings(
    max_examples=40,
    deadline=None,
    suppress_health_check=[HealthCheck.function_scoped_fixture],
)
@given(
    points=st.lists(st.tuples(steps, st.floats()), min_size=1, max_size=80),
    ordered=st.booleans(),
    cuts=st.lists(st.integers(0, 80), max_size=3),
    buckets=st.integers(1, 20),
    limits=st.none() | st.tuples(steps, steps),
)
def test_downsampling_is_what_a_naive_computation_gives(
    trainer, store, monkeypatch, points, ordered, cuts, buckets, limits
):
    monkeypatch.setattr(joining, "CHUNK_POINTS", 8)
    uid = trainer.open()
    if ordered:
        points = sorted(points, key=lambda point: point[0])
    for number, (step, value) in enumerate(points):
        if number in cuts:
            fold(store)
            seal_run(store, uid)
        trainer.metrics(uid, {"m": value}, step)
    fold(store)
    found = store.downsample(uid, "m", buckets=buckets, steps=limits)
    assert len(found) <= buckets
    low, high = limits or (LOWEST, HIGHEST)
    in_order = sorted(points, key=lambda point: point[0])
    check(found, naive(in_order, buckets, low, high))


def test_points_that_come_later_never_move_an_older_bucket(trainer, folded):
    uid = trainer.open()
    seen: dict[tuple[int, int], int] = {}
    for some in batches(5000, 500):
        for step in some:
            trainer.metrics(uid, {"m": float(step)}, step)
        store = folded()
        found = store.downsample(uid, "m", buckets=40)
        whole = found.start[:-1].tolist()
        for start, count in zip(whole, found.count[:-1].tolist(), strict=True):
            assert start % found.width == 0
            assert seen.setdefault((found.width, start), count) == count


def test_a_chunk_in_one_bucket_is_not_decoded(trainer, folded):
    uid = trainer.open()
    for step in range(4096 * 3):
        trainer.metrics(uid, {"m": math.nan if step % 3 == 0 else float(step)}, step)
    store = folded()
    expected = store.downsample(uid, "m", buckets=3)
    assert expected.count.tolist() == [4096] * 3
    with store._database.write() as connection:
        connection.exec_driver_sql("UPDATE chunk SET data = ''")
    found = store.downsample(uid, "m", buckets=3)
    values = [(step, math.nan if step % 3 == 0 else float(step)) for step in range(4096 * 3)]
    check(found, naive(values, 3, LOWEST, HIGHEST))


def test_superseded_points_are_in_no_bucket_unless_asked_for(trainer, folded):
    uid = trainer.open()
    for attempt, first in ((0, 0), (1, 50)):
        for step in range(first, 100):
            trainer.metrics(uid, {"m": float(attempt)}, step, attempt=attempt)
    store = folded()
    seal_run(store, uid)
    assert store.downsample(uid, "m", buckets=4).count.tolist() == [32, 32, 32, 4]
    assert store.downsample(uid, "m", buckets=4, attempt="all").count.sum() == 150
    assert store.downsample(uid, "m", buckets=4, attempt=1).start.tolist() == [48, 64, 80, 96]
    assert store.downsample(uid, "m", buckets=4, context="post").count.tolist() == []


def test_less_than_one_bucket_is_refused(trainer, folded):
    uid = trainer.open()
    trainer.metrics(uid, {"m": 1.0})
    with pytest.raises(UsageError, match="one bucket or more, not 0"):
        folded().downsample(uid, "m", buckets=0)
