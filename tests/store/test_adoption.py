from __future__ import annotations

import textwrap
import time

from autolog.journal import records
from autolog.journal.files import list_writers
from autolog.journal.reader import Cursor, read
from autolog.store.batch import Batch
from autolog.store.fold import fold
from tests.store.test_tree import _places
from tests.store.training import Trainer, finish

CHILD = """
    child = Trainer(locate(sys.argv[1]))
    child.end(child.open("CHILD"))
    child.close()
"""


def test_a_child_process_is_linked_to_the_run_its_ancestor_had_open(location, python, store):
    trainer = Trainer(location)
    trainer.end(trainer.open("before", user_opened=True))
    outer = trainer.open("outer", user_opened=True)
    trainer.open("fit inside", parent=outer)
    finish(python(CHILD, location.address))
    trainer.end(outer)
    trainer.open("after", user_opened=True)
    report = fold(store)
    assert report.linked == 1
    assert _places(store, "CHILD") == [(outer, outer, 1)]
    assert fold(store).linked == 0


def test_a_process_started_outside_of_any_user_opened_run_has_roots(location, python, store):
    trainer = Trainer(location)
    trainer.open("a fit of its own")
    finish(python(CHILD, location.address))
    fold(store)
    assert _places(store, "CHILD")[0][0] is None


def test_an_ancestor_that_is_folded_in_the_same_pass_is_found(location, python, store):
    """The grandchild's journal sorts before its parent's when the parent writes later."""
    code = """
        import subprocess
        trainer = Trainer(locate(sys.argv[1]))
        uid = trainer.open("outer", user_opened=True)
        subprocess.run([sys.executable, "-c", sys.argv[2], sys.argv[1]], check=True)
        trainer.end(uid)
        trainer.close()
    """
    inner = (
        "import sys; from tests.store.training import Trainer;"
        "from autolog.store.location import locate;"
        "t = Trainer(locate(sys.argv[1])); t.end(t.open('inner')); t.close()"
    )
    finish(python(code, location.address, inner))
    fold(store)
    assert store.run("inner").parent_id == store.run("outer").run_id


WORKER = """
    opened_by_hand = sys.argv[2:] == ["by hand"]
    child = Trainer(locate(sys.argv[1]))
    uid = child.open("WORKER", user_opened=opened_by_hand)
    child.open("BELOW", parent=uid)
    child.metrics(uid, {"loss": 1.0})
    child.end(uid)
    child.close()
"""


def _span(trainer, uid, role="training"):
    now = trainer.writer.now_us()
    trainer.append(
        records.SpanOpen, uid, span=1, role=role, kind="fit", name="Ensemble.fit", wall_us=now
    )


def _close(trainer):
    trainer.append(records.SpanClose, span=1, wall_us=trainer.writer.now_us())


def _listed(store):
    return {run.name for run in store.runs().runs}


def test_a_root_born_inside_an_ancestors_fit_is_absorbed_with_all_below_it(
    location, python, trainer, store
):
    fit = trainer.open("FIT")
    _span(trainer, fit)
    finish(python(WORKER, location.address))
    _close(trainer)
    fold(store)
    assert _listed(store) == {"FIT"}
    worker = store.run("WORKER")
    assert (worker.parent_id, worker.metrics) == (fit, {"loss": 1.0})
    [told] = [event.data for event in store.details("FIT").events if event.kind == "absorbed"]
    assert (told["run"], told["name"]) == (worker.run_id, "WORKER")
    assert told["why"] == "its process was started by the fit Ensemble.fit"


def test_an_absorbed_run_is_deleted_and_restored_with_its_owner_and_stays_absorbed(
    location, python, trainer, store
):
    fit = trainer.open("FIT")
    _span(trainer, fit)
    finish(python(WORKER, location.address))
    fold(store)
    assert store.delete_run("FIT", recursive=False) == 1
    assert store.details("BELOW").lifecycle == "deleted"
    assert store.restore_run("FIT") == 1
    assert _listed(store) == {"FIT"}
    assert store.details("BELOW").lifecycle == "absorbed"


