from __future__ import annotations

import math
import signal
import struct

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from autolog.errors import StoreError
from autolog.store import open_store
from autolog.store.fold import fold
from autolog.store.sql import joining, sealed
from tests.store.sealing import batches, bits, chunk_sizes, scalar, seal_run
from tests.store.training import finish

i64 = st.integers(-(2**63), 2**63 - 1)
SPECIAL = [math.nan, -math.nan, math.inf, -math.inf, -0.0, 5e-324, 1.7976931348623157e308]


def floats_of(patterns: list[int]) -> np.ndarray:
    return np.array(patterns, np.uint64).view(np.float64)


@settings(max_examples=200, deadline=None)
@given(st.lists(st.integers(0, 2**64 - 1) | st.sampled_from([0, 1 << 63]), min_size=1))
def test_sealed_values_come_back_bit_for_bit(patterns):
    data = sealed.encode_values(floats_of(patterns))
    assert sealed.decode_values(data, len(patterns)).view(np.uint64).tolist() == patterns


@settings(max_examples=200, deadline=None)
@given(st.data())
def test_a_sealed_axis_comes_back_as_it_was(data):
    n = data.draw(st.integers(1, 40))
    column = st.lists(i64, min_size=n, max_size=n) | st.integers(-300, 300).map(
        lambda gap: [gap * i for i in range(n)]
    )
    step, wall_us, epoch = (np.array(data.draw(column), np.int64) for _ in range(3))
    mask = np.array(data.draw(st.lists(st.booleans(), min_size=n, max_size=n)))
    for axis in (
        sealed.Axis(step, wall_us),
        sealed.Axis(step, wall_us, epoch),
        sealed.Axis(step, wall_us, epoch, mask),
    ):
        back = sealed.decode_axis(sealed.encode_axis(axis), n)
        for name in sealed.Axis.__slots__:
            np.testing.assert_array_equal(getattr(back, name), getattr(axis, name))
    np.testing.assert_array_equal(sealed.decode_steps(sealed.encode_axis(axis), n), step)


def test_points_of_an_unknown_codec_are_refused_with_what_to_do(trainer, folded):
    uid = trainer.open()
    trainer.metrics(uid, {"m": 1.0})
    store = folded()
    seal_run(store, uid)
    for table in ("chunk", "axis"):
        with store._database.write() as connection:
            connection.exec_driver_sql(f"UPDATE {table} SET codec = 9")
        with pytest.raises(StoreError, match=r"codec 9 .*pip install -U autolog-ml"):
            store.history(uid, "m")
        with store._database.write() as connection:
            connection.exec_driver_sql(f"UPDATE {table} SET codec = 1")
    assert len(store.history(uid, "m")) == 1


def test_a_long_series_is_sealed_by_the_fold_and_reads_the_same(trainer, store):
    uid = trainer.open()
    payload = struct.unpack("<d", struct.pack("<Q", 0x7FF8_0000_0000_BEEF))[0]
    values = [*SPECIAL, payload] * 1100
    for step, value in enumerate(values):
        trainer.metrics(uid, {"m": value, "n": -value}, step - 2**62, epoch=step % 7 or None)
    trainer.metrics(uid, {"late": 1.0}, 2**63 - 1)
    report = fold(store)
    assert report.sealed == 2 * len(values) + 1
    assert scalar(store, "SELECT count(*) FROM tail") == 0
    assert scalar(store, "SELECT tail_n FROM run") == 0
    history = store.history(uid, "m")
    assert (
        history.value.view(np.uint64).tolist()
        == floats_of(np.array(values).view(np.uint64).tolist()).view(np.uint64).tolist()
    )
    assert history.step.tolist() == [step - 2**62 for step in range(len(values))]
    np.testing.assert_array_equal(
        history.epoch, [step % 7 or math.nan for step in range(len(values))]
    )
    assert store.history(uid, "late").step.tolist() == [2**63 - 1]


def test_metrics_of_the_same_records_share_an_axis(trainer, folded):
    uid = trainer.open()
    for step in range(5000):
        trainer.metrics(uid, {"a": 1.0, "b": 2.0}, step)
        if step % 10 == 0:
            trainer.metrics(uid, {"c": 1.0, "d": 2.0}, step)
    store = folded()
    assert chunk_sizes(store) == [4096, 904, 4096, 904, 500, 500]
    assert scalar(store, "SELECT count(*) FROM axis") == 3


def test_a_short_series_stays_in_the_tail(trainer, folded):
    uid = trainer.open()
    for step in range(1000):
        trainer.metrics(uid, {"a": 1.0, "b": 2.0}, step)
    store = folded()
    assert store.seal() == 0
    assert scalar(store, "SELECT count(*) FROM chunk") == 0
    assert scalar(store, "SELECT tail_n FROM run") == 2000


def test_a_run_of_many_metrics_is_not_cut_into_tiny_chunks(trainer, folded):
    uid = trainer.open()
    names = [f"layer/{n}" for n in range(300)]
    for step in range(100):
        trainer.metrics(uid, dict.fromkeys(names, 1.0 * step), step)
        if step == 20:
            store = folded()
            assert scalar(store, "SELECT tail_n FROM run") == 21 * 300
    assert store.history(uid, "layer/7").step.tolist() == list(range(21))
    folded()
    assert chunk_sizes(store) == [100] * 300


