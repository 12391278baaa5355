"""Signs of life that lie beside the journals of an embedded store, read on another host."""

from __future__ import annotations

import os
import time

import msgspec
import pytest

from autolog.journal import beats, lease
from autolog.journal.files import list_writers
from autolog.store import open_store
from autolog.store.fold import fold
from tests.store.training import Trainer


@pytest.fixture
def trainer(embedded):
    made = Trainer(embedded)
    yield made
    made.close()


@pytest.fixture
def store(embedded):
    opened = open_store(embedded)
    yield opened
    opened.close()


@pytest.fixture(autouse=True)
def elsewhere(trainer, monkeypatch):
    """Look at the journals from another machine."""
    trainer.event("begin")
    me = lease.this_process()
    other = msgspec.structs.replace(me, host="other", machine="f" * 32, boot="f" * 36)
    monkeypatch.setattr(lease, "this_process", lambda: other)


def _beat(location, trainer, ago):
    beats.give(location.journal, trainer.writer.uid, 15)
    then = time.time() - ago
    os.utime(location.journal / f"{trainer.writer.uid}.beat", (then, then))


def test_a_fresh_beat_keeps_a_run_of_another_host_running_and_not_silent(embedded, trainer, store):
    uid = trainer.open()
    for ago in (0, 40):
        _beat(embedded, trainer, ago)
        fold(store)
        assert store.run(uid).status == "RUNNING"
        assert store.details(uid).silent_since is None


def test_a_beat_never_takes_back_what_was_heard_later(embedded, trainer, store):
    uid = trainer.open()
    _beat(embedded, trainer, 0)
    fold(store)
    _beat(embedded, trainer, 1000)
    assert _statuses(store, uid, looks=3) == ["RUNNING"] * 3
    assert store.details(uid).silent_since is None


def test_beats_that_failed_long_ago_end_in_two_looks(embedded, trainer, store):
    uid = trainer.open()
    _beat(embedded, trainer, 1000)
    assert _statuses(store, uid, looks=2) == ["RUNNING", "LOST"]
    trainer.metrics(uid, {"loss": 1.0})
    assert _statuses(store, uid, looks=1) == ["RUNNING"]


def test_a_fresh_beat_takes_the_silence_back(embedded, trainer, store):
    uid = trainer.open()
    _beat(embedded, trainer, 1000)
    fold(store)
    assert store.details(uid).silent_since is not None
    _beat(embedded, trainer, 0)
    fold(store)
    assert store.details(uid).silent_since is None


def test_the_beat_goes_with_the_journal(embedded, trainer, store, monkeypatch):
    uid = trainer.open()
    trainer.end(uid)
    trainer.close()
    _beat(embedded, trainer, 0)
    fold(store)
    assert list_writers(embedded.journal) == []
    assert list(embedded.journal.iterdir()) == []


def _statuses(store, uid, looks):
    found = []
    for _ in range(looks):
        fold(store)
        found.append(store.run(uid).status)
    return found
