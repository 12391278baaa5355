"""A writer's memory does not grow with what it has written."""

from __future__ import annotations

import gc
import tracemalloc

import pytest

from autolog.journal import backlog, file, records
from tests.journal.reading import RUN, points_of


def growth(work, first: int, then: int) -> int:
    """Return by how many bytes memory grew in `then` more rounds of work after `first`."""
    tracemalloc.start()
    try:
        for number in range(first):
            work(number)
        gc.collect()
        before = tracemalloc.get_traced_memory()[0]
        for number in range(first, first + then):
            work(number)
        gc.collect()
        return tracemalloc.get_traced_memory()[0] - before
    finally:
        tracemalloc.stop()


def test_points_leave_nothing_behind(journal):
    writer = journal.writer(segment_bytes=50_000)
    run = writer.run(RUN)
    assert growth(lambda n: writer.metrics(run, {"a": 1.0, "b": 2.0}, n), 1000, 6000) < 20_000


def test_shapes_without_end_leave_no_more_than_one_file_defines(journal):
    writer = journal.writer(segment_bytes=20_000)
    run = writer.run(RUN)
    assert growth(lambda n: writer.metrics(run, {f"key{n}": 1.0}, n), 1000, 6000) < 300_000


def test_runs_without_end_leave_no_more_than_two_files_name(journal):
    writer = journal.writer(segment_bytes=20_000)

    def whole_run(number: int) -> None:
        run = writer.run(f"{number:032x}")
        writer.metrics(run, {"a": 1.0}, number)
        writer.append(records.RunEnd(run=run, status="FINISHED", end_us=0))

    assert growth(whole_run, 500, 2500) < 100_000
    number = writer.run(f"{5:032x}")  # long forgotten
    writer.metrics(number, {"late": 1.0}, 1)
    assert points_of(journal.read())[-1][1:3] == (f"{5:032x}", "late")


def test_a_run_that_has_not_ended_is_never_forgotten(journal):
    writer = journal.writer(segment_bytes=2000)
    quiet, busy = writer.run("a" * 32), writer.run("b" * 32)
    writer.metrics(quiet, {"a": 1.0}, 0)
    for step in range(500):
        writer.metrics(busy, {"b": 1.0}, step)
    writer.metrics(quiet, {"a": 1.0}, 1)
    points = points_of(journal.read())
    assert [point[3] for point in points if point[1] == "a" * 32] == [0, 1]


@pytest.mark.parametrize("shapes", [1, 1_000_000])
def test_what_a_full_disk_refuses_takes_a_bounded_memory(journal, monkeypatch, shapes):
    monkeypatch.setattr(backlog, "_BOUND", 1 << 20)
    writer = journal.writer(keeps=lambda: True)
    run = writer.run(RUN)
    writer.metrics(run, {"a": 1.0}, 0)

    def full(*_):
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(file, "_write", full)
    work = lambda n: writer.metrics(run, {f"key{n % shapes}": 1.0}, n)  # noqa: E731
    assert growth(work, 1, 6000) < 2 << 20
    assert growth(work, 6001, 1000) < 50_000
    counts = writer.counts
    assert counts.dropped_points > 1000
    assert counts.waiting_points + counts.dropped_points == counts.waiting_records + (
        counts.dropped_records
    )
    writer.append(records.RunEnd(run=run, status="FINISHED", end_us=0))  # has room kept for it
    monkeypatch.undo()
    writer.close()
    assert writer.counts.waiting_records == 0
    chunk = journal.read()
    assert len(points_of(chunk)) == counts.waiting_points + 1
    kinds = [type(entry.record) for entry in chunk.entries]
    assert kinds == [records.RunEnd, records.Event, records.Close]
    assert not chunk.damage


def test_a_record_of_twelve_thousand_keys_is_one_record(journal):
    writer = journal.writer()
    run = writer.run(RUN)
    keys = [f"layer{n}/grad" for n in range(12_000)]
    for step in range(3):
        writer.metrics(run, dict.fromkeys(keys, float(step)), step)
    (block,) = journal.read().points
    assert block.keys == tuple(keys)
    assert block.values.shape == (3, 12_000)


def test_a_value_of_a_megabyte_is_a_record_like_any(journal):
    writer = journal.writer(segment_bytes=500_000)
    run = writer.run(RUN)
    text = "ä\0" * 500_000
    for number in range(3):
        writer.append(records.Tags(run=run, values={f"t{number}": text}))
    chunk = journal.read()
    tags = [e.record.values for e in chunk.entries if isinstance(e.record, records.Tags)]
    assert tags == [{f"t{number}": text} for number in range(3)]
    assert not chunk.damage
