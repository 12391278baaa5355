from __future__ import annotations

import math

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from autolog.errors import UsageError
from autolog.store import libraries
from autolog.store.fold import fold
from tests.store.sealing import bits, scalar, seal_run


def restored(store, uid: str, attempt: int, step: int | None) -> None:
    """Note from which step an attempt went on."""
    with store._database.write() as connection:
        connection.exec_driver_sql(
            "INSERT INTO attempt (run_id, attempt, start_us, restored_step) SELECT id,"
            f" {attempt}, 0, {'NULL' if step is None else step} FROM run WHERE uid = '{uid}'"
        )


def test_points_that_a_later_attempt_went_over_again_do_not_count(trainer, folded):
    uid = trainer.open()
    for step in range(6):
        trainer.metrics(uid, {"m": 1.0, "only": 1.0}, step)
        trainer.metrics(uid, {"m": 0.5}, step, phase="post")
    for step in range(3, 5):
        trainer.metrics(uid, {"m": 2.0}, step, attempt=1)
    store = folded()
    for _ in range(2):
        fit = store.history(uid, "m", context="fit")
        assert fit.step.tolist() == [0, 1, 2, 3, 4]
        assert fit.attempt.tolist() == [0, 0, 0, 1, 1]
        assert len(store.history(uid, "m", context="post")) == 6
        assert len(store.history(uid, "only")) == 6
        assert store.history(uid, "m", attempt=0, context="fit").value.tolist() == [1.0] * 6
        assert store.history(uid, "m", attempt=1).step.tolist() == [3, 4]
        assert len(store.history(uid, "m", attempt="all")) == 14
        assert store.run(uid).metrics == {"m": 2.0, "only": 1.0}
        seal_run(store, uid)


def test_a_known_restored_step_decides_what_counts_for_every_metric(trainer, folded):
    uid = trainer.open()
    for step in range(6):
        trainer.metrics(uid, {"m": 1.0, "only": float(step)}, step)
    trainer.metrics(uid, {"m": 2.0}, 5, attempt=1)
    store = folded()
    restored(store, uid, 1, 2)
    assert store.history(uid, "m").step.tolist() == [0, 1, 2, 5]
    assert store.history(uid, "only").step.tolist() == [0, 1, 2]
    assert store.run(uid).metrics == {"m": 2.0, "only": 2.0}


def test_a_restored_step_that_is_learnt_later_changes_the_summaries(trainer, folded):
    uid = trainer.open()
    for step in range(6):
        trainer.metrics(uid, {"m": 1.0, "only": float(step)}, step)
    trainer.metrics(uid, {"m": 2.0}, 5, attempt=1)
    store = folded()
    assert store.run(uid).metrics == {"m": 2.0, "only": 5.0}
    seal_run(store, uid)
    restored(store, uid, 1, 2)
    with store._database.write() as connection:
        connection.exec_driver_sql("UPDATE run SET tail_no = tail_no + 1")
    assert store.run(uid).metrics == {"m": 2.0, "only": 2.0}
    restored(store, uid, 2, -1)
    with store._database.write() as connection:
        connection.exec_driver_sql("UPDATE run SET tail_no = tail_no + 1")
    assert store.run(uid).metrics == {}
    assert len(store.history(uid, "m")) == 0


def test_summaries_of_a_run_that_was_tried_again_are_of_its_timeline(trainer, folded):
    uid = trainer.open()
    for step in range(6):
        trainer.metrics(uid, {"m": 10.0 + step}, step)
    store = folded()
    assert store.run(uid).metrics == {"m": 15.0}
    for step in (3, 4):
        trainer.metrics(uid, {"m": float(step)}, step, attempt=1)
    folded()
    assert store.run(uid).metrics == {"m": 4.0}
    with store._database.read() as connection:
        [row] = connection.exec_driver_sql(
            "SELECT attempt, n, first_value, last_step, min_value, max_value FROM series"
            " WHERE shown"
        )
    assert tuple(row) == (-1, 5, 10.0, 4, 3.0, 12.0)


points = st.tuples(st.integers(0, 3), st.integers(0, 8), st.sampled_from(["fit", "post"]))


