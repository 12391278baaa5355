from __future__ import annotations

import os
import signal
import time

import pytest
from sqlalchemy import select

from autolog.ids import new_id
from autolog.journal import records
from autolog.store.fold import fold
from autolog.store.sql.schema import metadata
from tests.store.training import Trainer

_TICK = 0.02
"""How far apart the last writes of two journals have to be for the file system to tell them."""

KILLED = """
    trainer = Trainer(locate(sys.argv[1]))
    uid = trainer.open("SVC", uid=sys.argv[2], resume=sys.argv[3], job="j" * 64)
    for step in range(10):
        trainer.metrics(uid, {"loss": float(step)}, step)
    print(uid, flush=True)
    time.sleep(600)
"""


def _killed(python, location, uid, resume="never"):
    process = python(KILLED, location.address, uid, resume)
    process.stdout.readline()
    os.kill(process.pid, signal.SIGKILL)
    process.wait()


def _attempts(store, uid):
    return [(one.number, one.status, one.restored_step) for one in store.details(uid).attempts]


def _of_points(store, uid, key="loss"):
    """(step, attempt) of all points, however a reading passes over those superseded."""
    found = []
    for attempt in range(4):
        history = store.history(uid, key, attempt=attempt)
        found += [(step, attempt) for step in history.step.tolist()]
    return found


def test_a_run_has_one_attempt(trainer, folded):
    uid = trainer.open()
    trainer.metrics(uid, {"loss": 1.0})
    trainer.end(uid)
    store = folded()
    [attempt] = store.details(uid).attempts
    assert (attempt.number, attempt.status, attempt.pid) == (0, "FINISHED", os.getpid())
    assert store.details(uid).attempt == 0


def test_a_process_that_takes_over_a_killed_run_begins_its_next_attempt(location, python, store):
    uid = new_id()
    _killed(python, location, uid)
    trainer = Trainer(location)
    trainer.open(uid=uid, resume="allow", restored_step=6)
    for step in range(7, 12):
        trainer.metrics(uid, {"loss": -float(step)}, step)
    trainer.end(uid)
    fold(store)
    assert _attempts(store, uid) == [(0, "KILLED", None), (1, "FINISHED", 6)]
    assert store.details(uid).attempts[0].reason == "its process was gone"
    expected = [(step, 0) for step in range(10)] + [(step, 1) for step in range(7, 12)]
    assert _of_points(store, uid) == expected
    assert (store.run(uid).status, store.details(uid).attempt) == ("FINISHED", 1)


def test_a_job_is_taken_over_even_if_nobody_saw_its_process_go(location, trainer, store):
    uid = trainer.open(job="a" * 64)
    fold(store)
    Trainer(location).open(uid=uid, resume="allow", job="a" * 64)
    fold(store)
    assert _attempts(store, uid) == [(0, "LOST", None), (1, "RUNNING", None)]
    trainer.end(uid, status="FAILED")  # it is not the owner any more
    fold(store)
    assert store.run(uid).status == "RUNNING"


@pytest.mark.parametrize("job", [None, "b" * 64])
def test_a_process_that_joins_a_run_whose_owner_goes_on_begins_no_attempt(
    location, trainer, store, job
):
    uid = trainer.open(job="a" * 64)
    other = Trainer(location)
    other.open(uid=uid, resume="allow", job=job)
    other.metrics(uid, {"loss": 1.0})
    fold(store)
    assert _attempts(store, uid) == [(0, "RUNNING", None)]
    assert _of_points(store, uid) == [(0, 0)]


def test_a_writer_that_reopens_its_own_run_begins_no_attempt(trainer, folded):
    uid = trainer.open()
    trainer.end(uid)
    trainer.append(records.RunUpdate, uid, reopened=True)
    trainer.end(uid)
    trainer.open(uid=uid, resume="allow")
    assert _attempts(folded(), uid) == [(0, "RUNNING", None)]


def test_points_keep_the_attempt_of_their_process_though_they_come_late(location, trainer, store):
    uid = trainer.open()
    trainer.metrics(uid, {"loss": 0.0}, 0)
    trainer.end(uid, status="KILLED")
    fold(store)
    other = Trainer(location)
    other.open(uid=uid, resume="must")
    other.metrics(uid, {"loss": 1.0}, 1)
    fold(store)
    trainer.metrics(uid, {"loss": 0.0}, 9)
    fold(store)
    assert _of_points(store, uid) == [(0, 0), (9, 0), (1, 1)]


