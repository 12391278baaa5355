from __future__ import annotations

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
