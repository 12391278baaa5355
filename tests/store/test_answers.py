"""What answers look like where they are printed."""

from __future__ import annotations

import numpy as np
import pytest

import autolog
from autolog.store.answers import RunList
from autolog.store.points import History


def test_a_printed_answer_names_its_first_runs(recording):
    assert repr(RunList([])) == "<0 runs>"
    for number in range(6):
        autolog.start_run(f"run-{number}").end()
    found = autolog.search_runs(order_by="name")
    assert repr(found) == "<6 runs: run-0, run-1, run-2, run-3, run-4, ...>"
    assert repr(autolog.search_runs(order_by="name", limit=1)) == "<1 run, more follow: run-0>"


def test_a_printed_history_is_one_line(recording):
    with autolog.start_run() as run:
        for step in range(1000):
            run.log_metric("loss", 1 / (step + 1), step)
    history = autolog.metric_history(run, "loss")
    assert repr(history) == "<1000 points, steps 0 to 999, last value 0.001>"
    none = np.empty(0, np.int64)
    assert repr(History(none, none, none, none, none, none, ())) == "<no points>"


@pytest.mark.parametrize("steps", [range(3, 6), "x", slice(2, 5), (1,)])
def test_steps_that_are_no_pair_are_refused(recording, steps):
    with autolog.start_run() as run:
        run.log_metric("loss", 1.0)
    with pytest.raises(autolog.UsageError, match="the first and the last step"):
        autolog.metric_history(run, "loss", steps=steps)


@pytest.mark.parametrize("limit", [0, -1, "5", 2.5])
def test_a_limit_that_is_no_number_of_runs_is_refused(recording, limit):
    with pytest.raises(autolog.UsageError, match="at least 1"):
        autolog.search_runs(limit=limit)
