from __future__ import annotations

import math
from contextlib import contextmanager

import pytest
from sqlalchemy import event

from autolog.errors import NotFoundError, UsageError
from autolog.store import open_store
from autolog.store.fold import fold
from autolog.store.sql.schema import metadata


@contextmanager
def counted(store):
    statements = []

    def note(connection, cursor, statement, *rest):
        statements.append(statement)

    event.listen(store._database.engine, "before_cursor_execute", note)
    yield statements
    event.remove(store._database.engine, "before_cursor_execute", note)


def _many(trainer, count, **fields):
    uids = []
    for number in range(count):
        uid = trainer.open(f"SVC-{number:04}", **fields)
        trainer.params(uid, number=number, kernel="rbf")
        trainer.tags(uid, stage="test")
        trainer.metrics(uid, {"loss": float(number), "acc": 0.5})
        uids.append(uid)
    return uids


def test_runs_are_listed_newest_first_in_pages(trainer, folded):
    uids = _many(trainer, 25)
    store = folded()
    seen, token, pages = [], None, 0
    while True:
        page = store.runs(limit=10, after=token)
        seen += [run.run_id for run in page.runs]
        pages += 1
        assert page.complete == (page.next is None)
        if page.complete:
            break
        token = page.next
    assert pages == 3
    assert seen == uids[::-1]


def test_runs_that_start_in_the_same_microsecond_are_paged_without_loss(trainer, folded):
    uids = {trainer.open(f"SVC-{n}", start_us=1_000_000) for n in range(7)}
    store = folded()
    first = store.runs(limit=3)
    second = store.runs(limit=3, after=first.next)
    third = store.runs(limit=3, after=second.next)
    assert {run.run_id for page in (first, second, third) for run in page.runs} == uids


def test_filters_narrow_the_list(trainer, folded):
    one = trainer.open("SVC-aaaa", experiment="a")
    two = trainer.open("SVC-bbbb", experiment="b", kind="search")
    child = trainer.open("SVC-cccc", experiment="b", parent=two)
    trainer.end(one)
    store = folded()

    def found(**filters):
        return {run.run_id for run in store.runs(**filters).runs}

    assert found(experiment="b") == {two, child}
    assert found(experiment="none") == set()
    assert found(status="FINISHED") == {one}
    assert found(kind="search") == {two}
    assert found(parent=two) == {child}
    assert found(roots_only=True) == {one, two}
    assert found(experiment="b", roots_only=True) == {two}


@pytest.mark.parametrize("wrong", [{"limit": 0}, {"after": "x"}])
def test_a_senseless_page_is_refused(store, wrong):
    with pytest.raises(UsageError):
        store.runs(**wrong)


def test_a_page_takes_the_same_number_of_statements_for_10_and_for_100_runs(trainer, folded):
    _many(trainer, 150)
    store = folded()
    with counted(store) as ten:
        store.runs(limit=10)
    with counted(store) as hundred:
        store.runs(limit=100)
    assert len(hundred) == len(ten)
    with counted(store) as again:
        assert len(store.runs(limit=100).runs) == 100
    assert [s for s in again if not s.startswith("BEGIN")] == [again[-1]]


def test_a_page_reads_no_history(trainer, folded):
    _many(trainer, 3)
    store = folded()
    store.runs()
    with counted(store) as statements:
        store.runs()
    assert not [s for s in statements if "tail" in s.replace("tail_no", "")]


def test_a_listing_shows_what_was_logged_since_the_last_one(trainer, folded):
    uid = trainer.open()
    trainer.metrics(uid, {"loss": 1.0}, 1)
    assert folded().run(uid).metrics == {"loss": 1.0}
    trainer.metrics(uid, {"loss": 0.5, "acc": 0.9}, 2)
    trainer.params(uid, late=1)
    run = folded().run(uid)
    assert (run.metrics, run.params) == ({"acc": 0.9, "loss": 0.5}, {"late": 1})


def test_experiments_are_listed_with_their_number_of_runs(trainer, folded):
    for name in ("b", "a/x", "b"):
        trainer.open(experiment=name)
    assert [(e.name, e.runs) for e in folded().experiments()] == [("a/x", 1), ("b", 2)]


def test_a_run_is_found_by_id_uuid_prefix_and_name(trainer, folded):
    uid = trainer.open("SVC-k3fa", uid="01a20aeab8657150ab82a38d7faf188e")
    store = folded()
    for ref in (uid, "01a2", "01A20AEA", "01a20aea-b865-7150-ab82-a38d7faf188e", "SVC-k3fa"):
        assert store.run(ref).run_id == uid


def test_an_ambiguous_reference_lists_the_candidates(trainer, folded):
    a = trainer.open("SVC-k3fa", uid="01a2" + "0" * 28)
    b = trainer.open("SVC-k3fa", uid="01a2" + "1" * 28)
    store = folded()
    for ref in ("01a2", "SVC-k3fa"):
        with pytest.raises(NotFoundError, match="several runs") as caught:
            store.run(ref)
        assert a in str(caught.value)
        assert b in str(caught.value)
    assert store.run(a).run_id == a


def test_a_name_that_looks_like_a_prefix_wins_over_ids(trainer, folded):
    trainer.open("SVC-aaaa", uid="beef" + "0" * 28)
    named = trainer.open("beef", uid="01a2" + "0" * 28)
    assert folded().run("beef").run_id == named


def test_an_unknown_reference_is_answered_with_near_names(trainer, folded):
    trainer.open("RandomForestClassifier-k3fa")
    store = folded()
    with pytest.raises(NotFoundError, match="RandomForestClassifier-k3fa"):
        store.run("RandomForestClasifier-k3fa")
    with pytest.raises(NotFoundError, match="no run '01a'"):
        store.run("01a")


def test_an_empty_store_says_so(store):
    with pytest.raises(NotFoundError, match="empty"):
        store.run("SVC-aaaa")


def _series(store):
    with store._database.read() as connection:
        rows = connection.execute(metadata.tables["series"].select()).mappings().all()
    return [dict(row) for row in rows]


def test_a_summary_is_the_same_however_the_points_were_batched(location, trainer, store):
    uid = trainer.open()
    other = open_store(location, write=False)
    for step, value in [(3, 1.0), (1, math.nan), (2, -5.0), (3, 7.0), (0, math.inf)]:
        trainer.metrics(uid, {"m": value}, step)
        fold(store)
        store.runs()
    fold(other)
    other.runs()
    [one], [two] = _series(store), _series(other)
    assert one == two
    assert (one["n"], one["nan_count"]) == (5, 1)
    assert (one["first_step"], one["first_value"]) == (0, math.inf)
    assert (one["last_step"], one["last_value"]) == (3, 7.0)
    assert (one["min_value"], one["max_value"], one["sum_value"]) == (-5.0, math.inf, math.inf)
    other.close()


def test_the_newest_attempt_and_an_unranked_context_are_shown(trainer, folded):
    uid = trainer.open()
    trainer.metrics(uid, {"m": 1.0}, 5, attempt=1)
    trainer.metrics(uid, {"m": 2.0}, 9)
    trainer.metrics(uid, {"m": 3.0}, 9, attempt=1, rank=3)
    assert folded().run(uid).metrics == {"m": 1.0}
    trainer.metrics(uid, {"m": 4.0}, 1, attempt=1, phase="post")
    assert folded().run(uid).metrics == {"m": 4.0}
