"""Searches over SQL answer what the definition in `autolog.query.evaluate` says, page by page."""

from __future__ import annotations

import base64
import json
import math

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from sqlalchemy import update

from autolog.errors import UsageError
from autolog.query.evaluate import Collection
from autolog.query.printer import print_filter, print_order
from autolog.store import open_store
from autolog.store.fold import fold
from autolog.store.location import locate, prepare
from autolog.store.sql.schema import metadata
from tests.query import population
from tests.query.strategies import filters, orders
from tests.store.test_listing import counted
from tests.store.training import Trainer

FIRST, SECOND, THIRD = population.RUN_IDS[:3]


def pages(store, limit, **wanted):
    """Return the ids on every page of a search."""
    found, token = [], None
    while True:
        page = store.search(limit=limit, page_token=token, **wanted)
        found.append([run.run_id for run in page])
        assert page.complete == (page.next is None)
        token = page.next
        if token is None:
            return found


def ids(store, text=None, **wanted):
    return [run.run_id for run in store.search(text, limit=None, **wanted)]


@pytest.mark.parametrize("seed", [1, 2])
def test_every_filter_and_order_finds_what_the_definition_finds(trainer, folded, seed):
    history = population.populate(trainer, seed)
    store = folded()
    collection = Collection(store.search(limit=None), population.summary(history))

    @settings(max_examples=30, deadline=None)
    @given(st.none() | filters, orders, st.sampled_from([2, 9, 1000]))
    def check(node, order, limit):
        wanted = [run.run_id for run in collection.search(node, order)]
        limit = limit if len(wanted) < 12 else max(limit, 9)
        texts = {"filter": print_filter(node), "order_by": [print_order(key) for key in order]}
        found = pages(store, limit, **texts)
        assert [uid for page in found for uid in page] == wanted
        assert all(len(page) <= limit for page in found)
        assert [len(page) for page in found[:-1]] == [limit] * (len(found) - 1)
        everything = store.search(limit=None, total=True, **texts)
        assert [run.run_id for run in everything] == wanted
        assert everything.total == len(wanted)

    check()


@pytest.fixture(scope="module", params=["sqlite", "postgresql"])
def many(request, tmp_path_factory):
    """A store of 300 runs whose metric `m` falls, and whose metric `rare` the last ones have.

    Tests read it only: to make it takes longer than to search it.
    """
    folder = tmp_path_factory.mktemp("many")
    with pytest.MonkeyPatch.context() as environment:
        environment.setenv("AUTOLOG_STRICT", "1")
        environment.setenv("XDG_DATA_HOME", str(folder))
        if request.param == "sqlite":
            location = locate(folder / ".autolog")
        else:
            server, migrated = map(request.getfixturevalue, ("postgres", "migrated"))
            location = locate(server.create(migrated))
        prepare(location)
        trainer = Trainer(location)
        for number in range(300):
            uid = trainer.open(f"SVC-{number}", start_us=number, experiment=f"exp{number % 3}")
            trainer.metrics(uid, {"m": -float(number), "n": float(number % 7)})
            trainer.params(uid, number=number, half="ab"[number % 2])
            if number >= 290:
                trainer.metrics(uid, {"rare": 1.0})
        store = open_store(location)
        fold(store)
        store.search(limit=None)
    yield store
    trainer.close()
    store.close()


@pytest.mark.parametrize(
    ("text", "order_by"),
    [
        (None, []),
        ("metrics.n > 2", ["metrics.m desc"]),
        ("metrics.n > 5", ["metrics.m desc"]),
        ("params.number = 3", ["metrics.m desc"]),
        ("params.number > 100", ["metrics.m desc"]),  # no run where the walk begins
        ("metrics.n >= 0", ["metrics.rare desc"]),  # most runs have not what is sorted by
        ("metrics.n >= 0 or params.half = 'a'", ["params.number", "metrics.m"]),
        ("children.metrics.m > 0 or name like 'SVC%'", ["tags.x", "params.half desc"]),
        ("metrics.m < -100 and metrics.n >= 0", ["metrics.m desc"]),
        (None, ["start_time"]),
        ("status != 'FAILED'", ["duration", "metrics.m"]),
    ],
)
def test_a_page_takes_at_most_six_statements(many, text, order_by):
    token = None
    for limit in (5, 50):
        with counted(many) as statements:
            page = many.search(text, order_by=order_by, limit=limit, page_token=token)
        assert len([one for one in statements if not one.startswith(("BEGIN", "SELECT pg"))]) <= 6
        assert len(page) == limit or page.complete


