"""`autolog.search_runs` in the program that records."""

from __future__ import annotations

import pytest

import autolog
from autolog.errors import QueryError, UsageError


@pytest.fixture(autouse=True)
def _recorded(recording):
    for number in range(3):
        with autolog.start_run(f"run-{number}", experiment="one" if number else "none"):
            autolog.log_params({"lr": 10.0**-number, "opt": "adam"})
            autolog.log_metric("val/acc", number / 2)


def test_what_was_just_logged_is_searched():
    found = autolog.search_runs(
        "metrics.val/acc >= 0.5 and (params.opt = 'sgd' or params.lr < 0.5)",
        order_by=["metrics.val/acc desc"],
        total=True,
    )
    assert [run.name for run in found] == ["run-2", "run-1"]
    assert (found.complete, found.total) == (True, 2)
    with autolog.start_run("run-3"):
        autolog.log_metric("val/acc", 9.0)
        assert autolog.search_runs("metrics.val/acc > 8")[0].status == "RUNNING"


def test_pages_follow_one_another():
    first = autolog.search_runs(order_by="params.lr", limit=2)
    second = autolog.search_runs(order_by="params.lr", limit=2, page_token=first.next)
    assert [run.name for run in [*first, *second]] == ["run-2", "run-1", "run-0"]
    assert second.complete
    assert len(autolog.search_runs(experiment="one", limit=None)) == 2


def test_a_wrong_filter_is_an_error_of_this_call():
    with pytest.raises(QueryError, match=r"metrics.val/acc >>"):
        autolog.search_runs("metrics.val/acc >> 1")


@pytest.mark.parametrize(
    ("argument", "hint"),
    [("filter_string", "filter="), ("max_results", "limit="), ("colour", "its arguments are")],
)
def test_an_argument_of_mlflow_is_answered_with_what_to_write(recording, argument, hint):
    with pytest.raises(UsageError, match=hint):
        autolog.search_runs(**{argument: "x"})
