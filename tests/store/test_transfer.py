"""Runs on their way between stores: nothing is lost, nothing doubles."""

from __future__ import annotations

import dataclasses
import math
import threading
from pathlib import Path

import msgspec
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from sqlalchemy import func, select

from autolog.artifacts.blobs import BlobFolder
from autolog.artifacts.repository import Repository
from autolog.artifacts.transfer import send
from autolog.errors import StoreError
from autolog.ids import new_id
from autolog.journal import records
from autolog.store import open_store
from autolog.store.fold import fold
from autolog.store.location import locate, prepare
from autolog.store.sql.schema import metadata
from tests.store.portraits import portrait_of


@pytest.fixture
def target(tmp_path: Path):
    location = locate(tmp_path / "target")
    prepare(location)
    opened = open_store(location)
    yield opened
    opened.close()


@pytest.fixture
def sent(store, target):
    """Fold, send a run, and hand out what was taken."""

    def run(uid):
        fold(store)
        return send(store, target, uid)

    return run


def _rows(store, *without):
    """Count the rows of every table."""
    with store._database.read() as connection:
        return {
            name: connection.execute(select(func.count()).select_from(table)).scalar()
            for name, table in metadata.tables.items()
            if name not in without
        }


def _ver(store, uid):
    run = metadata.tables["run"]
    with store._database.read() as connection:
        return connection.execute(select(run.c.ver).where(run.c.uid == uid)).scalar()


def _points(store, uid, key="loss"):
    history = store.history(uid, key, attempt="all")
    return list(
        zip(
            history.step.tolist(),
            history.value.tolist(),
            history.timestamp.tolist(),
            history.epoch.tolist(),
            history.attempt.tolist(),
            [str(sorted(context.items())) for context in history.context],
            strict=True,
        )
    )


def _full(trainer) -> str:
    uid = trainer.open("SVC-full", description="all there is")
    trainer.append(records.Process, user="ada", commit="c0ffee", packages={"numpy": "2.0"})
    trainer.params(
        uid, lr=0.1, big=2**64 - 1, none=None, nan=math.nan, text="läufe\0🚀", sizes=[1, "a"]
    )
    trainer.tags(uid, team="a=b", leer="")
    trainer.metrics(uid, {"loss": 1.0, "acc": math.nan}, 2**63 - 1, epoch=3)
    trainer.metrics(uid, {"loss": math.inf}, -(2**63))
    trainer.metrics(uid, {"loss": -0.0}, 1, phase="post", model="m", dataset="d")
    trainer.metrics(uid, {"loss": 0.5}, 1, attempt=1)
    trainer.event("note", uid, text="hello")
    trainer.append(records.Input, uid, role="train", name="iris", profile={"rows": 150})
    trainer.end(uid, exit_code=0)
    return uid


def test_everything_of_a_run_arrives(trainer, store, target, sent):
    uid = _full(trainer)
    assert sent(uid).created
    for side in ("run", "details"):
        a, b = (msgspec.to_builtins(getattr(one, side)(uid)) for one in (store, target))
        for answer in (a, b):
            run = answer.get("run", answer)
            del run["artifact_uri"]
            run["params"]["nan"] = run["metrics"]["acc"] = None
        assert a == b
    for key in ("loss", "acc"):
        assert str(_points(store, uid, key)) == str(_points(target, uid, key))


def test_a_second_transfer_changes_no_row(trainer, target, sent):
    uid = _full(trainer)
    first = sent(uid)
    rows = _rows(target)
    second = sent(uid)
    assert (first.points, second.points, second.changed) == (5, 0, False)
    assert _rows(target) == rows


def test_a_transfer_of_a_state_that_only_looks_new_changes_no_row(trainer, store, target, sent):
    uid = _full(trainer)
    sent(uid)
    before, ver = _rows(target), _ver(target, uid)
    with store.take_out(uid) as portrait:
        taken = target.take_in(dataclasses.replace(portrait, ver=portrait.ver + 1))
    assert not taken.changed
    assert (_rows(target), _ver(target, uid)) == (before, ver)


def test_a_run_that_grew_brings_only_what_is_new(trainer, target, sent):
    uid = trainer.open()
    trainer.metrics(uid, {"loss": 1.0}, 0)
    sent(uid)
    trainer.metrics(uid, {"loss": 0.5, "acc": 0.1}, 1)
    trainer.tags(uid, stage="late")
    trainer.end(uid)
    taken = sent(uid)
    assert (taken.created, taken.points) == (False, 2)
    assert target.history(uid, "loss").value.tolist() == [1.0, 0.5]
    assert (target.run(uid).status, target.run(uid).tags) == ("FINISHED", {"stage": "late"})


def test_equal_points_are_kept_as_often_as_they_were_logged(store, target):
    point = {"step": 1, "value": 0.5}
    uid = new_id()
    for many, new in ((2, 2), (2, 0), (5, 3), (3, 0)):
        assert target.take_in(portrait_of(uid, [point] * many)).points == new
    assert len(target.history(uid, "loss")) == 5