@pytest.mark.parametrize("limit", [3, 40])
@pytest.mark.parametrize(
    "text",
    ["params.number > 100", "metrics.n > 5", "metrics.rare = 1", "metrics.m between -200 and -100"],
)
def test_the_plan_does_not_show_in_the_answer(many, text, limit):
    expected = ids(many, text, order_by=["metrics.m desc"])
    found = pages(many, limit, filter=text, order_by=["metrics.m desc"])
    assert [uid for page in found for uid in page] == expected
    assert expected == sorted(expected, key=ids(many, order_by=["metrics.m desc"]).index)


def test_experiments_narrow_a_search(many):
    names = {run.experiment for run in many.search("metrics.n > 3", experiment="exp1", limit=None)}
    assert names == {"exp1"}
    both = many.search(experiment=["exp1", "exp2"], order_by=["metrics.m"], limit=None)
    assert {run.experiment for run in both} == {"exp1", "exp2"}
    assert len(both) == 200
    assert len(many.search(experiment="none")) == 0
    assert len(many.search(experiment=[])) == 0


def test_a_run_whose_beginning_is_missing_is_found_in_the_experiment_it_is_shown_under(
    trainer, folded
):
    trainer.metrics(FIRST, {"m": 1.0})
    store = folded()
    [run] = store.search("metrics.m = 1", experiment="Default")
    assert (run.run_id, run.experiment) == (FIRST, "Default")
    assert ids(store, "experiment = 'Default'") == [FIRST]


def test_the_answer_says_whether_more_follow_and_how_many_there_are(many):
    page = many.search("metrics.n < 3", limit=10)
    assert (len(page), page.complete, page.total) == (10, False, None)
    page = many.search("metrics.n < 3", limit=10, total=True)
    assert page.total == len(many.search("metrics.n < 3", limit=None)) == 129
    exact = many.search("metrics.rare = 1", limit=10)
    assert (len(exact), exact.complete) == (10, True)


def test_points_logged_after_a_search_are_found_by_the_next(trainer, folded):
    uid = trainer.open()
    trainer.metrics(uid, {"m": 1.0}, 1)
    assert ids(folded(), "metrics.m = 1") == [uid]
    trainer.metrics(uid, {"m": 2.0}, 2)
    child = trainer.open("child", parent=uid, experiment="other")
    trainer.metrics(child, {"score": 0.5})
    store = folded()
    assert ids(store, "children.metrics.score > 0.1", experiment="exp") == [uid]
    assert ids(store, "metrics.m = 1") == []


def test_a_deleted_run_is_left_out_unless_asked_for(trainer, folded):
    parent = trainer.open("parent")
    child = trainer.open("child", parent=parent)
    store = folded()
    table = metadata.tables["run"]
    with store._database.write() as connection:
        deleted = update(table).where(table.c.uid == parent).values(lifecycle="deleted")
        connection.execute(deleted)
    assert ids(store) == [child]
    assert ids(store, "parent.name = 'parent'") == []
    assert set(ids(store, deleted=True)) == {parent, child}
    assert ids(store, "parent.name = 'parent'", deleted=True) == [child]
    assert store.search(total=True).total == 1


def test_nan_matches_nothing_but_unequal_and_sorts_behind_values(trainer, folded):
    for uid, value in ((FIRST, math.nan), (SECOND, 1.0)):
        trainer.open(uid=uid)
        trainer.metrics(uid, {"m": value})
        trainer.params(uid, p=value)
    trainer.open(uid=THIRD)
    store = folded()
    for field in ("metrics.m", "params.p"):
        assert ids(store, f"{field} < 5 or {field} >= 5 or {field} between 0 and 2") == [SECOND]
        assert set(ids(store, f"{field} != 7")) == {FIRST, SECOND}
        assert ids(store, f"{field} is null") == [THIRD]
        for direction in ("asc", "desc"):
            assert ids(store, order_by=[f"{field} {direction}"]) == [SECOND, FIRST, THIRD]