@settings(
    max_examples=30,
    deadline=None,
    suppress_health_check=[HealthCheck.function_scoped_fixture],
)
@given(
    logged=st.lists(points, min_size=1, max_size=30),
    known=st.dictionaries(st.integers(1, 4), st.integers(-1, 8), max_size=2),
    limits=st.none() | st.tuples(st.integers(0, 8), st.integers(0, 8)),
)
def test_the_timeline_is_what_a_naive_computation_gives(trainer, store, logged, known, limits):
    uid = trainer.open()
    for number, (attempt, step, phase) in enumerate(logged):
        trainer.metrics(uid, {"m": float(number)}, step, attempt=attempt, phase=phase)
    fold(store)
    for attempt, step in known.items():
        restored(store, uid, attempt, step)
    kept = []
    for number, (attempt, step, phase) in enumerate(logged):
        later = {a for a, _, _ in logged if a > attempt} | {a for a in known if a > attempt}
        first = {
            a: min((s for b, s, p in logged if (b, p) == (a, phase)), default=99) for a in later
        }
        starts = [known[a] + 1 if a in known else first[a] for a in later]
        inside = limits is None or limits[0] <= step <= limits[1]
        if inside and step < min(starts, default=99):
            kept.append(float(number))
    for _ in range(2):
        found = store.history(uid, "m", steps=limits)
        assert sorted(found.value.tolist()) == kept
        assert (np.diff(found.step) >= 0).all()
        seal_run(store, uid)


def test_a_range_of_steps_reads_only_the_chunks_that_it_touches(trainer, folded):
    uid = trainer.open()
    for step in range(4096 * 3):
        trainer.metrics(uid, {"m": float(step)}, step)
    store = folded()
    with store._database.write() as connection:
        connection.exec_driver_sql("UPDATE chunk SET data = '' WHERE axis_id <> 2")
    found = store.history(uid, "m", steps=(4096, 5000))
    assert found.value.tolist() == [float(step) for step in range(4096, 5001)]
    assert len(store.history(uid, "m", steps=(2**40, 2**41))) == 0


def test_a_context_or_an_attempt_reads_only_its_chunks(trainer, folded):
    uid = trainer.open()
    trainer.metrics(uid, {"m": 1.0}, 0)
    trainer.metrics(uid, {"m": 2.0}, 0, phase="post", dataset="test")
    trainer.metrics(uid, {"m": 3.0}, 0, attempt=1)
    store = folded()
    seal_run(store, uid)
    post = store.history(uid, "m", context="post")
    with store._database.write() as connection:
        connection.exec_driver_sql("UPDATE chunk SET data = '' WHERE min_value <> 2.0")
    assert bits(store.history(uid, "m", context={"dataset": "test"})) == bits(post)
    with store._database.write() as connection:
        connection.exec_driver_sql("UPDATE chunk SET data = '' WHERE min_value <> 9.0")
    assert len(store.history(uid, "m", attempt=7)) == 0


def test_all_histories_are_read_by_attempt_too(trainer, folded):
    uid = trainer.open()
    for attempt in (0, 1):
        for step in range(attempt, 3):
            trainer.metrics(uid, {"m": 1.0, "n": 2.0}, step, attempt=attempt)
    store = folded()
    for attempt, expected in ((None, 3), ("all", 5), (0, 3), (1, 2), (2, 0)):
        found = dict(store.histories(uid, attempt=attempt))
        assert {key: len(history) for key, history in found.items()} == dict.fromkeys(
            "mn", expected
        )
        assert bits(found["m"]) == bits(store.history(uid, "m", attempt=attempt))


def test_all_histories_of_a_run_are_read_at_once(trainer, folded):
    uid = trainer.open()
    for step in range(50):
        trainer.metrics(uid, {"a": float(step), "b": -1.0}, step)
        trainer.metrics(uid, {"c": 1.0}, step, phase="post")
    store = folded()
    for _ in range(2):
        found = dict(store.histories(uid))
        assert found.keys() == {"a", "b", "c"}
        for key, history in found.items():
            assert bits(history) == bits(store.history(uid, key))
        seal_run(store, uid)
    trainer.metrics(uid, {"a": 50.0, "d": 0.0}, 50)
    found = dict(folded().histories(uid))
    assert found["a"].value.tolist() == [float(step) for step in range(51)]
    assert found["d"].value.tolist() == [0.0]