def test_a_process_started_before_or_after_a_fit_has_runs_of_its_own(
    location, python, trainer, store
):
    code = "print('ready', flush=True); sys.stdin.readline()" + textwrap.dedent(CHILD)
    early = python(code, location.address)
    early.stdout.readline()
    time.sleep(0.03)  # the start of a process is known to a hundredth of a second
    fit = trainer.open("FIT")
    trainer.append(records.Event, fit, kind="note", wall_us=trainer.writer.now_us())
    _span(trainer, fit)
    finish(early)
    _close(trainer)
    finish(python(WORKER, location.address))
    fold(store)
    assert _listed(store) == {"FIT", "CHILD", "WORKER", "BELOW"}
    assert store.run("WORKER").parent_id is None


def test_what_the_user_opens_by_hand_inside_a_fit_is_a_child_of_its_run(
    location, python, trainer, store
):
    fit = trainer.open("FIT")
    _span(trainer, fit)
    finish(python(WORKER, location.address, "by hand"))
    fold(store)
    assert _places(store, "WORKER") == [(fit, fit, 1)]
    assert "WORKER" in _listed(store)


def test_a_training_in_a_process_that_a_trial_started_is_a_child_of_the_study(
    location, python, trainer, store
):
    study = trainer.open("STUDY", kind="study")
    _span(trainer, study, role="study")
    finish(python(WORKER, location.address))
    fold(store)
    assert _places(store, "WORKER") == [(study, study, 1)]


def test_a_child_that_is_read_before_its_ancestors_run_is_asked_about_again(
    location, python, store
):
    trainer = Trainer(location)
    trainer.event("note")
    fold(store)
    outer = trainer.open("outer", user_opened=True)
    finish(python(CHILD, location.address))
    began_us = min(files.header().wall_us for files in list_writers(location.journal)) + 1
    [child] = [files for files in list_writers(location.journal) if files.uid != trainer.writer.uid]
    assert store.apply(Batch(child.header(), Cursor(), read(child, Cursor())))
    assert store.link_parents(began_us) == 0
    assert fold(store).linked == 1
    assert _places(store, "CHILD") == [(outer, outer, 1)]


def _rank(location, rank, key="group"):
    trainer = Trainer(location)
    trainer.append(records.Group, key=key, rank=rank, size=2)
    return trainer


def test_the_run_of_a_rank_above_0_is_absorbed_by_that_of_rank_0(location, store):
    second = _rank(location, 1)
    uid = second.open("R1", user_opened=True)
    second.metrics(uid, {"loss": 2.0})
    fold(store)
    assert _listed(store) == {"R1"}  # rank 0 is not there yet
    first = _rank(location, 0)
    leader = first.open("R0", user_opened=True)
    first.open("R0 fit", parent=leader)
    _rank(location, 0, "another group").open("OTHER")
    fold(store)
    assert _listed(store) == {"R0", "R0 fit", "OTHER"}
    assert (store.run("R1").parent_id, store.run("R1").metrics) == (leader, {"loss": 2.0})
    [told] = [event.data for event in store.details("R0").events if event.kind == "absorbed"]
    assert told["why"] == "rank 1 of the group of R0"


def test_a_rank_that_learns_of_its_group_late_gives_up_its_run(location, store):
    outer = Trainer(location).open("LAUNCHER", user_opened=True)
    first = Trainer(location)
    leader = first.open("R0", parent=outer)
    second = Trainer(location)
    second.open("R1", parent=outer)
    fold(store)
    for rank, trainer in enumerate((first, second)):
        trainer.append(records.Group, key="g", rank=rank, size=2)
    fold(store)
    assert _listed(store) == {"LAUNCHER", "R0"}
    assert _places(store, "R1") == [(leader, outer, 2)]


def test_each_run_of_a_rank_belongs_to_what_rank_0_had_begun_last(location, store):
    first, second = _rank(location, 0), _rank(location, 1)
    leaders = []
    for number in range(2):
        leaders.append(first.open(f"R0-{number}"))
        second.end(second.open(f"R1-{number}"))
        first.end(leaders[-1])
    fold(store)
    assert [store.run(f"R1-{number}").parent_id for number in range(2)] == leaders


