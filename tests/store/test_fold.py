from __future__ import annotations

import os
import random
import signal
import subprocess
import time
from pathlib import Path

import numpy as np
import pytest
from sqlalchemy import select

from autolog.errors import StoreError
from autolog.journal import records
from autolog.journal.files import list_writers
from autolog.journal.reader import Cursor, read
from autolog.store import fold as folding
from autolog.store import open_store
from autolog.store.batch import Batch
from autolog.store.fold import fold
from autolog.store.location import locate
from autolog.store.sql.schema import metadata
from tests.store.training import Trainer, finish

SLEEPER = """
    trainer = Trainer(locate(sys.argv[1]))
    uid = trainer.open("SVC-live", user_opened=True)
    trainer.metrics(uid, {"loss": 1.0}, 1)
    print(uid, flush=True)
    time.sleep(600)
"""


def _rows(store, name):
    with store._database.read() as connection:
        return connection.execute(select(metadata.tables[name])).mappings().all()


def test_a_second_fold_finds_nothing_new(trainer, store):
    uid = trainer.open()
    trainer.metrics(uid, {"a": 1.0, "b": 2.0})
    first, second = fold(store), fold(store)
    assert (first.writers, first.records, first.points) == (1, 2, 2)
    assert (second.writers, second.records, second.points) == (0, 0, 0)


def test_a_batch_is_applied_once_however_often_it_is_sent(location, trainer, store):
    uid = trainer.open()
    for step in range(10):
        trainer.metrics(uid, {"loss": float(step)}, step)
    trainer.event("note", uid)
    [files] = list_writers(location.journal)
    batch = Batch(files.header(), Cursor(), read(files, Cursor()))
    assert [store.apply(batch) for _ in range(3)] == [True, False, False]
    assert len(store.history(uid, "loss")) == 10
    assert len(store.details(uid).events) == 1


def test_a_batch_read_from_an_outdated_cursor_is_refused_though_it_has_more(
    location, trainer, store
):
    uid = trainer.open()
    trainer.metrics(uid, {"loss": 0.0}, 0)
    fold(store)
    trainer.metrics(uid, {"loss": 1.0}, 1)
    [files] = list_writers(location.journal)
    assert not store.apply(Batch(files.header(), Cursor(), read(files, Cursor())))
    fold(store)
    assert store.history(uid, "loss").value.tolist() == [0.0, 1.0]


def test_every_equal_point_is_kept(trainer, folded):
    uid = trainer.open()
    for _ in range(5):
        trainer.metrics(uid, {"loss": 0.5}, 3)
    assert folded().history(uid, "loss").value.tolist() == [0.5] * 5


def test_two_processes_that_fold_at_once_apply_each_point_once(location, python, monkeypatch):
    trainers = [Trainer(location, segment_bytes=20_000) for _ in range(4)]
    uids = [trainer.open(f"SVC-{n}") for n, trainer in enumerate(trainers)]
    for step in range(3000):
        for trainer, uid in zip(trainers, uids, strict=True):
            trainer.metrics(uid, {"loss": float(step), "acc": -float(step)}, step)
    code = """
        import autolog.store.fold as folding
        folding._MAX_BYTES = 3000
        opened = open_store(sys.argv[1])
        open(f"{sys.argv[2]}-{os.getpid()}", "w").close()
        while not os.path.exists(sys.argv[2]):
            time.sleep(0.001)
        report = fold(opened)
        print(report.points)
    """
    gate = location.root / "go"
    processes = [python(code, location.address, gate) for _ in range(2)]
    while len(list(location.root.glob("go-*"))) < 2:  # they fold at once, whoever starts first
        assert all(process.poll() is None for process in processes)
        time.sleep(0.01)
    gate.touch()
    points = [int(finish(process)) for process in processes]
    assert sum(points) == 4 * 3000 * 2
    assert min(points) > 0
    store = open_store(location)
    fold(store)
    for uid in uids:
        assert store.history(uid, "loss").step.tolist() == list(range(3000))
    store.close()


def test_points_are_exact_after_readers_were_killed_in_mid_fold(location, python):
    trainer = Trainer(location, segment_bytes=50_000)
    uid = trainer.open()
    for step in range(20_000):
        trainer.metrics(uid, {"loss": float(step)}, step)
    trainer.end(uid)
    code = """
        import autolog.store.fold as folding
        folding._MAX_BYTES = 2000
        store = open_store(sys.argv[1])
        print("ready", flush=True)
        fold(store)
        print("done", flush=True)
    """
    source = random.Random(4)
    killed = 0
    for _ in range(20):
        process = python(code, location.address)
        assert process.stdout.readline() == "ready\n"
        try:
            process.wait(source.uniform(0, 0.25))
        except subprocess.TimeoutExpired:
            process.kill()
            killed += 1
        process.wait()
    assert killed
    store = open_store(location)
    fold(store)
    assert store.history(uid, "loss").step.tolist() == list(range(20_000))
    assert store.run(uid).status == "FINISHED"
    store.close()