def test_a_process_that_opened_nothing_logs_to_the_attempt_of_its_time(location, store):
    joined = Trainer(location)
    owners = [Trainer(location) for _ in range(2)]
    uid = owners[0].open()
    joined.metrics(uid, {"loss": 0.0}, 0)
    owners[0].end(uid, status="FAILED", error="OutOfMemory")
    time.sleep(_TICK)
    owners[1].open(uid=uid, resume="allow")
    time.sleep(_TICK)
    joined.metrics(uid, {"loss": 0.0}, 1)
    fold(store)
    assert _of_points(store, uid) == [(0, 0), (1, 1)]
    assert store.details(uid).attempts[0].reason == "OutOfMemory"


def test_a_process_may_take_over_the_run_of_one_that_began_after_it(location, python, store):
    old = Trainer(location)
    old.event("note")
    uid = new_id()
    _killed(python, location, uid)
    time.sleep(_TICK)
    old.open("ANOTHER NAME", uid=uid, resume="allow", restored_step=4)
    old.metrics(uid, {"loss": 0.0}, 5)
    fold(store)
    assert _attempts(store, uid) == [(0, "KILLED", None), (1, "RUNNING", 4)]
    assert store.run(uid).name == "SVC"
    assert store.history(uid, "loss").step.tolist() == [0, 1, 2, 3, 4, 5]


def test_one_batch_may_reach_into_two_attempts_of_its_writer(trainer, folded):
    uid = trainer.open()
    trainer.metrics(uid, {"loss": 0.0}, 0)
    trainer.open(uid=uid, attempt=1)
    trainer.metrics(uid, {"loss": 0.0}, 1)
    trainer.metrics(uid, {"loss": 0.0}, 2, attempt=3)
    assert _of_points(folded(), uid) == [(0, 0), (1, 1), (2, 3)]


def test_a_restored_step_may_be_said_after_the_beginning(location, trainer, store):
    uid = trainer.open()
    trainer.end(uid, status="KILLED")
    fold(store)
    other = Trainer(location)
    other.open(uid=uid, resume="allow")
    fold(store)
    other.append(records.RunUpdate, uid, restored_step=41)
    fold(store)
    assert _attempts(store, uid) == [(0, "KILLED", None), (1, "RUNNING", 41)]


def test_a_restored_step_changes_what_counts_before_new_points_come(location, trainer, store):
    uid = trainer.open()
    for step in range(6):
        trainer.metrics(uid, {"loss": float(step)}, step)
    trainer.end(uid, "KILLED")
    fold(store)
    assert store.run(uid).metrics == {"loss": 5.0}
    later = Trainer(location)
    later.open(uid=uid, attempt=1, resume="allow", restored_step=2)
    fold(store)
    assert store.run(uid).metrics == {"loss": 2.0}
    assert store.history(uid, "loss").step.tolist() == [0, 1, 2]
    later.close()


def test_a_run_of_an_older_store_gets_its_first_attempt_with_the_second(location, trainer, store):
    uid = trainer.open()
    trainer.end(uid, status="KILLED")
    fold(store)
    attempt = metadata.tables["attempt"]
    with store._database.write() as connection:
        connection.execute(attempt.delete())
    Trainer(location).open(uid=uid, resume="allow")
    fold(store)
    assert _attempts(store, uid) == [(0, "KILLED", None), (1, "RUNNING", None)]


def test_a_job_that_was_killed_five_times_is_one_run_with_every_point(location, python, store):
    uid = new_id()
    for turn in range(5):
        _killed(python, location, uid, "allow" if turn else "never")
    fold(store)
    assert [status for _, status, _ in _attempts(store, uid)] == ["KILLED"] * 5
    tail = metadata.tables["tail"]
    with store._database.read() as connection:
        assert sum(connection.execute(select(tail.c.n)).scalars()) == 50
    assert len(store.runs().runs) == 1


def test_what_was_measured_of_the_machine_counts_in_every_attempt(location, trainer, store):
    uid = trainer.open()
    sampler = Trainer(location, role="sampler")
    for step in range(6):
        trainer.metrics(uid, {"loss": float(step)}, step)
        sampler.metrics(uid, {"system/memory_mb": float(step)}, step, phase="system")
    trainer.end(uid, "KILLED")
    fold(store)
    later = Trainer(location)
    later.open(uid=uid, attempt=1, resume="allow", restored_step=2)
    fold(store)
    sampler.metrics(uid, {"system/memory_mb": 9.0}, 0, phase="system")
    sampler.close()
    fold(store)
    assert store.history(uid, "loss").step.tolist() == [0, 1, 2]
    assert store.history(uid, "system/memory_mb").step.tolist() == [0, 0, 1, 2, 3, 4, 5]
    assert dict(store.histories(uid))["system/memory_mb"].value.max() == 9.0
    assert store.run(uid).metrics == {"loss": 2.0}
    later.close()
