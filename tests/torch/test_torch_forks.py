"""A forked child of a program that trains: what the parent records is the parent's to write."""

from __future__ import annotations

import gc
import os
import traceback

import pytest
import torch

import autolog

pytestmark = pytest.mark.skipif(not hasattr(os, "fork"), reason="a platform without fork")


def in_child(work):
    """Do something in a forked child; it must not raise."""
    pid = os.fork()
    if not pid:
        code = 1
        try:
            work()
            code = 0
        except BaseException:
            traceback.print_exc()
        finally:
            os._exit(code)
    assert os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1]) == 0


def test_a_child_that_drops_the_model_does_not_end_the_run(loops):
    kept = {"model": loops.net()}
    kept["optimizer"] = torch.optim.SGD(kept["model"].parameters(), 0.1)
    loops.step(kept["model"], kept["optimizer"])

    def drop():
        kept.clear()
        gc.collect()

    in_child(drop)
    assert loops.run().status == "RUNNING"
    loops.step(kept["model"], kept["optimizer"])
    assert len(loops.series()) == 2


def test_a_child_does_not_write_the_steps_that_the_parent_holds(loops):
    models = loops.net(), loops.net(width=5)
    optimizers = [torch.optim.SGD(one.parameters(), 0.1) for one in models]
    loops.step(models[0], optimizers[0])  # held: the other one may be its other half

    in_child(autolog.search_runs)
    assert len(loops.runs()) == 1
    assert loops.run().status == "RUNNING"


def test_what_a_child_trains_further_is_a_run_of_its_own(loops):
    model = loops.net()
    optimizer = torch.optim.SGD(model.parameters(), 0.1)
    loops.step(model, optimizer)

    in_child(lambda: loops.step(model, optimizer))
    loops.step(model, optimizer)
    runs = loops.runs()
    assert sorted(len(loops.series(run=run)) for run in runs) == [1, 2]