POINT = st.fixed_dictionaries(
    {
        "step": st.sampled_from([0, 1, -(2**63)]),
        "value": st.sampled_from([0.0, -0.0, math.nan, math.inf]),
        "us": st.sampled_from([7, 8]),
        "epoch": st.sampled_from([math.nan, 0.0, 1.0]),
        "attempt": st.sampled_from([0, 1]),
        "phase": st.sampled_from(["fit", "post"]),
    }
)


@settings(max_examples=20, deadline=None)
@given(st.lists(st.lists(POINT, max_size=12), max_size=4))
def test_a_run_ends_with_the_most_that_any_transfer_had_of_each_point(tmp_path_factory, many):
    from collections import Counter

    uid = new_id()
    location = _shared_location(tmp_path_factory)
    store = open_store(location)
    try:
        expected: Counter[str] = Counter()
        for points in many:
            expected |= Counter(_key(point) for point in points)
            store.take_in(portrait_of(uid, points))
        if not many:
            return
        found: Counter[str] = Counter()
        with store.take_out(uid) as portrait:
            for _, points in portrait.points:
                names = ("step", "value", "epoch", "attempt")
                columns = {name: getattr(points, name).tolist() for name in names}
                columns["us"] = points.timestamp.tolist()
                columns["phase"] = [points.contexts[at]["phase"] for at in points.context]
                for row in zip(*columns.values(), strict=True):
                    found[_key(dict(zip(columns, row, strict=True)))] += 1
        assert found == expected
    finally:
        store.close()


def _key(point):
    return str(sorted(point.items()))


def _shared_location(factory):
    known = getattr(_shared_location, "known", None)
    if known is None:
        known = _shared_location.known = locate(factory.mktemp("merged"))
        prepare(known)
    return known


def test_the_first_value_of_a_param_stays_and_a_conflict_is_said_once(target):
    uid = new_id()
    for value in (1, 2, 2):
        target.take_in(dataclasses.replace(portrait_of(uid, []), params={"lr": value}))
    assert target.run(uid).params == {"lr": 1}
    events = [event.data for event in target.details(uid).events]
    assert events == [{"field": "param", "key": "lr", "kept": "1", "refused": "2"}]


def test_the_last_value_of_a_tag_wins(target):
    uid = new_id()
    for text in ("a", "b"):
        target.take_in(dataclasses.replace(portrait_of(uid, []), tags={"stage": text}))
    assert target.run(uid).tags == {"stage": "b"}


@pytest.mark.parametrize(
    ("outcomes", "status"),
    [
        ([("RUNNING", None, None), ("FINISHED", "record", 9)], "FINISHED"),
        ([("FINISHED", "record", 9), ("RUNNING", None, None)], "FINISHED"),
        ([("KILLED", "lease", 9), ("FINISHED", "record", 8)], "FINISHED"),
        ([("FINISHED", "record", 8), ("KILLED", "lease", 9)], "FINISHED"),
        ([("FINISHED", "record", 8), ("FAILED", "record", 9)], "FAILED"),
    ],
)
def test_an_outcome_only_moves_forward(target, outcomes, status):
    uid = new_id()
    for name, ended_by, end_us in outcomes:
        target.take_in(portrait_of(uid, [], status=name, ended_by=ended_by, end_us=end_us))
    assert target.run(uid).status == status


def test_a_later_attempt_that_runs_reopens_an_ended_run(target):
    uid = new_id()
    target.take_in(portrait_of(uid, [], status="FAILED", ended_by="record", end_us=9))
    target.take_in(portrait_of(uid, [], attempt=1))
    assert target.run(uid).status == "RUNNING"


@pytest.mark.parametrize("first", ["parent", "child"])
def test_a_parent_may_come_before_or_after_its_child(trainer, store, target, sent, first):
    top = trainer.open("top")
    middle = trainer.open("middle", parent=top)
    leaf = trainer.open("leaf", parent=middle)
    order = [top, middle, leaf]
    for uid in order if first == "parent" else reversed(order):
        sent(uid)
    run = target.run(leaf)
    assert (run.parent_id, run.root_id, run.depth) == (middle, top, 2)
    assert target.details(top).children == [middle]


def test_parents_in_a_circle_are_not_closed(target):
    a, b = new_id(), new_id()
    target.take_in(portrait_of(a, [], parent=b))
    target.take_in(portrait_of(b, [], parent=a))
    assert target.run(a).parent_id == b
    assert target.run(b).parent_id is None


def test_a_run_that_lives_elsewhere_reads_running_and_silent(trainer, target, sent):
    uid = trainer.open()
    sent(uid)
    details = target.details(uid)
    assert details.run.status == "RUNNING"
    assert details.silent_since is not None


