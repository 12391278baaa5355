"""Filters and orders as texts: what is read, how it is printed, and what errors say."""

from __future__ import annotations

import contextlib
import math

import pytest
from hypothesis import given
from hypothesis import strategies as st

from autolog.errors import QueryError, UsageError
from autolog.query.nodes import And, Between, Comparison, Field, In, IsNull, Not, Or, OrderKey
from autolog.query.parser import parse_filter, parse_order
from autolog.query.printer import print_filter, print_order
from tests.query.strategies import clauses, filters, orders

ACC = Field("metric", "acc")
ABOVE = Comparison(ACC, ">", 0.9)
ADAM = Comparison(Field("param", "opt"), "=", "adam")


@given(filters)
def test_a_printed_filter_reads_back_as_the_same_tree(node):
    assert parse_filter(print_filter(node)) == node


@given(orders)
def test_a_printed_order_reads_back_as_the_same_keys(order):
    assert parse_order([print_order(key) for key in order]) == order


@given(clauses(), st.text())
def test_any_key_survives_printing(clause, name):
    field = Field("tag", name, clause.field.relation)
    node = IsNull(field)
    assert parse_filter(print_filter(node)) == node


@given(st.text() | st.text("metrics.params'\"`<>=!()[] andornotin0123,%"))
def test_any_text_is_read_or_refused_with_a_query_error(text):
    with contextlib.suppress(QueryError):
        parse_filter(text)


@pytest.mark.parametrize(
    ("text", "node"),
    [
        (None, None),
        (" \n", None),
        ("metrics.acc > 0.9 and params.opt = 'adam'", And((ABOVE, ADAM))),
        ("METRICS.acc>.9 AND parameter.`opt`=\"adam\"", And((ABOVE, ADAM))),
        ("metric.acc > 9e-1 or not params.\"opt\" == 'adam'", Or((ABOVE, Not(ADAM)))),
        ("metrics.acc > 0.9 or metrics.acc > 0.9 and params.opt = 'adam'",
         Or((ABOVE, And((ABOVE, ADAM))))),
        ("(metrics.acc > 0.9 or params.opt = 'adam') and metrics.acc > 0.9",
         And((Or((ABOVE, ADAM)), ABOVE))),
        ("tags.x LIKE 'a%'", Comparison(Field("tag", "x"), "like", "a%")),
        ("tag.x not ilike 'it''s'", Comparison(Field("tag", "x"), "not ilike", "it's")),
        ("params.lr between 1e-4 and 1", Between(Field("param", "lr"), 0.0001, 1)),
        ("params.n not in (1, 'a', true)", In(Field("param", "n"), (1, "a", True), negated=True)),
        ("params.n is not null", IsNull(Field("param", "n"), negated=True)),
        ("params.n = null", IsNull(Field("param", "n"))),
        ("params.n <> null", IsNull(Field("param", "n"), negated=True)),
        ("attributes.status = 'LOST'", Comparison(Field("attribute", "status"), "=", "LOST")),
        ("run.`Run name` = 'a'", Comparison(Field("attribute", "name"), "=", "a")),
        ("created > 5", Comparison(Field("attribute", "start_time"), ">", 5)),
        ("metrics.val/loss < inf", Comparison(Field("metric", "val/loss"), "<", math.inf)),
        ("metrics.ndcg@3 < -1", Comparison(Field("metric", "ndcg@3"), "<", -1)),
        ("metrics.valid_0-auc<+1", Comparison(Field("metric", "valid_0-auc"), "<", 1)),
        ("tags.mlflow.source.name = 'x'", Comparison(Field("tag", "mlflow.source.name"), "=", "x")),
        ("min(metrics.loss) < 1", Comparison(Field("metric", "loss", part="min"), "<", 1)),
        ("LAST(metrics.acc) > 0.9", ABOVE),
        ("parent.params.lr = 1", Comparison(Field("param", "lr", "parent"), "=", 1)),
        ("root.name = 'a'", Comparison(Field("attribute", "name", "root"), "=", "a")),
        ("first(children.metrics.`a b`) < 1",
         Comparison(Field("metric", "a b", "children", "first"), "<", 1)),
        ("params.n = 1" + "0" * 2000, Comparison(Field("param", "n"), "=", math.inf)),
    ],
)  # fmt: skip
def test_a_filter_is_read(text, node):
    assert parse_filter(text) == node


def test_an_order_is_read():
    expected = (
        OrderKey(Field("metric", "val_acc"), descending=True),
        OrderKey(Field("param", "lr")),
        OrderKey(Field("attribute", "start_time")),
    )
    assert parse_order(["metrics.val_acc DESC", "params.lr", "start_time asc"]) == expected
    assert parse_order("metrics.val_acc desc, params.lr, created") == expected
    assert parse_order(None) == ()


