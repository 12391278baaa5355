"""Records that a database does not take, and writers of which nothing is heard."""

from __future__ import annotations

import msgspec
import pytest
from sqlalchemy import select, update

from autolog.journal import lease, records
from autolog.journal.files import list_writers
from autolog.store import fold as folding
from autolog.store.fold import behind, fold
from autolog.store.sql.schema import metadata
from tests.store.training import Trainer


def test_a_name_longer_than_an_index_entry_reads_back(trainer, folded):
    name = "\U0001f680" * 3000
    uid = trainer.open()
    trainer.metrics(uid, {name: 1.0})
    trainer.params(uid, **{name: name * 100})
    trainer.tags(uid, **{name: name * 100})
    run = folded().run(uid)
    assert run.metrics == {name: 1.0}
    assert run.params == {name: name * 100}
    assert run.tags == {name: name * 100}


def test_a_record_that_the_database_refuses_is_set_aside_and_the_rest_is_stored(
    location, trainer, store
):
    uid = trainer.open()
    for step in range(50):
        trainer.metrics(uid, {"loss": float(step)}, step)
    if store.uri.startswith("postgresql"):
        # Varied, or it would be compressed into an index entry.
        size, place = 1, "".join(chr(0x4E00 + n * 7919 % 20_000) for n in range(20_000))
    else:
        place, size = "p", 1 << 63
    file = {"path": place, "size": size, "sha256": "0", "uri": "u"}
    trainer.append(records.ArtifactFile, uid, **file)
    for step in range(50, 100):
        trainer.metrics(uid, {"loss": float(step)}, step)
    trainer.end(uid)
    trainer.close()
    report = fold(store)
    assert [damage.why for damage in report.damage if "refused by the database" in damage.why]
    assert store.history(uid, "loss").step.tolist() == list(range(100))
    assert store.run(uid).status == "FINISHED"
    assert any(event.kind == "damage" for event in store.details(uid).events)
    assert list_writers(location.journal), "the file with the refused record is kept"
    assert fold(store).damage == []


@pytest.fixture
def elsewhere(monkeypatch):
    """Look at the journals from another machine."""
    me = lease.this_process()
    other = msgspec.structs.replace(me, host="other", machine="f" * 32, boot="f" * 36)
    return lambda: monkeypatch.setattr(lease, "this_process", lambda: other)


def _turn_back(store, seconds):
    """Let time pass for the clock that beats are measured by."""
    writer = metadata.tables["writer"]
    with store._database.write() as connection:
        past = writer.c.beat_us - round(seconds * 1e6)
        connection.execute(update(writer).values(beat_us=past))


def _state(store):
    writer = metadata.tables["writer"]
    with store._database.read() as connection:
        return connection.execute(select(writer.c.state)).scalar()


def test_a_writer_whose_promised_beat_fails_is_silent_and_at_a_later_look_its_run_is_lost(
    trainer, store, elsewhere
):
    uid = trainer.open()
    trainer.metrics(uid, {"loss": 1.0})
    fold(store)
    store.beat([trainer.writer.uid], 15)
    elsewhere()
    fold(store)
    assert store.run(uid).status == "RUNNING"
    _turn_back(store, 61)
    fold(store)
    assert (store.run(uid).status, _state(store)) == ("RUNNING", "silent")
    fold(store)
    assert store.run(uid).status == "RUNNING"
    _turn_back(store, 60)
    fold(store)
    assert (store.run(uid).status, _state(store)) == ("LOST", "lost")


@pytest.mark.parametrize("last_word", ["points", "an event", "the end"])
def test_a_lost_writer_that_speaks_again_lives_again(trainer, store, elsewhere, last_word):
    uid = trainer.open()
    fold(store)
    store.beat([trainer.writer.uid], 15)
    elsewhere()
    for passed in (61, 60):
        _turn_back(store, passed)
        fold(store)
    assert store.run(uid).status == "LOST"
    if last_word == "points":
        trainer.metrics(uid, {"loss": 1.0})
    elif last_word == "an event":
        trainer.event("note", uid)
    else:
        trainer.end(uid)
    fold(store)
    found = store.run(uid)
    assert found.status == ("FINISHED" if last_word == "the end" else "RUNNING")
    assert not [event for event in store.details(uid).events if event.kind == "conflict"]


def test_a_beat_takes_the_silence_back(trainer, store):
    uid = trainer.open()
    fold(store)
    store.beat([trainer.writer.uid], 15)
    _turn_back(store, 61)
    assert store.judge_silent() == 0
    store.beat([trainer.writer.uid], 15)
    _turn_back(store, 100)
    assert store.judge_silent() == 0
    assert (store.run(uid).status, _state(store)) == ("RUNNING", "silent")


def test_without_a_promise_a_writer_of_another_host_is_silent_and_never_lost(
    trainer, store, elsewhere
):
    uid = trainer.open()
    elsewhere()
    fold(store)
    fold(store)
    assert store.run(uid).status == "RUNNING"
    assert store.details(uid).silent_since is not None


def test_what_lies_behind_the_cursor_is_counted_in_bytes(location, trainer, store, monkeypatch):
    small = Trainer(location, segment_bytes=2000)
    uid = small.open()
    for step in range(200):
        small.metrics(uid, {"loss": 1.0}, step)
    sizes = sum(path.stat().st_size for path in location.journal.glob("*.alj"))
    assert behind(store) == sizes
    taken = []
    monkeypatch.setattr(folding, "_MAX_BYTES", 1500)
    fold(store, progress=taken.append)
    assert sum(taken) == sizes
    assert behind(store) == 0
    small.close()