def test_a_killed_writer_reads_killed_at_once_and_a_living_one_running(location, store, python):
    process = python(SLEEPER, location.address)
    uid = process.stdout.readline().strip()
    fold(store)
    assert store.run(uid).status == "RUNNING"
    assert store.run(uid).end_time is None
    process.send_signal(signal.SIGKILL)
    process.wait()
    report = fold(store)
    run = store.run(uid)
    assert report.buried == 1
    assert run.status == "KILLED"
    assert run.end_time >= run.start_time
    assert run.end_time == int(store.history(uid, "loss").timestamp[-1]) // 1000
    assert fold(store).buried == 0


def test_a_killed_writer_whose_last_record_was_not_folded_yet_keeps_it(location, store, python):
    process = python(SLEEPER, location.address)
    uid = process.stdout.readline().strip()
    process.send_signal(signal.SIGKILL)
    process.wait()
    fold(store)
    assert store.run(uid).status == "KILLED"
    assert store.history(uid, "loss").value.tolist() == [1.0]


def test_a_run_that_ended_stays_as_it_is_when_its_process_is_killed(location, store, python):
    code = """
        trainer = Trainer(locate(sys.argv[1]))
        uid = trainer.open()
        trainer.end(uid, "FAILED", error="ValueError: no")
        print(uid, flush=True)
        time.sleep(600)
    """
    process = python(code, location.address)
    uid = process.stdout.readline().strip()
    process.send_signal(signal.SIGKILL)
    process.wait()
    fold(store)
    assert store.run(uid).status == "FAILED"
    assert store.details(uid).error == "ValueError: no"


def test_a_writer_of_another_host_reads_running_and_silent_since(trainer, store, monkeypatch):
    uid = trainer.open()
    trainer.metrics(uid, {"loss": 1.0})
    monkeypatch.setattr(folding.WriterFiles, "state", lambda self: "unknown")
    fold(store)
    details = store.details(uid)
    assert details.run.status == "RUNNING"
    assert details.silent_since == int(store.history(uid, "loss").timestamp[-1]) // 1000
    monkeypatch.undo()
    monkeypatch.setenv("AUTOLOG_STRICT", "1")
    trainer.metrics(uid, {"loss": 1.0}, 1)
    fold(store)
    assert store.details(uid).silent_since is None


def test_finished_files_are_deleted_once_their_process_is_gone(location, store, python):
    code = """
        trainer = Trainer(locate(sys.argv[1]), segment_bytes=2000)
        uid = trainer.open()
        for step in range(200):
            trainer.metrics(uid, {"loss": float(step)}, step)
        trainer.end(uid)
        trainer.close()
        print(uid)
    """
    uid = finish(python(code, location.address)).strip()
    before = len(list(location.journal.iterdir()))
    assert before > 3
    assert fold(store).removed == before
    assert list(location.journal.iterdir()) == []
    assert len(store.history(uid, "loss")) == 200


def test_closed_segments_of_a_living_process_are_deleted_but_not_its_last(location, store):
    trainer = Trainer(location, segment_bytes=2000)
    uid = trainer.open()
    for step in range(200):
        trainer.metrics(uid, {"loss": float(step)}, step)
    fold(store)
    assert list(location.journal.iterdir()) == [trainer.writer.path]
    trainer.metrics(uid, {"loss": 200.0}, 200)
    trainer.close()
    fold(store)
    assert len(list(location.journal.iterdir())) == 1
    assert store.run(uid).status == "RUNNING"
    assert store.history(uid, "loss").step.tolist() == list(range(201))


def test_files_are_kept_when_the_database_cannot_be_written(location, trainer, store, monkeypatch):
    trainer.open()

    def refuse(batch):
        raise StoreError("the disk is full")

    monkeypatch.setattr(store, "apply", refuse)
    with pytest.raises(StoreError, match="disk is full"):
        fold(store)
    assert trainer.writer.path.exists()
    assert store.cursor(trainer.writer.uid) == Cursor()