def test_equal_times_keep_the_order_of_arrival(trainer, folded, monkeypatch):
    uid = trainer.open()
    now = trainer.writer.now_us()
    monkeypatch.setattr(type(trainer.writer), "now_us", lambda self: now)
    for number in range(40):
        values = {"m": float(number)} if number % 3 else {"m": float(number), "n": 0.0}
        trainer.metrics(uid, values, number // 20)
        if number in (7, 25):
            store = folded()
            seal_run(store, uid)
    folded()
    expected = [float(number) for number in range(40)]
    history = store.history(uid, "m")
    if len(set(history.timestamp.tolist())) == 1:
        assert history.value.tolist() == expected
    seal_run(store, uid)
    assert store.history(uid, "m").value.tolist() == expected


@pytest.fixture
def history(trainer, folded):
    uid = trainer.open()
    trainer.metrics(uid, {"m": 1.5}, 3, epoch=2)
    trainer.metrics(uid, {"m": math.nan}, 4, phase="post", dataset="test", rank=1)
    return folded().history(uid, "m")


EXPECTED = {
    "step": [3, 4],
    "epoch": [2, None],
    "attempt": [0, 0],
    "phase": ["fit", "post"],
    "dataset": [None, "test"],
    "rank": [None, "1"],
}


def test_a_history_becomes_a_pandas_table(history):
    table = history.to_pandas()
    assert list(table) == ["step", "value", "timestamp", *list(EXPECTED)[1:]]
    for name, expected in EXPECTED.items():
        assert table[name].astype(object).where(table[name].notna(), None).tolist() == expected
    np.testing.assert_array_equal(table["value"], [1.5, math.nan])
    assert str(table["timestamp"].dtype) == "datetime64[us, UTC]"
    assert (table["timestamp"].astype("int64") == history.timestamp).all()


def test_a_history_becomes_a_polars_table(history):
    table = history.to_polars()
    assert table.columns == ["step", "value", "timestamp", *list(EXPECTED)[1:]]
    for name, expected in EXPECTED.items():
        assert table[name].to_list() == expected
    np.testing.assert_array_equal(table["value"].to_numpy(), [1.5, math.nan])
    assert str(table["timestamp"].dtype) == "Datetime(time_unit='us', time_zone='UTC')"
    assert table["timestamp"].to_physical().to_list() == history.timestamp.tolist()


def test_a_history_becomes_an_arrow_table(history):
    table = history.to_arrow()
    assert table.column_names == ["step", "value", "timestamp", *list(EXPECTED)[1:]]
    for name, expected in EXPECTED.items():
        assert table[name].to_pylist() == expected
    np.testing.assert_array_equal(table["value"].to_numpy(), [1.5, math.nan])
    assert table["value"].null_count == 0
    assert str(table["timestamp"].type) == "timestamp[us, tz=UTC]"
    assert table["timestamp"].cast("int64").to_pylist() == history.timestamp.tolist()


def test_a_missing_table_library_is_named_with_what_to_do(monkeypatch):
    with pytest.raises(UsageError, match="pip install autolog_no_such"):
        libraries.library("autolog_no_such")


def test_reading_histories_takes_a_constant_number_of_statements(trainer, folded):
    uid = trainer.open()
    for step in range(3):
        trainer.metrics(uid, {f"k{n}": 1.0 for n in range(300)}, step)
    store = folded()
    seal_run(store, uid)
    store.run(uid)
    from sqlalchemy import event

    seen: list[str] = []
    event.listen(
        store._database.engine, "before_cursor_execute", lambda *a: seen.append(a[2]), named=False
    )
    assert len(dict(store.histories(uid))) == 300
    assert sum(text.lstrip().upper().startswith("SELECT") for text in seen) <= 8
    assert scalar(store, "SELECT count(*) FROM tail") == 0
