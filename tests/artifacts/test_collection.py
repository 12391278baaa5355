"""What `autolog gc` removes, and what it must not."""

from __future__ import annotations

import os
import resource
import time
from pathlib import Path

import numpy as np
import pytest
from sqlalchemy import event, func, select, update

from autolog.artifacts.blobs import BlobFolder
from autolog.artifacts.collection import collect, make_plan
from autolog.artifacts.repository import Repository
from autolog.errors import NotFoundError, StoreError
from autolog.journal import records
from autolog.store import open_store
from autolog.store.fold import fold
from autolog.store.location import Location, locate, prepare
from autolog.store.portrait import Points
from autolog.store.removal import Retention
from autolog.store.sql.schema import metadata
from tests.store.portraits import portrait_of
from tests.store.training import Trainer

_run = metadata.tables["run"]


class Site:
    """A store, a trainer that writes to it, and a hand on its clock."""

    def __init__(self, location: Location) -> None:
        self.location = location
        self.store = open_store(location)
        self.trainer = Trainer(location)
        self.blobs = BlobFolder(location.artifacts)

    def run(self, name="run", content: bytes | None = None, /, *, end=True, **metrics) -> str:
        """Record a run with a model file."""
        uid = self.trainer.open(name, experiment=metrics.pop("experiment", "exp"))
        for key, value in metrics.items():
            self.trainer.metrics(uid, {key: value})
        if content is not None:
            self.file(uid, content)
        if end:
            self.trainer.end(uid)
        return uid

    def file(self, uid: str, content: bytes, path="model/model.pkl") -> str:
        blob = self.blobs.put(content)
        fields = {"path": path, "size": blob.size, "sha256": blob.sha256, "uri": blob.uri}
        self.trainer.append(records.ArtifactFile, uid, **fields)
        model = {"name": "model", "format": "pickle", "safe": False, "size": blob.size}
        self.trainer.append(records.ModelSaved, uid, **model, paths=[path], manifest={}, wall_us=5)
        return blob.uri

    def delete(self, *uids: str, days: float = 40) -> None:
        """Delete runs, that long ago."""
        self.settle()
        then = int((time.time() - days * 86_400) * 1e6)
        with self.store._database.write() as connection:
            deleted = update(_run).where(_run.c.uid.in_(uids))
            connection.execute(deleted.values(lifecycle="deleted", deleted_us=then))

    def settle(self) -> None:
        """Close the journal and fold it."""
        self.trainer.close()
        fold(self.store)
        self.trainer = Trainer(self.location)

    def age(self, days: float = 40) -> None:
        """Make all files that old."""
        then = time.time() - days * 86_400
        for path in self.location.artifacts.rglob("*"):
            if path.is_file():
                os.utime(path, (then, then))

    def collect(self, *, older_than=30, rules=None, experiment=None):
        fold(self.store)
        plan = make_plan(self.store, older_than=older_than, rules=rules, experiment=experiment)
        return collect(self.store, plan, rules)

    def contents(self) -> set[bytes]:
        repository = Repository(self.location.artifacts)
        return {repository.read(s.blob.uri) for group in repository.iterate() for s in group}

    def rows(self) -> dict[str, int]:
        with self.store._database.read() as connection:
            return {
                name: connection.execute(select(func.count()).select_from(table)).scalar_one()
                for name, table in metadata.tables.items()
            }

    def names(self) -> set[str]:
        with self.store._database.read() as connection:
            return set(connection.execute(select(_run.c.name)).scalars())


@pytest.fixture
def site(tmp_path: Path):
    location = locate(tmp_path / ".autolog")
    prepare(location)
    made = Site(location)
    yield made
    made.trainer.close()
    made.store.close()


def test_a_run_that_was_deleted_long_ago_goes_with_all_its_rows_and_files(site):
    before = site.rows()
    uid = site.run("old", b"old", loss=1.0)
    site.trainer.params(uid, lr=0.1)
    site.trainer.tags(uid, a="b")
    site.trainer.event("note", uid)
    site.trainer.append(records.Input, uid, role="train", name="iris", profile={})
    site.delete(uid)
    site.store.run(uid)
    site.age()
    done = site.collect()
    assert (done.runs, done.files, done.bytes, done.errors) == (1, 1, 3, [])
    assert site.contents() == set()
    kept = {"key", "experiment", "dataset", "writer"}
    after = site.rows()
    assert {t: n for t, n in after.items() if n != before[t] and t not in kept} == {}


