from __future__ import annotations

import contextlib
import itertools
import math
import statistics

import pytest
from sqlalchemy import event

from autolog.errors import UsageError
from autolog.store.fold import fold
from tests.store.training import Trainer, finish


def _places(store, *uids):
    return [(run.parent_id, run.root_id, run.depth) for run in map(store.run, uids)]


def test_runs_know_their_parent_root_and_depth(trainer, folded):
    root = trainer.open("A")
    child = trainer.open("B", parent=root)
    leaf = trainer.open("C", parent=child)
    store = folded()
    assert _places(store, root, child, leaf) == [
        (None, root, 0),
        (root, root, 1),
        (child, root, 2),
    ]
    assert store.details(root).children == [child]


def test_children_may_come_before_their_parents(location, store):
    early, late = Trainer(location), Trainer(location)
    root, middle = "a" * 32, "b" * 32
    leaf = early.open("C", parent=middle)
    fold(store)
    assert _places(store, leaf) == [(middle, middle, 1)]
    late.open("B", uid=middle, parent=root)
    fold(store)
    late.open("A", uid=root)
    fold(store)
    assert _places(store, leaf, middle) == [(middle, root, 2), (root, root, 1)]


def test_three_levels_find_their_places_in_whatever_order_they_arrive(location, store):
    orders = list(itertools.permutations(range(3)))
    for number, order in enumerate(orders):
        for level in order:
            parent = f"{level - 1}{number}" * 16 if level else None
            Trainer(location).open(f"R{level}", uid=f"{level}{number}" * 16, parent=parent)
            fold(store)
    for number in range(len(orders)):
        uids = [f"{level}{number}" * 16 for level in range(3)]
        assert _places(store, *uids) == [
            (None, uids[0], 0),
            (uids[0], uids[0], 1),
            (uids[1], uids[0], 2),
        ]


def test_points_before_their_run_and_its_parent_find_their_place(location, trainer, store):
    late = Trainer(location)
    trainer.metrics("c" * 32, {"loss": 1.0})
    fold(store)
    late.open("C", uid="c" * 32, parent="b" * 32)
    fold(store)
    late.open("B", uid="b" * 32, parent="a" * 32)
    fold(store)
    assert _places(store, "C") == [("b" * 32, "a" * 32, 2)]
    assert store.run("C").metrics == {"loss": 1.0}


def test_a_circle_of_parents_is_cut_and_told(trainer, folded):
    trainer.open("A", uid="a" * 32, parent="c" * 32)
    trainer.open("B", uid="b" * 32, parent="a" * 32)
    trainer.open("C", uid="c" * 32, parent="b" * 32)
    store = folded()
    assert _places(store, "A", "B", "C") == [
        (None, "a" * 32, 0),
        ("a" * 32, "a" * 32, 1),
        ("b" * 32, "a" * 32, 2),
    ]
    assert [event.kind for event in store.details("A").events] == ["conflict"]


def test_a_run_that_is_its_own_parent_is_a_root(trainer, folded):
    trainer.open("A", uid="a" * 32, parent="a" * 32)
    assert _places(folded(), "A") == [(None, "a" * 32, 0)]


def test_a_chain_of_a_thousand_runs_is_placed(trainer, folded):
    uids = [f"{number:032x}" for number in range(1000)]
    for number in reversed(range(1000)):
        trainer.open(f"R{number}", uid=uids[number], parent=uids[number - 1] if number else None)
    assert _places(folded(), uids[-1]) == [(uids[-2], uids[0], 999)]


def _grove(trainer):
    """Open A > (B > (D, E), C)."""
    a = trainer.open("A", kind="search")
    b = trainer.open("B", parent=a)
    trainer.open("C", parent=a)
    trainer.open("D", parent=b, kind="candidate")
    trainer.open("E", parent=b, kind="candidate")


def _names(store):
    return sorted(run.name for run in store.runs().runs)


def test_a_moved_run_takes_all_below_it_along(trainer, folded):
    _grove(trainer)
    store = folded()
    a, b, c = (store.run(name).run_id for name in "ABC")
    store.move_run("B", "C")
    assert _places(store, "B", "D") == [(c, a, 2), (b, a, 3)]
    store.move_run("B", None)
    assert _places(store, "B", "D") == [(None, b, 0), (b, b, 1)]
    moves = [event.data for event in store.details("B").events]
    assert moves == [{"from": a, "to": c}, {"from": c, "to": None}]


@pytest.mark.parametrize(
    ("run", "parent", "names"), [("A", "D", "A < D < B < A"), ("B", "B", "B < B")]
)
def test_a_move_into_a_circle_is_refused_by_name(trainer, folded, run, parent, names):
    _grove(trainer)
    store = folded()
    before = _places(store, *"ABCDE")
    with pytest.raises(UsageError, match=names):
        store.move_run(run, parent)
    assert _places(store, *"ABCDE") == before


def test_a_move_below_a_deleted_run_is_refused(trainer, folded):
    _grove(trainer)
    store = folded()
    store.delete_run("C")
    with pytest.raises(UsageError, match="C is deleted"):
        store.move_run("B", "C")


def test_two_moves_at_once_make_no_circle(trainer, location, folded, python):
    for number in range(20):
        trainer.open(f"L{number}")
        trainer.open(f"R{number}")
    store = folded()
    code = """
        from autolog.errors import UsageError
        store = open_store(sys.argv[1])
        while not os.path.exists(sys.argv[4]):
            time.sleep(0.001)
        for number in range(20):
            try:
                store.move_run(f"{sys.argv[2]}{number}", f"{sys.argv[3]}{number}")
            except UsageError:
                pass
    """
    gate = location.root / "go"
    sides = [("L", "R"), ("R", "L")]
    processes = [python(code, location.address, *side, gate) for side in sides]
    gate.touch()
    for process in processes:
        finish(process)
    for number in range(20):
        depths = sorted(store.run(f"{side}{number}").depth for side in "LR")
        assert depths == [0, 1]