def test_points_that_came_before_their_run_are_filled_in_later(trainer, target, sent, store):
    uid = new_id()
    trainer.metrics(uid, {"loss": 1.0}, 0)
    sent(uid)
    assert target.run(uid).name.startswith("run-")
    trainer.open("SVC-late", uid=uid, experiment="late")
    sent(uid)
    assert (target.run(uid).name, target.run(uid).experiment) == ("SVC-late", "late")
    assert len(target.history(uid, "loss")) == 1


def test_attempts_come_along_with_their_processes(trainer, store, target, sent):
    uid = trainer.open()
    fold(store)
    run, writer = (metadata.tables[name] for name in ("run", "writer"))
    with store._database.write() as connection:
        row = {
            "run_id": connection.execute(select(run.c.id)).scalar(),
            "writer_id": connection.execute(select(writer.c.id)).scalar(),
            "attempt": 1,
            "start_us": 5,
            "restored_step": -(2**63),
        }
        connection.execute(metadata.tables["attempt"].insert(), row)
    sent(uid)
    with store.take_out(uid) as there, target.take_out(uid) as here:
        assert here.attempts == there.attempts
        assert here.attempts[-1].restored_step == -(2**63)
        assert here.attempts[-1].writer == trainer.writer.uid


def test_runs_of_one_process_keep_what_their_process_said(trainer, target, sent):
    trainer.append(records.Process, user="ada", python="3.12", packages={"numpy": "2"})
    one, other = trainer.open("one"), trainer.open("other")
    sent(one)
    sent(other)
    for uid in (one, other):
        details = target.details(uid)
        assert (details.run.user, details.python) == ("ada", "3.12")


def test_a_store_has_one_identity_whoever_asks_first(location, target):
    found: list[str] = []

    def ask() -> None:
        opened = open_store(location)
        found.append(opened.identity())
        opened.close()

    threads = [threading.Thread(target=ask) for _ in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert len(set(found)) == 1
    assert target.identity() != found[0]


def test_a_run_that_came_back_has_nothing_new_for_its_first_store(trainer, store, target, sent):
    uid = _full(trainer)
    sent(uid)
    before = _rows(store, "imported", "writer")
    assert not send(target, store, uid).changed
    assert _rows(store, "imported", "writer") == before


def test_files_travel_with_their_run_and_are_not_copied_twice(
    trainer, location, store, target, sent
):
    blob = BlobFolder(location.artifacts).put(b"weights")
    script = BlobFolder(location.artifacts).put(b"import autolog")
    entry = {"path": "train.py", "sha256": script.sha256, "uri": script.uri}
    trainer.append(records.Process, details={"entry": entry})
    uid = trainer.open()
    trainer.append(records.ArtifactFile, uid, path="m.bin", **msgspec.structs.asdict(blob))
    sent(uid)
    there = Repository(target.location.artifacts)
    assert there.read(target.details(uid).artifacts[0].uri) == b"weights"
    assert there.read(script.uri) == b"import autolog"
    inode = there.path(blob.uri).stat().st_ino
    trainer.tags(uid, more="x")
    sent(uid)
    assert there.path(blob.uri).stat().st_ino == inode


def test_a_run_whose_file_was_changed_does_not_arrive(trainer, location, store, target, sent):
    blob = BlobFolder(location.artifacts).put(b"weights")
    uid = trainer.open()
    trainer.append(records.ArtifactFile, uid, path="m.bin", **msgspec.structs.asdict(blob))
    (location.artifacts / blob.uri).write_bytes(b"WEIGHTS")
    with pytest.raises(StoreError, match=blob.sha256):
        sent(uid)
    assert target.runs().runs == []


def test_a_transfer_that_is_killed_leaves_nothing_or_all(trainer, location, store, target, python):
    uid = trainer.open()
    for step in range(500):
        trainer.metrics(uid, {"a": 1.0, "b": 2.0}, step)
    fold(store)
    code = """
        from dataclasses import replace
        source, target = open_store(locate(sys.argv[1])), open_store(locate(sys.argv[2]))
        def half(points):
            yield next(iter(points))
            os.kill(os.getpid(), signal.SIGKILL)
        with source.take_out(sys.argv[3]) as portrait:
            target.take_in(replace(portrait, points=half(portrait.points)))
    """
    killed = python(code, location.address, target.location.address, uid)
    killed.wait(60)
    assert killed.returncode == -9
    assert target.runs().runs == []
    assert send(store, target, uid).points == 1000


def test_metrics_that_were_logged_together_share_their_steps(trainer, target, sent):
    uid = trainer.open()
    for step in range(1000):
        trainer.metrics(uid, dict.fromkeys("abcde", float(step)), step)
    sent(uid)
    with target._database.read() as connection:
        tail = metadata.tables["tail"]
        size = connection.execute(select(func.sum(func.length(tail.c.data)))).scalar()
    assert size / 5000 < 12