def test_other_runs_and_the_files_that_they_share_stay(site):
    old, other = site.run("old", b"shared"), site.run("other", b"shared", loss=1.0)
    site.delete(old)
    site.age()
    done = site.collect()
    assert (done.runs, done.files) == (1, 0)
    assert site.contents() == {b"shared"}
    assert len(site.store.history(other, "loss")) == 1


def test_a_run_that_was_deleted_lately_stays(site):
    uid = site.run("old", b"old")
    site.delete(uid, days=10)
    site.age()
    assert site.collect().runs == 0
    assert site.collect(older_than=5).runs == 1


def test_a_run_of_another_experiment_stays(site):
    uid = site.run("old", experiment="b")
    site.delete(uid)
    assert site.collect(experiment="a").runs == 0
    assert site.collect(experiment="b").runs == 1


def test_a_deleted_run_stays_while_a_run_below_it_stays(site):
    top = site.trainer.open("top")
    middle = site.trainer.open("middle", parent=top)
    leaf = site.trainer.open("leaf", parent=middle)
    for uid in (leaf, middle, top):
        site.trainer.end(uid)
    site.delete(top, middle)
    assert site.collect().runs == 0
    site.delete(leaf)
    assert site.collect().runs == 3


def test_a_run_whose_model_is_registered_stays(site):
    uid = site.run("old", b"old")
    site.delete(uid)
    _register(site, uid)
    site.age()
    assert site.collect().runs == 0
    assert site.contents() == {b"old"}


def _register(site, uid):
    with site.store._database.write() as connection:
        number = select(_run.c.id).where(_run.c.uid == uid).scalar_subquery()
        models, versions = (metadata.tables[n] for n in ("registered_model", "model_version"))
        connection.execute(models.insert(), {"id": 1, "name": "churn", "created_us": 1})
        row = {"model_id": 1, "version": 1, "run_id": number, "created_us": 1}
        connection.execute(versions.insert().values(row))


def test_a_deleted_run_whose_process_still_writes_stays(site):
    uid = site.run("alive", end=False)
    site.delete(uid)
    with site.store._database.write() as connection:
        connection.execute(update(_run).values(status="RUNNING"))
    assert site.collect().runs == 0


def test_a_run_that_is_restored_before_its_turn_stays(site):
    uid = site.run("old", b"old", loss=1.0)
    site.delete(uid)
    plan = make_plan(site.store, older_than=30, rules=None, experiment=None)
    with site.store._database.write() as connection:
        connection.execute(update(_run).values(lifecycle="active", deleted_us=None))
    assert collect(site.store, plan).runs == 0
    assert len(site.store.history(uid, "loss")) == 1


def test_a_dry_run_tells_what_the_real_one_then_does_and_changes_nothing(site):
    script = site.blobs.put(b"import autolog")
    entry = {"path": "x.py", "sha256": script.sha256, "uri": script.uri}
    site.trainer.append(records.Process, details={"entry": entry})
    uids = [site.run(f"old-{n}", b"%d" % n, loss=float(n)) for n in range(4)]
    site.delete(uids[0], uids[1])
    site.settle()
    site.age()
    rules = Retention(best=1, by="loss", mode="min")
    rows, contents = site.rows(), site.contents()
    plan = make_plan(site.store, older_than=30, rules=rules, experiment=None)
    assert (site.rows() | {"series": 0}, site.contents()) == (rows, contents)
    assert {run.name for run in plan.runs} == {"old-0", "old-1"}
    assert [run.name for run in plan.stripped] == ["old-3"]
    done = collect(site.store, plan, rules)
    assert (done.files, done.bytes) == (plan.files, plan.bytes) == (3, 3)


def test_files_that_nothing_names_go_once_they_are_a_day_old(site):
    site.blobs.put(b"orphan")
    site.settle()
    site.trainer.close()
    fold(site.store)
    assert site.collect().files == 0
    site.age(days=1.1)
    assert site.collect().files == 1


@pytest.fixture
def three_days_later(monkeypatch):
    """Let the collector come late."""
    now = time.time() + 3 * 86_400
    monkeypatch.setattr("autolog.artifacts.collection.time.time", lambda: now)


def test_a_file_whose_record_is_not_folded_yet_stays(site, three_days_later):
    uid = site.run("living", end=False)
    fold(site.store)
    plan = make_plan(site.store, older_than=30, rules=None, experiment=None)
    uri = site.file(uid, b"fresh")
    assert collect(site.store, plan).files == 0
    fold(site.store)
    assert site.store.details(uid).artifacts[0].uri == uri


