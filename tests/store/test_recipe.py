from __future__ import annotations

import math

import msgspec
import pytest

from autolog.errors import NotFoundError
from autolog.journal import records
from autolog.store import open_store
from autolog.store.fold import fold
from autolog.store.recipe import Ingredients, digest, is_seed
from autolog.store.sql.schema import metadata
from tests.store.training import Trainer

BASE = Ingredients(
    kind="fit",
    subject="SVC",
    commit="c" * 40,
    dirty=True,
    entry="e" * 64,
    modules={"model.py": "m" * 64},
    versions={"scikit-learn": "1.5.0"},
    params={"C": 1.0, "kernel": "rbf", "grid": {"gamma": [1, 2]}},
    inputs=[("train", "d1"), ("test", "d2")],
)


def _changed(**fields):
    return digest(msgspec.structs.replace(BASE, **fields))


@pytest.mark.parametrize(
    "fields",
    [
        {"kind": "run"},
        {"subject": "NuSVC"},
        {"commit": "b" * 40},
        {"commit": None},
        {"entry": "f" * 64},
        {"modules": {"model.py": "n" * 64}},
        {"versions": {"scikit-learn": "1.5.1"}},
        {"params": BASE.params | {"C": 2.0}},
        {"params": BASE.params | {"new": None}},
        {"params": BASE.params | {"grid": {"gamma": [1, 3]}}},
        {"params": BASE.params | {"C": math.nan}},
        {"inputs": [("train", "d1")]},
        {"inputs": [("train", "d2"), ("test", "d1")]},
    ],
    ids=str,
)
def test_what_a_run_is_made_of_changes_its_recipe(fields):
    assert _changed(**fields) != digest(BASE)


@pytest.mark.parametrize(
    "fields",
    [
        {"params": dict(reversed(BASE.params.items()))},
        {"params": BASE.params | {"C": 1}},
        {"params": BASE.params | {"seed": 3, "model.random_state": None, "fit__np_seed": 1}},
        {"params": BASE.params | {"grid": {"gamma": [1, 2], "random_state": 7}}},
        {"inputs": [("test", "d2"), ("train", "d1"), ("train", "d1")]},
    ],
    ids=str,
)
def test_order_seeds_and_types_of_numbers_do_not_change_it(fields):
    assert _changed(**fields) == digest(BASE)


def test_temporary_folders_are_alike_and_others_are_not(tmp_path):
    paths = ["/tmp/a/x", "/tmp/b", "/var/tmp/z", str(tmp_path)]
    assert len({_changed(params={"out": path}) for path in paths}) == 1
    assert _changed(params={"out": "/data/a"}) != _changed(params={"out": "/data/b"})
    assert _changed(params={"out": "/tmpfiles/a"}) != _changed(params={"out": "/tmpfiles/b"})


def test_modules_count_only_where_the_commit_does_not_hold_them():
    clean = _changed(dirty=False)
    assert clean == _changed(dirty=False, modules={"model.py": "n" * 64})
    assert clean == _changed(dirty=None, modules={})  # what a killed process leaves behind


SEEDS = [
    "seed", "SEED", "seeds", "random_state", "clf__random_state", "data.seed", "np_seed",
    "seed_everything", "randomSeed", "randomState", "model/rng", "seed_2",
]  # fmt: skip


@pytest.mark.parametrize("name", SEEDS)
def test_seeds_are_known_by_their_names(name):
    assert is_seed(name)


@pytest.mark.parametrize("name", ["seeding", "seed_ratio", "reseed", "state", "string", "random"])
def test_other_names_are_no_seeds(name):
    assert not is_seed(name)


def _run(trainer, seed, lr=0.1, acc=0.5, status="FINISHED", **tags):
    uid = trainer.open(kind="run")
    trainer.params(uid, lr=lr, seed=seed)
    trainer.append(records.Input, uid, role="train", name="X", profile={"shape": [10, 2]})
    trainer.tags(uid, **tags)
    trainer.metrics(uid, {"acc": acc})
    if status:
        trainer.end(uid, status)
    return uid


def _recipes(store, *uids):
    return [store.run(uid).recipe for uid in uids]


