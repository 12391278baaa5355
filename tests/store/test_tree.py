from __future__ import annotations

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


def test_a_circle_of_parents_ends(trainer, folded):
    trainer.open("A", uid="a" * 32, parent="b" * 32)
    trainer.open("B", uid="b" * 32, parent="a" * 32)
    assert folded().runs().runs


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