def test_a_file_stays_while_any_process_may_be_about_to_name_it(site, three_days_later):
    site.run("living", end=False)
    site.blobs.put(b"about to be named")
    assert site.collect().files == 0
    site.trainer.close()
    assert site.collect().files == 1


def test_a_file_stays_while_the_journal_of_a_dead_process_is_not_folded(site, three_days_later):
    site.run("dead", b"weights")
    site.trainer.close()
    plan = make_plan(site.store, older_than=30, rules=None, experiment=None)
    assert collect(site.store, plan).files == 0


def test_files_stay_while_a_journal_of_a_newer_autolog_cannot_be_folded(site):
    site.settle()
    site.trainer.close()
    fold(site.store)
    (site.location.journal / f"{'0' * 32}.000001.alj").write_bytes(b"ALJRNL\r\nfrom the future")
    site.blobs.put(b"orphan")
    site.age()
    assert site.collect().files == 0


def test_a_blob_that_is_stored_again_while_it_is_collected_stays(site, monkeypatch):
    site.blobs.put(b"again")
    site.settle()
    site.age()
    discard = Repository.discard

    def late(self, uri, *, before):
        site.blobs.put(b"again")  # a trainer stores it after gc has found nobody to name it
        return discard(self, uri, before=before)

    monkeypatch.setattr(Repository, "discard", late)
    assert site.collect().files == 0
    assert site.contents() == {b"again"}


@pytest.mark.parametrize("place", ["entry", "manifest", "event", "param", "tag", "version"])
def test_a_file_that_is_named_anywhere_else_stays(site, place):
    blob = site.blobs.put(b"named")
    uid = site.trainer.open("run")
    match place:
        case "entry":
            entry = {"path": "x.py", "sha256": blob.sha256, "uri": blob.uri}
            site.trainer.append(records.Process, details={"entry": entry})
        case "manifest":
            fields = {"name": "m", "format": "f", "safe": True, "size": 1, "paths": []}
            site.trainer.append(
                records.ModelSaved, uid, **fields, manifest={"code": blob.sha256}, wall_us=1
            )
        case "event":
            site.trainer.event("note", uid, file=blob.uri)
        case "param":
            site.trainer.params(uid, data=f"autolog:{blob.uri}")
        case "tag":
            site.trainer.tags(uid, data=blob.uri)
        case _:
            pass
    site.trainer.end(uid)
    site.settle()
    if place == "version":
        _register(site, uid)
        with site.store._database.write() as connection:
            versions = metadata.tables["model_version"]
            connection.execute(update(versions).values(sha256=blob.sha256))
    site.age()
    assert site.collect().files == 0


def test_unfinished_files_go_once_they_are_a_day_old(site):
    site.blobs.put(b"x")
    site.settle()
    stale = site.location.artifacts / "tmp" / "stale"
    stale.write_bytes(b"12345")
    assert site.collect().temporary == 0
    site.age()
    done = site.collect()
    assert (done.temporary, done.temporary_bytes) == (1, 5)
    assert not stale.exists()


def _kept(site) -> set[str]:
    return {run.name for run in site.store.runs().runs if site.store.details(run.run_id).models}


@pytest.mark.parametrize(
    ("rules", "kept"),
    [
        (Retention(last=2), {"r3", "r4"}),
        (Retention(best=2, by="acc"), {"r0", "r2"}),
        (Retention(best=1, by="acc", mode="min"), {"r3"}),
        (Retention(best=1, by="acc", last=1), {"r0", "r4"}),
        (Retention(best=9, by="acc"), {"r0", "r1", "r2", "r3"}),
    ],
)
def test_the_best_and_the_last_runs_keep_their_files(site, rules, kept):
    for number, acc in enumerate((0.9, 0.5, 0.8, 0.1, float("nan"))):
        site.run(f"r{number}", b"%d" % number, acc=acc)
    site.settle()
    site.age()
    site.collect(rules=rules)
    assert _kept(site) == kept
    assert len(site.contents()) == len(kept)


def test_each_experiment_keeps_its_own_best(site):
    for name, experiment, acc in (("a", "x", 0.9), ("b", "x", 0.8), ("c", "y", 0.1)):
        site.run(name, name.encode(), experiment=experiment, acc=acc)
    site.settle()
    site.collect(rules=Retention(best=1, by="acc"))
    assert _kept(site) == {"a", "c"}


