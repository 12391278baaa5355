"""When the disk is waited for.

Whether a disk was waited for cannot be seen afterwards without cutting its power, so these tests
count the calls that wait, in the writer's own process.
"""

from __future__ import annotations

import errno
import os
import time

import pytest

import autolog
from autolog.errors import JournalError
from autolog.journal import file, records
from autolog.store import fold as folding
from tests.journal.reading import RUN, points_of


@pytest.fixture
def waits(monkeypatch):
    """The descriptors that were waited for, in order, by fdatasync."""
    seen: list[int] = []
    sync = file._sync_data

    def counted(fd):
        seen.append(fd)
        sync(fd)

    monkeypatch.setattr(file, "_sync_data", counted)
    return seen


@pytest.fixture
def folders(monkeypatch):
    """The folders that were waited for."""
    seen: list[object] = []
    monkeypatch.setattr(file, "sync_folder", seen.append)
    return seen


def test_a_log_call_does_not_wait_for_the_disk(journal, waits):
    writer = journal.writer()
    run = writer.run(RUN)
    for step in range(1000):
        writer.metrics(run, {"a": 1.0}, step)
    writer.append(records.Tags(run=run, values={"a": "b"}))
    assert waits == []
    writer.sync()
    assert len(waits) == 1


def test_each_file_is_waited_for_once_when_it_is_full_and_at_the_end(journal, waits, folders):
    writer = journal.writer(segment_bytes=2000)
    run = writer.run(RUN)
    for step in range(200):
        writer.metrics(run, {"a": 1.0}, step)
    files = len(journal.files().segments)
    assert files > 3
    assert len(waits) == files - 1
    writer.close()
    assert len(waits) == files
    assert folders == [journal.directory] * files  # it must list the file, or the file is lost


def test_power_durability_waits_at_every_record(journal, waits):
    writer = journal.writer(durability="power")
    run = writer.run(RUN)
    for step in range(5):
        writer.metrics(run, {"a": 1.0}, step)
    assert len(waits) == 5
    writer.append(records.Tags(run=run, values={"a": "b"}))
    assert len(waits) == 6


def test_the_environment_asks_for_power_durability(recording, waits, monkeypatch):
    monkeypatch.setenv("AUTOLOG_DURABILITY", "power")
    monkeypatch.setenv("AUTOLOG_STORE", str(recording.folder.parent / "power"))
    with autolog.start_run() as run:
        before = len(waits)
        for step in range(5):
            run.log_metric("x", step, step)
        assert len(waits) - before == 5


def test_the_end_of_a_run_waits_at_most_once_a_second(recording, waits):
    autolog.start_run().end()
    began, before = time.monotonic(), len(waits)
    for _ in range(50):
        autolog.start_run().end()
    assert len(waits) - before <= time.monotonic() - began + 1
    autolog.active_run()
    run = autolog.start_run()
    run.recorder._synced_us -= 2_000_000  # two seconds pass
    before = len(waits)
    run.end()
    assert len(waits) - before == 1


def test_whoever_folds_a_living_journal_waits_for_it_before_the_store_has_it(
    recording, monkeypatch
):
    order: list[str] = []
    sync = folding._sync

    def counted(fd):
        order.append("sync")
        sync(fd)

    monkeypatch.setattr(folding, "_sync", counted)
    with autolog.start_run() as run:
        run.log_metric("x", 1)
        assert autolog.search_runs()[0].metrics == {"x": 1.0}
        assert order
        order.clear()
        autolog.search_runs()
        assert order == []  # nothing new


@pytest.mark.parametrize("durability", ["process", "power"])
def test_a_disk_that_fails_to_sync_is_told_and_stops_no_call_that_keeps(
    journal, monkeypatch, durability
):
    told: list[str] = []
    writer = journal.writer(durability=durability, keeps=lambda: True, on_refusal=told.append)
    run = writer.run(RUN)
    writer.metrics(run, {"a": 1.0}, 1)

    def fail(_):
        raise OSError(errno.EIO, os.strerror(errno.EIO))

    monkeypatch.setattr(file, "_sync_data", fail)
    writer.metrics(run, {"a": 2.0}, 2)
    writer.sync()
    monkeypatch.undo()
    writer.metrics(run, {"a": 3.0}, 3)
    writer.sync()
    writer.close()
    chunk = journal.read()
    assert [point[3] for point in points_of(chunk)] == [1, 2, 3]
    assert "may not be on the disk" in told[0]
    events = [entry.record for entry in chunk.entries if isinstance(entry.record, records.Event)]
    assert {event.kind for event in events} == {"logging_error"}
    assert "may not be on the disk" in events[0].data["message"]


def test_a_disk_that_fails_to_sync_raises_where_nothing_is_kept(journal, monkeypatch):
    writer = journal.writer(durability="power")
    run = writer.run(RUN)

    def fail(_):
        raise OSError(errno.EIO, os.strerror(errno.EIO))

    monkeypatch.setattr(file, "_sync_data", fail)
    with pytest.raises(JournalError, match="may not be on the disk"):
        writer.metrics(run, {"a": 1.0}, 1)