def _damage(path):
    """Flip a byte in the middle of a journal file."""
    data = bytearray(path.read_bytes())
    data[len(data) // 2] ^= 0xFF
    path.write_bytes(bytes(data))


def test_damage_is_reported_kept_once_and_stops_no_other_writer(location, store):
    broken, whole = Trainer(location), Trainer(location)
    first, second = broken.open("SVC-aaaa"), whole.open("SVC-bbbb")
    for step in range(100):
        broken.metrics(first, {"loss": 0.0}, step)
        whole.metrics(second, {"loss": 0.0}, step)
    broken.end(first)
    broken.close()
    _damage(broken.writer.path)
    report = fold(store)
    assert len(report.damage) == 1
    assert len(store.history(second, "loss")) == 100
    assert len(store.history(first, "loss")) == 99
    fold(store)
    [event] = [e for e in store.details(first).events if e.kind == "damage"]
    assert event.data["file"] == broken.writer.path.name
    assert store.details(second).events == []
    assert broken.writer.path.exists()


def test_a_batch_that_cannot_be_applied_stops_no_other_writer(
    location, store, trainer, monkeypatch
):
    monkeypatch.delenv("AUTOLOG_STRICT")
    bad = trainer.open("SVC-aaaa")
    other = Trainer(location)
    good = other.open("SVC-bbbb")
    apply = store.apply

    def picky(batch):
        if batch.header.writer == trainer.writer.uid:
            raise ValueError("cannot be stored")
        return apply(batch)

    monkeypatch.setattr(store, "apply", picky)
    [damage] = fold(store).damage
    assert "cannot be stored" in damage.why
    assert [run.run_id for run in store.runs().runs] == [good]
    monkeypatch.setattr(store, "apply", apply)
    fold(store)
    assert store.run(bad).run_id == bad


def test_a_shared_journal_folder_is_read_for_its_own_store_alone(tmp_path, monkeypatch):
    monkeypatch.setenv("AUTOLOG_JOURNAL_DIR", str(tmp_path / "fast"))
    uids, stores = [], []
    for name in ("one", "two"):
        location = locate(tmp_path / name)
        uids.append(Trainer(location).open())
        stores.append(open_store(location, create=True))
    for uid, store in zip(uids, stores, strict=True):
        fold(store)
        assert [run.run_id for run in store.runs().runs] == [uid]
        store.close()


@pytest.mark.parametrize("location", ["sqlite"], indirect=True)
def test_what_is_folded_is_synced_before_files_are_deleted(location, python, store, monkeypatch):
    code = """
        trainer = Trainer(locate(sys.argv[1]))
        trainer.end(trainer.open())
        trainer.close()
    """
    finish(python(code, location.address))
    synced = []
    fsync, unlink = os.fsync, Path.unlink

    def note_sync(fd):
        synced.append(str(Path(f"/proc/self/fd/{fd}").readlink()))
        fsync(fd)

    def note_unlink(path):
        synced.append("unlink")
        unlink(path)

    monkeypatch.setattr(os, "fsync", note_sync)
    monkeypatch.setattr(Path, "unlink", note_unlink)
    fold(store)
    assert synced[0] == f"{location.database}-wal"
    assert set(synced[1:]) == {"unlink"}  # of the journal and of its beat


def test_several_writers_of_one_run_each_keep_their_points(location, store):
    owner, helper = Trainer(location), Trainer(location)
    uid = owner.open()
    for step in range(3):
        owner.metrics(uid, {"loss": 1.0}, step)
        helper.metrics(uid, {"loss": 2.0}, step, rank=1)
    fold(store)
    history = store.history(uid, "loss")
    assert history.step.tolist() == [0, 0, 1, 1, 2, 2]
    assert store.run(uid).metrics == {"loss": 1.0}
    assert store.history(uid, "loss", context={"rank": 1}).value.tolist() == [2.0] * 3
    assert np.unique(store.history(uid, "loss", context="fit").value).tolist() == [1.0, 2.0]


def test_points_before_their_run_opens_are_kept_and_found_later(location, store):
    """The helper's journal is folded first: a stub stands for the run until it opens."""
    owner, helper = Trainer(location), Trainer(location)
    uid = "0" * 32
    helper.metrics(uid, {"loss": 2.0}, 1)
    fold(store)
    stub = store.run(uid)
    assert (stub.status, stub.metrics) == ("RUNNING", {"loss": 2.0})
    store.bury(helper.writer.uid)
    assert store.run(uid).status == "KILLED"
    owner.open("SVC-real", uid=uid, experiment="late")
    owner.metrics(uid, {"loss": 1.0}, 2)
    fold(store)
    run = store.run(uid)
    assert (run.name, run.status, run.experiment) == ("SVC-real", "RUNNING", "late")
    assert run.metrics == {"loss": 1.0}
    assert {row["experiment_id"] for row in _rows(store, "series")} == {
        row["id"] for row in _rows(store, "experiment")
    }


def test_spans_and_groups_are_kept(trainer, folded):
    uid = trainer.open()
    run = trainer.writer.run(uid)
    trainer.append(records.Group, key="torchrun:1", rank=2, size=4)
    trainer.writer.append(
        records.SpanOpen(span=1, run=run, role="fit", kind="fit", name="SVC", wall_us=5)
    )
    folded()
    trainer.append(records.SpanClose, span=1, wall_us=9)
    store = folded()
    [span] = _rows(store, "span")
    assert (span["open_us"], span["close_us"], span["name"]) == (5, 9, "SVC")
    [writer] = _rows(store, "writer")
    assert (writer["group_key"], writer["group_rank"], writer["group_size"]) == ("torchrun:1", 2, 4)


def test_a_journal_of_any_number_of_pieces_is_folded_at_once(trainer, store, monkeypatch):
    uid = trainer.open()
    for step in range(200):
        trainer.metrics(uid, {"loss": 1.0}, step)
    monkeypatch.setattr(folding, "_MAX_BYTES", 500)
    monkeypatch.setattr(folding, "_RACES", 3)
    assert fold(store).points == 200
    assert len(store.history(uid, "loss")) == 200