def test_runs_that_differ_in_the_seed_alone_have_the_same_recipe(trainer, folded):
    uids = [_run(trainer, 0), _run(trainer, 1, note="x"), _run(trainer, 1, lr=0.2)]
    first, second, third = _recipes(folded(), *uids)
    assert first == second != third
    assert len(first) == 64


def test_another_host_process_and_time_make_the_same_recipe(location, store):
    uids = []
    for number in range(2):
        trainer = Trainer(location)
        process = records.Process(
            user=f"user{number}", source=f"/home/{number}/train.py", cwd=f"/home/{number}",
            argv=[f"train.py --out {number}"], commit="c" * 40, packages={"torch": "2.1"},
            details={"entry": {"sha256": "e" * 64, "path": f"/home/{number}/train.py"}},
        )  # fmt: skip
        trainer.writer.append(process)
        uids.append(_run(trainer, number))
    fold(store)
    assert len(set(_recipes(store, *uids))) == 1


@pytest.mark.parametrize(
    "late",
    [
        records.Params(run=1, values={"late": 1}),
        records.Input(run=1, role="test", name="Y", profile={}),
        records.Tags(run=1, values={"estimator": "SVC"}),
        records.Process(dirty=True, details={"modules": {"a.py": "0" * 64}}),
    ],
    ids=lambda record: type(record).__name__,
)
def test_a_recipe_is_computed_anew_when_an_ingredient_comes_later(trainer, store, late):
    trainer.writer.append(records.Process(commit="c" * 40))
    uid = _run(trainer, 0, status=None)
    fold(store)
    [before] = _recipes(store, uid)
    if getattr(late, "run", None) is not None:
        late = msgspec.structs.replace(late, run=trainer.writer.run(uid))
    trainer.writer.append(late)
    fold(store)
    assert _recipes(store, uid) != [before]


def test_the_runs_of_a_recipe_are_found_with_the_spread_of_their_metrics(trainer, folded):
    uids = [_run(trainer, seed, acc=acc) for seed, acc in enumerate([0.5, 0.75, 1.0])]
    killed = _run(trainer, 9, acc=-1.0, status="KILLED")
    other = _run(trainer, 0, lr=0.2, acc=2.0)
    store = folded()
    same = store.same(uids[0])
    assert [run.run_id for run in same.runs] == [killed, *reversed(uids)]
    acc = same.metrics["acc"]  # of the finished ones
    assert (acc.n, acc.mean, acc.std, acc.min, acc.max) == (3, 0.75, 0.25, 0.5, 1.0)
    assert (acc.min_run, acc.max_run) == (uids[0], uids[2])
    assert same.seeds == {"seed": [0, 1, 2, 9]}
    assert [run.run_id for run in store.same(other).runs] == [other]


def test_deleted_runs_are_not_among_the_same(trainer, folded):
    uids = [_run(trainer, seed) for seed in range(3)]
    store = folded()
    store.delete_run(uids[1])
    same = store.same(uids[0])
    assert len(same.runs) == same.metrics["acc"].n == 2


def test_a_run_of_which_only_points_came_has_no_recipe(trainer, folded):
    trainer.metrics("a" * 32, {"acc": 1.0})
    with pytest.raises(NotFoundError, match="has no recipe"):
        folded().same("a" * 32)


def test_every_run_of_a_store_is_looked_at_however_many_there_are(trainer, store, monkeypatch):
    monkeypatch.setattr("autolog.store.sql.store._PIECE", 3)
    uids = [_run(trainer, seed) for seed in range(10)]
    fold(store)
    assert len(store.same(uids[0]).runs) == 10


def test_a_store_that_may_not_be_written_answers_too(embedded):
    made = Trainer(embedded)
    uid = _run(made, 0)
    made.close()
    store = open_store(embedded, create=True)
    fold(store)
    store.close()
    store = open_store(embedded, write=False)
    try:
        assert [run.run_id for run in store.same(uid).runs] == [uid]
    finally:
        store.close()


def test_recipes_of_runs_are_kept_in_an_indexed_column(trainer, folded):
    uid = _run(trainer, 0)
    store = folded()
    store.same(uid)
    run = metadata.tables["run"]
    with store._database.read() as connection:
        kept = connection.execute(run.select().where(run.c.recipe.is_not(None))).one()
    assert kept.recipe == store.run(uid).recipe