@pytest.mark.parametrize(
    ("text", "mark", "says"),
    [
        ("metrics.acc >> 0.9", ">", "expected a value"),
        ("metrics.acc >", "", "ends too early: expected a value"),
        ("metrics.acc 0.9", "0.9", "expected an operator (=, !=, <"),
        ("(metrics.acc > 1", "", "expected ')'"),
        ("metrics.acc > 1)", ")", "unexpected ')'"),
        ("metrics.acc > 1 an params.x = 1", "an params", "'an': expected AND, OR or the end"),
        ("metrics.acc > 1 && params.x = 1", "&&", "unexpected '&&': expected AND, OR or the end"),
        ("tags.team = blue and depth = 0", "blue", "A text stands in quotes: 'blue'"),
        ("status = 'finished'", "'finished'", "one of RUNNING, FINISHED, FAILED, KILLED, LOST"),
        ("status in ('FAILED', 'DONE')", "'DONE'", "one of RUNNING, FINISHED"),
        ("metrcs.acc > 1", "metrcs", "Did you mean metrics"),
        ("statsu = 'FAILED'", "statsu", "Did you mean status?"),
        ("attributes.foo = 'a'", "foo", "Attributes: run_id, name, kind"),
        ("acc > 1", "acc", "metrics.acc"),
        ("metrics.acc > 'high'", "'high'", "number"),
        ("tags.stage = 1", "1", "in quotes"),
        ("dirty = 'yes'", "'yes'", "true or false"),
        ("start_time > 'yesterday'", "'yesterday'", "2026-01-31"),
        ("params.x < true", "true", "no order"),
        ("params.x like 3", "3", "pattern"),
        ("metrics.acc like 'a'", "'a'", "LIKE is for text"),
        ("params.x in (1, null)", "null", "IS NULL"),
        ("params.x between 1 and 'b'", "'b'", "two numbers or two texts"),
        ("mean(metrics.acc) > 1", "mean", "last, first, min, max"),
        ("min(params.x) > 1", "params.x", "min(metrics.loss)"),
        ("parent.parent.name = 'a'", "parent.name", "as far as"),
        ("params.x = 'open", "'open", "never closed"),
        ("params.`x = 3", ".`x", "never closed"),
        ("metrics.acc > 1; drop table run", "; drop", "unexpected ';'"),
    ],
)  # fmt: skip
def test_an_error_points_at_the_character_and_says_what_is_valid(text, mark, says):
    with pytest.raises(QueryError) as caught:
        parse_filter(text)
    problem, line, caret = str(caught.value).rsplit("\n", 2)
    assert says in problem
    assert line == f"  {text}"
    at = len(caret) - len("  ^")
    assert text[at:].startswith(mark)
    assert mark or at == len(text)


def test_the_line_of_a_long_filter_is_shown_around_the_place():
    text = "params.a = 1 and\ntags.x = '" + "y" * 300 + "' and bad = 1\nor params.b = 2"
    with pytest.raises(QueryError) as caught:
        parse_filter(text)
    _, line, caret = str(caught.value).rsplit("\n", 2)
    assert len(line) <= 102
    assert line[len(caret) - 1 :] == "bad = 1"


def test_an_order_that_cannot_be_read_points_too():
    with pytest.raises(
        QueryError, match=r"asc, desc or the end(.|\n)*metrics.a down\n            \^"
    ):
        parse_order(["metrics.a down"])
    with pytest.raises(QueryError, match="several children"):
        parse_order(["children.metrics.a"])
    with pytest.raises(QueryError, match="twice"):
        parse_order(["metrics.a", "metrics.a desc"])


@pytest.mark.parametrize(
    "text",
    ["not " * 60 + "metrics.a > 1", "(" * 2 + " or ".join(["metrics.a > 1"] * 300) + "))",
     f"params.a in ({', '.join(['1'] * 10_001)})"],
)  # fmt: skip
def test_a_filter_too_large_for_a_database_is_refused(text):
    with pytest.raises(QueryError, match="more than"):
        parse_filter(text)


@pytest.mark.parametrize("wrong", [3, b"metrics.a > 1", ["metrics.a > 1"]])
def test_what_is_no_text_is_refused(wrong):
    with pytest.raises(UsageError):
        parse_filter(wrong)
    with pytest.raises(UsageError):
        parse_order([wrong])


def test_a_lone_surrogate_is_read_as_it_is_recorded():
    assert parse_filter("tags.x = '\udcff'") == Comparison(Field("tag", "x"), "=", "\\udcff")