def test_a_run_that_is_watched_does_not_gather_blobs(trainer, folded):
    uid = trainer.open()
    for step in range(130):
        trainer.metrics(uid, {"m": float(step)}, step)
        store = folded()
    assert scalar(store, "SELECT count(*) FROM tail") == 2
    assert store.history(uid, "m").step.tolist() == list(range(130))
    assert store.run(uid).metrics == {"m": 129.0}


def test_small_chunks_are_joined_eight_at_a_time():
    assert joining._mergeable([], 100) == 0
    assert joining._mergeable([100] * 6, 100) == 0
    assert joining._mergeable([100] * 7, 100) == 7
    assert joining._mergeable([100] * 7 + [4096], 100) == 7
    assert joining._mergeable([64] * 7 + [512] * 7, 64) == 14
    assert joining._mergeable([4096] * 20, 9000) == 0


def test_a_point_is_rewritten_a_few_times_at_most():
    sizes: list[int] = []  # newest first
    rewritten = 0
    for _ in range(4096):
        joined = joining._mergeable(sizes, 64)
        rewritten += sum(sizes[:joined])
        total = 64 + sum(sizes[:joined])
        rest = [total % 4096] if total % 4096 else []
        sizes = rest + [4096] * (total // 4096) + sizes[joined:]
    assert rewritten <= 2 * 64 * 4096
    assert sum(size < 4096 for size in sizes) < 3 * 8


def test_small_chunks_of_metrics_that_are_logged_one_by_one_are_joined_too(trainer, folded):
    uid = trainer.open()
    for step in range(8):
        for n in range(80):
            trainer.metrics(uid, {f"layer/{n}": float(step)}, step)
        store = folded()
        seal_run(store, uid)
    assert chunk_sizes(store) == [8] * 80
    assert scalar(store, "SELECT count(*) FROM axis") == 80
    assert store.history(uid, "layer/79").value.tolist() == [float(step) for step in range(8)]


def test_a_chunk_whose_axis_another_metric_shares_stays_where_it_is(trainer, folded):
    uid = trainer.open()
    for step in range(10):
        trainer.metrics(uid, {"a": 1.0, "b": 2.0} if step < 5 else {"a": 1.0}, step)
        store = folded()
        seal_run(store, uid)
    assert chunk_sizes(store) == [1] * 15
    assert store.history(uid, "a").step.tolist() == list(range(10))
    assert store.history(uid, "b").step.tolist() == list(range(5))


PROGRAM = st.lists(
    st.tuples(
        st.sampled_from([("a",), ("a", "b"), ("b", "a"), ("b", "c"), ("c",)]),
        st.integers(-3, 12) | st.sampled_from([-(2**63), 2**63 - 1]),
        st.none() | st.integers(0, 3),
        st.sampled_from([{}, {"phase": "post"}, {"dataset": "test"}]),
        st.integers(0, 1),
        st.sampled_from(["", "", "", "fold", "seal", "seal in pieces"]),
    ),
    min_size=1,
    max_size=60,
)


@settings(
    max_examples=25,
    deadline=None,
    suppress_health_check=[HealthCheck.function_scoped_fixture],
)
@given(program=PROGRAM, data=st.data())
def test_no_mixture_of_folds_and_seals_changes_what_is_read(
    trainer, store, monkeypatch, program, data
):
    monkeypatch.setattr(joining, "CHUNK_POINTS", 16)
    mixed, plain = trainer.open(), trainer.open()
    logged: dict[str, list] = {}
    for keys, step, epoch, context, attempt, action in program:
        value = data.draw(st.floats())
        values = {key: value + n for n, key in enumerate(keys)}
        trainer.metrics(mixed, values, step, epoch=epoch, attempt=attempt, **context)
        trainer.metrics(plain, values, step, epoch=epoch, attempt=attempt, **context)
        for key, logged_value in values.items():
            place = str({"phase": "fit", **context}), attempt
            logged.setdefault(key, []).append((step, logged_value, place, epoch))
        if action:
            fold(store)
        if action.startswith("seal"):
            seal_run(store, mixed, 8 if "pieces" in action else 1 << 20)
    fold(store)
    for _ in range(2):
        for key, points in logged.items():
            found = store.history(mixed, key, attempt="all")
            where = [
                (str({k: c[k] for k in ("phase", "dataset") if k in c}), a)
                for c, a in zip(found.context, found.attempt.tolist(), strict=True)
            ]
            for place in {point[2] for point in points}:
                mine = [i for i, at in enumerate(where) if at == place]
                expected = sorted((p for p in points if p[2] == place), key=lambda p: p[0])
                assert found.step[mine].tolist() == [p[0] for p in expected]
                np.testing.assert_array_equal(found.value[mine], [p[1] for p in expected])
                np.testing.assert_array_equal(
                    found.epoch[mine], [math.nan if p[3] is None else p[3] for p in expected]
                )
            assert len(found) == len(points)
            assert (np.diff(found.step.astype(object)) >= 0).all()
        np.testing.assert_equal(store.run(mixed).metrics, store.run(plain).metrics)
        seal_run(store, mixed)


def test_summaries_count_each_point_once_whenever_it_is_sealed(trainer, folded):
    uid = trainer.open()
    for number, steps in enumerate(batches(400, 50)):
        for step in steps:
            trainer.metrics(uid, {"m": float(step)}, step)
        store = folded()
        if number % 3 == 0:
            store.run(uid)
        if number % 2:
            seal_run(store, uid)
    store.run(uid)
    with store._database.read() as connection:
        [row] = connection.exec_driver_sql(
            "SELECT n, first_value, last_value, min_value, max_value, sum_value FROM series"
        )
    assert tuple(row) == (400, 0.0, 399.0, 0.0, 399.0, sum(range(400)))


def test_a_long_tail_is_sealed_piece_by_piece_within_the_budget(trainer, store, monkeypatch):
    uid = trainer.open()
    for part in range(6):
        for step in range(part * 1000, part * 1000 + 1000):
            trainer.metrics(uid, {"m": float(step), "n": 0.0}, step)
        monkeypatch.setattr(type(store), "seal", lambda self, budget=0: 0)
        fold(store)
    monkeypatch.undo()
    assert scalar(store, "SELECT tail_n FROM run") == 12_000
    assert store.seal(5000) == 6000
    assert scalar(store, "SELECT tail_n FROM run") == 6000
    assert store.history(uid, "m").step.tolist() == list(range(6000))
    assert store.seal() == 6000
    assert store.history(uid, "m").step.tolist() == list(range(6000))


SEALER = """
    store = open_store(locate(sys.argv[1]))
    print("ready", flush=True)
    deadline = time.monotonic() + 20
    while time.monotonic() < deadline and not os.path.exists(sys.argv[2]):
        store.seal(5000)
    print("done", flush=True)
"""


def test_two_processes_seal_while_a_third_appends_and_reads(trainer, location, python, tmp_path):
    stop = tmp_path / "stop"
    store = open_store(location)
    uid = trainer.open()
    sealers = [python(SEALER, location.address, stop) for _ in range(2)]
    for sealer in sealers:
        assert sealer.stdout.readline() == "ready\n"
    for steps in batches(20_000, 1000):
        for step in steps:
            trainer.metrics(uid, {"m": float(step), "n": 1.0}, step)
        fold(store)
        assert store.history(uid, "m").step.tolist() == list(range(steps[-1] + 1))
    stop.touch()
    for sealer in sealers:
        finish(sealer)
    sealed = scalar(store, "SELECT sum(n) FROM chunk")
    assert sealed > 20_000
    assert sealed + scalar(store, "SELECT tail_n FROM run") == 40_000
    store.run(uid)
    assert scalar(store, "SELECT sum(n) FROM series") == 40_000
    store.close()


def test_a_seal_that_is_killed_in_the_middle_loses_and_doubles_nothing(
    trainer, location, python, monkeypatch
):
    store = open_store(location)
    uid = trainer.open()
    for step in range(5000):
        trainer.metrics(uid, {"m": float(step), "n": 1.0}, step)
    monkeypatch.setattr(type(store), "seal", lambda self, budget=0: 0)
    fold(store)
    monkeypatch.undo()
    before = bits(store.history(uid, "m"))
    code = """
        from autolog.store.sql import seal
        store = open_store(locate(sys.argv[1]))
        where = sys.argv[2]
        if where == "chunks written":
            plain = seal._write
            def dead(*args):
                plain(*args)
                print("there", flush=True)
                time.sleep(60)
            seal._write = dead
        else:
            def dead(*args):
                print("there", flush=True)
                time.sleep(60)
            seal.delete = dead
        store.seal()
    """
    for where in ("chunks written", "before the tail goes"):
        process = python(code, location.address, where)
        assert process.stdout.readline() == "there\n"
        process.send_signal(signal.SIGKILL)
        process.wait()
        assert scalar(store, "SELECT count(*) FROM chunk") == 0
        assert bits(store.history(uid, "m")) == before
    assert store.seal() == 10_000
    assert bits(store.history(uid, "m")) == before
    store.run(uid)
    assert scalar(store, "SELECT sum(n) FROM series") == 10_000
    store.close()


def test_a_sealed_point_costs_at_most_10_bytes_alone_and_among_five(trainer, store):
    random = np.random.default_rng(0)
    for keys in (("m",), ("a", "b", "c", "d", "e")):
        uid = trainer.open()
        values = np.cumsum(random.normal(size=(8192, len(keys))), axis=0).tolist()
        for step, row in enumerate(values):
            trainer.metrics(uid, dict(zip(keys, row, strict=True)), step)
        before = _size(store)
        fold(store)
        assert (_size(store) - before) / (8192 * len(keys)) <= 10


def _size(store) -> int:
    query = "SELECT coalesce(sum(length(data)), 0) FROM "
    return sum(int(scalar(store, query + table)) for table in ("axis", "chunk", "tail"))