def _logged(store, name="R0", key="loss"):
    history = store.history(name, key, attempt="all")
    ranks = [history.contexts[at].get("rank") for at in history.context_index.tolist()]
    return list(zip(history.step.tolist(), history.value.tolist(), ranks, strict=True))


def _handle(rank, name="R1"):
    return rank.open(name, kind="rank", user_opened=True)


def _log(trainer, uid, values, **context):
    for step, value in values.items():
        trainer.metrics(uid, {"loss": value}, step, **context)


def test_what_a_rank_logs_goes_into_the_run_of_its_group(location, store):
    second = _rank(location, 1)
    uid = _handle(second)
    _log(second, uid, {0: 10.0}, rank=1)
    second.append(records.Params, uid, values={"lr": 0.2, "local": 1})
    second.append(records.Tags, uid, values={"node": "b"})
    second.append(records.Event, uid, kind="note", wall_us=second.writer.now_us())
    fold(store)
    assert _listed(store) == {"R1"}  # rank 0 is not there yet: nothing is hidden
    first = _rank(location, 0)
    leader = first.open("R0")
    _log(first, leader, {0: 0.0, 1: 1.0})
    first.append(records.Params, leader, values={"lr": 0.1})
    fold(store)
    _log(second, uid, {1: 11.0}, rank=1)
    second.end(uid)
    fold(store)
    assert _listed(store) == {"R0"}
    assert _logged(store) == [(0, 10.0, 1), (0, 0.0, None), (1, 1.0, None), (1, 11.0, 1)]
    run = store.run("R0")
    assert (run.status, run.metrics, run.tags) == ("RUNNING", {"loss": 1.0}, {"node": "b"})
    assert run.params == {"lr": 0.1, "local": 1}
    kinds = [event.kind for event in store.details("R0").events]
    assert kinds.count("note") == 1
    [refused] = [e.data for e in store.details("R0").events if e.kind == "conflict"]
    assert (refused["key"], refused["kept"], refused["refused"]) == ("lr", "0.1", "0.2")
    assert store.run(uid).run_id == leader  # its id stands for the run of the group


def test_a_rank_logs_into_the_run_of_rank_0_that_has_its_name(location, store):
    first, second = _rank(location, 0), _rank(location, 1)
    early, late = first.open("fold-0"), first.open("fold-1")
    for name, value in (("fold-1", 1.0), ("fold-0", 2.0)):
        _log(second, _handle(second, name), {0: value}, rank=1)
    fold(store)
    assert _logged(store, early) == [(0, 2.0, 1)]
    assert _logged(store, late) == [(0, 1.0, 1)]


def test_what_a_rank_logs_belongs_to_the_attempt_that_had_begun(location, store):
    first, second = _rank(location, 0), _rank(location, 1)
    leader = first.open("R0")
    _log(second, _handle(second), {0: 10.0, 1: 11.0}, rank=1)
    again, other = _rank(location, 0, "restarted"), _rank(location, 1, "restarted")
    early = _handle(other)
    _log(other, early, {3: 23.0}, rank=1)
    again.open("R0", uid=leader, attempt=1, resume="allow")
    uid = _handle(other)
    _log(other, uid, {1: 21.0}, rank=1)
    fold(store)
    _log(other, uid, {2: 22.0}, rank=1)
    fold(store)
    history = store.history("R0", "loss", attempt="all")
    assert history.attempt.tolist() == [0, 0, 1, 1, 1]
    assert store.history("R0", "loss").value.tolist() == [10.0, 21.0, 22.0, 23.0]


def test_points_of_a_rank_are_moved_however_many_there_are(location, store):
    second = _rank(location, 1)
    uid = _handle(second)
    _log(second, uid, {step: float(step) for step in range(5000)}, rank=1)
    for _ in range(70):  # many small blobs, which other runs gather
        _log(second, uid, {5000: 1.0}, rank=1)
        fold(store)
    _rank(location, 0).open("R0")
    fold(store)
    fold(store)
    assert len(store.history("R0", "loss")) == 5070
    assert store.run("R0").metrics == {"loss": 1.0}