def test_an_experiment_without_the_metric_keeps_all(site):
    site.run("a", b"a", experiment="x", acc=0.9)
    site.run("b", b"b", experiment="y", loss=0.9)
    site.settle()
    site.collect(rules=Retention(best=1, by="acc"))
    assert _kept(site) == {"a", "b"}


def test_a_metric_that_no_run_has_is_an_error_and_nothing_goes(site):
    site.run("a", b"a", acc=0.9)
    site.settle()
    with pytest.raises(NotFoundError, match="Did you mean acc"):
        site.collect(rules=Retention(best=1, by="ac"))
    assert _kept(site) == {"a"}


def test_running_registered_and_tagged_runs_keep_their_files(site):
    site.run("running", b"1", end=False)
    registered = site.run("registered", b"2")
    for name, text in (("kept", "true"), ("not-kept", "False")):
        site.trainer.tags(site.run(name, name.encode()), keep=text)
    site.run("last", b"3")
    fold(site.store)
    _register(site, registered)
    site.collect(rules=Retention(last=1))
    assert _kept(site) == {"running", "registered", "kept", "last"}


def test_a_run_that_lost_its_files_keeps_the_rest_and_says_so(site):
    uid = site.run("loser", b"weights", acc=0.1)
    site.trainer.params(uid, lr=0.1)
    site.run("winner", b"w", acc=0.9)
    site.settle()
    site.collect(rules=Retention(best=1, by="acc"))
    details = site.store.details(uid)
    assert (details.run.params, details.run.metrics) == ({"lr": 0.1}, {"acc": 0.1})
    assert (details.models, details.artifacts) == ([], [])
    [said] = [one.data for one in details.events if one.kind == "removed"]
    assert (said["why"], said["models"], said["bytes"]) == ("retention", ["model"], 7)
    assert said["paths"] == ["model/model.pkl"]


def test_a_file_that_cannot_be_removed_is_named_and_stops_nothing(site, monkeypatch):
    for number in range(3):
        site.blobs.put(b"%d" % number)
    site.settle()
    site.age()
    discard, asked = Repository.discard, []

    def fail_once(self, uri, *, before):
        asked.append(uri)
        if len(asked) == 1:
            raise StoreError("disk says no")
        return discard(self, uri, before=before)

    monkeypatch.setattr(Repository, "discard", fail_once)
    done = site.collect()
    assert (done.files, done.errors) == (2, [f"{asked[0]}: disk says no"])
    monkeypatch.undo()
    assert site.collect().files == 1


def test_a_removal_that_was_killed_is_finished_by_the_next(site, monkeypatch):
    uid = site.run("old", b"old", loss=1.0)
    site.trainer.params(uid, lr=0.1)
    site.delete(uid)
    site.age()
    number = 0

    def die(conn, cursor, statement, *_):
        nonlocal number
        number += statement.startswith("DELETE")
        if number == 3:
            raise KeyboardInterrupt

    engine = site.store._database.engine
    event.listen(engine, "before_cursor_execute", die)
    with pytest.raises(KeyboardInterrupt):
        site.collect()
    event.remove(engine, "before_cursor_execute", die)
    assert site.names() == {"old"}
    done = site.collect()
    assert (done.runs, done.files) == (1, 1)
    assert site.names() == set()


def test_a_run_of_many_points_goes_in_many_small_transactions(site):
    n = 4_000_000
    points = Points(
        step=np.arange(n),
        value=np.zeros(n),
        timestamp=np.arange(n),
        epoch=np.full(n, np.nan),
        attempt=np.zeros(n, np.int64),
        context=np.zeros(n, np.int64),
        contexts=[{"phase": "fit"}],
    )
    portrait = portrait_of("a" * 32, [{}], status="FINISHED", ended_by="record")
    import dataclasses

    site.store.take_in(dataclasses.replace(portrait, points=[("loss", points)]))
    del points
    site.delete("a" * 32)
    deleted: list[int] = []

    def count(conn, cursor, statement, *_):
        if statement.startswith("DELETE"):
            deleted.append(cursor.rowcount)

    event.listen(site.store._database.engine, "after_cursor_execute", count)
    before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    assert site.collect().runs == 1
    assert max(deleted) <= 200
    assert resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before < 50_000
    assert site.rows()["tail"] == site.rows()["chunk"] == 0