@pytest.mark.parametrize(
    "text",
    ["nul\0byte", "\0", "a%", "_", "'; DROP TABLE run; --", "\\", '"', "x" * 5000, "\uf8e00"],
)
def test_awkward_texts_are_found_by_value_and_by_key(trainer, folded, text):
    other = trainer.open("other")
    uid = trainer.open("wanted")
    for run, value in ((other, "x"), (uid, text)):
        trainer.params(run, p=value)
        trainer.tags(run, t=value)
    trainer.tags(uid, **{text: "here"})
    store = folded()
    quoted = "'" + text.replace("'", "''") + "'"
    for clause in (f"params.p = {quoted}", f"tags.t in ({quoted}, 'y')", f"params.p like {quoted}"):
        assert uid in ids(store, clause)
    assert ids(store, f"tags.`{text}` = 'here'") == [uid]
    assert ids(store, f"tags.`{text}` = {quoted}") == []


def test_case_counts_for_like_and_not_for_ilike(trainer, folded):
    texts = ["ADAM", "adam", "GRÖSSE", "größe", "grösse", "a\\b", "a%b"]
    uids = {text: trainer.open(text) for text in texts}
    store = folded()

    def found(pattern):
        return {run.name for run in store.search(f"name {pattern}", limit=None)}

    assert set(uids) == found("like '%'")
    assert found("like 'ad%'") == {"adam"}
    assert found("ilike 'AD_M'") == {"ADAM", "adam"}
    assert found("ilike 'gröss_'") == {"GRÖSSE", "grösse"}
    assert found("like 'a\\%'") == {"a\\b"}
    assert found("not ilike '%a%'") == {"GRÖSSE", "größe", "grösse"}


def test_times_compare_with_milliseconds_and_dates(trainer, folded):
    uid = trainer.open(start_us=1_700_000_000_123_999)
    trainer.end(uid, end_us=1_700_000_002_623_000)
    store = folded()
    for text in (
        "start_time = 1700000000123",
        "attributes.created > 1700000000122.5 and start_time < 1700000000123.5",
        "start_time between '2023-11-14T22:13:20Z' and '2023-11-14T23:13:21+01:00'",
        "start_time in ('2023-11-14T22:13:20.123', 5)",
        "duration = 2.5",
    ):
        assert ids(store, text) == [uid], text


@pytest.mark.parametrize("wrong", ["x", "", "AAAA", "é", base64.urlsafe_b64encode(b"[1]").decode()])
def test_what_is_no_page_token_is_refused(store, wrong):
    with pytest.raises(UsageError, match="no page token"):
        store.search(page_token=wrong)


def test_a_page_token_belongs_to_its_search(many):
    token = many.search("metrics.n > 1", order_by=["metrics.m"], limit=2).next
    for other in ({"filter": "metrics.n > 2"}, {"order_by": ["metrics.n"]}, {"experiment": "exp1"}):
        wanted = {"filter": "metrics.n > 1", "order_by": ["metrics.m"], **other}
        with pytest.raises(UsageError, match="another search"):
            many.search(**wanted, page_token=token)
    # The same search in other words, and another length of its page.
    assert many.search("(metrics.n>1) ", order_by="metrics.m asc", limit=5, page_token=token)


def test_a_forged_position_is_refused(many):
    token = many.search(order_by=["metrics.m"], limit=2).next
    form, digest, position = json.loads(base64.urlsafe_b64decode(token + "=="))
    for forged in ([*position, 1], position[:-1], ["x", *position[1:]], [2**70, *position[1:]]):
        text = base64.urlsafe_b64encode(json.dumps([form, digest, forged]).encode()).decode()
        with pytest.raises(UsageError, match="no page token"):
            many.search(order_by=["metrics.m"], page_token=text)


@pytest.mark.parametrize("limit", [0, -1])
def test_a_page_without_runs_is_refused(store, limit):
    with pytest.raises(UsageError, match="limit"):
        store.search(limit=limit)


def test_a_large_filter_runs(many):
    numbers = ", ".join(str(number) for number in range(5000))
    assert len(many.search(f"params.number in ({numbers})", limit=None)) == 300
    texts = ", ".join(f"'{number}'" for number in range(0, 5000, 2))
    assert len(many.search(f"params.number in ({texts})", limit=None)) == 150
    clauses = " or ".join(f"(params.number = {n} and metrics.n >= 0)" for n in range(0, 200, 2))
    assert len(many.search(clauses, limit=None)) == 100