def test_deleting_a_run_with_children_says_how_many_there_are(trainer, folded):
    _grove(trainer)
    store = folded()
    with pytest.raises(UsageError, match=r"2 children \(4 runs in all"):
        store.delete_run("A")
    assert len(_names(store)) == 5


def test_a_run_is_deleted_and_restored_with_all_below_it(trainer, folded):
    _grove(trainer)
    store = folded()
    assert store.delete_run("B", recursive=True) == 3
    assert _names(store) == ["A", "C"]
    assert store.run("A").children == 1
    assert store.restore_run("B") == 3
    assert _names(store) == ["A", "B", "C", "D", "E"]
    assert (store.delete_run("D"), store.delete_run("D"), store.restore_run("A")) == (1, 0, 0)


def test_a_restored_run_leaves_behind_what_was_deleted_before_it(trainer, folded):
    _grove(trainer)
    store = folded()
    store.delete_run("D")
    store.delete_run("A", recursive=True)
    assert _names(store) == []
    assert store.restore_run("A") == 4
    assert _names(store) == ["A", "B", "C", "E"]


def test_a_run_below_a_deleted_one_is_restored_with_it_alone(trainer, folded):
    _grove(trainer)
    store = folded()
    store.delete_run("A", recursive=True)
    with pytest.raises(UsageError, match="E is below A, which is deleted too"):
        store.restore_run("E")


def test_what_arrives_for_a_deleted_run_is_kept_and_does_not_bring_it_back(trainer, store):
    uid = trainer.open("A")
    fold(store)
    store.delete_run("A")
    trainer.metrics(uid, {"loss": 1.0})
    trainer.end(uid)
    fold(store)
    assert _names(store) == []
    store.restore_run("A")
    run = store.run("A")
    assert (run.status, run.metrics) == ("FINISHED", {"loss": 1.0})


def test_a_child_that_comes_after_its_parent_was_deleted_is_deleted_and_restored_with_it(
    trainer, store
):
    uid = trainer.open("A")
    fold(store)
    store.delete_run("A")
    trainer.open("B", parent=uid)
    fold(store)
    assert _names(store) == []
    assert store.restore_run("A") == 2


def test_a_roll_up_counts_and_measures_the_children(trainer, folded):
    _grove(trainer)
    store = folded()
    a, b = store.run("A").run_id, store.run("B").run_id
    for number, value in enumerate([0.5, 0.75, math.nan, 1.0]):
        uid = trainer.open(f"T{number}", parent=a, kind="trial")
        trainer.metrics(uid, {"acc": 0.0, "loss": -value}, 0)
        trainer.metrics(uid, {"acc": value}, 1)
        trainer.end(uid, status="FAILED" if number else "FINISHED")
    trainer.metrics(b, {"acc": -1.0, "only": 2.0})
    found = folded().rollup("A", metrics=["acc", "only"])
    assert found.runs == 6
    assert found.status == {"RUNNING": 2, "FINISHED": 1, "FAILED": 3}
    assert found.kind == {"trial": 4, "fit": 2}
    acc, only = found.metrics["acc"], found.metrics["only"]
    assert (acc.n, acc.mean, acc.min, acc.max) == (4, 0.3125, -1.0, 1.0)
    assert acc.std == pytest.approx(statistics.stdev([0.5, 0.75, 1.0, -1.0]))
    assert (acc.min_run, acc.max_run) == (b, store.run("T3").run_id)
    assert (only.n, only.mean, only.std) == (1, 2.0, None)
    assert sorted(found.metrics) == ["acc", "only"]


def test_a_roll_up_of_all_reaches_every_depth_and_passes_over_deleted_runs(trainer, folded):
    _grove(trainer)
    store = folded()
    for name in "BCDE":
        trainer.metrics(store.run(name).run_id, {"acc": float(ord(name))})
    store = folded()
    store.delete_run("E")
    found = store.rollup("A", depth="all")
    assert (found.runs, found.kind) == (3, {"fit": 2, "candidate": 1})
    assert (found.metrics["acc"].n, found.metrics["acc"].max) == (3, float(ord("D")))
    assert store.rollup("A").runs == 2
    assert store.rollup("C").metrics == {}


def test_a_roll_up_takes_the_same_statements_for_any_number_of_children(trainer, folded):
    counts = []
    for number in (2, 700):
        parent = trainer.open(f"P{number}")
        for child in range(number):
            trainer.metrics(trainer.open(f"C{child}", parent=parent), {"acc": float(child)})
        store = folded()
        store.rollup(f"P{number}")  # brings the summaries up to date
        statements = []
        engine = store._database.engine
        with _listening(engine, statements):
            assert store.rollup(f"P{number}").metrics["acc"].max == number - 1
        counts.append(len(statements))
    assert counts[0] == counts[1]


@contextlib.contextmanager
def _listening(engine, statements):
    def note(connection, cursor, statement, *_):
        statements.append(statement)

    event.listen(engine, "before_cursor_execute", note)
    try:
        yield
    finally:
        event.remove(engine, "before_cursor_execute", note)


def test_a_listing_counts_the_children_that_are_there_now(trainer, store):
    uid = trainer.open("A")
    counts = []

    def count():
        fold(store)
        [run] = store.runs(roots_only=True).runs
        counts.append(run.children)

    count()
    trainer.open("B", parent=uid)
    count()
    trainer.open("C", parent=store.run("B").run_id)
    count()
    store.move_run("C", "A")
    count()
    store.delete_run("B")
    count()
    assert counts == [0, 1, 1, 2, 1]
