"""`torch.multiprocessing` and `init_process_group`: ranks that no launcher made."""

from __future__ import annotations

import sys

import pytest

import autolog

TRAIN = """
import json, os, sys
import torch
import torch.distributed as dist
import torch.multiprocessing as mp
from sklearn.naive_bayes import GaussianNB
import autolog

torch.set_num_threads(1)


def fit():
    GaussianNB().fit([[0.0], [1.0], [2.0]], [0, 1, 1])


def work(rank, size):
    from autolog.tracking import recorder

    if rank == 1:
        fit()  # nobody can know yet that this process will be a rank
    os.environ["MASTER_ADDR"], os.environ["MASTER_PORT"] = "localhost", sys.argv[1]
    dist.init_process_group("gloo", rank=rank, world_size=size)
    dist.barrier()
    fit()
    with autolog.start_run("group") as run:
        run.log_metric("loss", float(rank))
    dist.destroy_process_group()


if __name__ == "__main__":
    autolog.autolog("sklearn")
    mp.start_processes(work, args=(2,), nprocs=2, start_method="fork")
"""


@pytest.fixture(scope="module")
def spawned(launch, free_port):
    done = launch([sys.executable], TRAIN.replace("sys.argv[1]", repr(str(free_port))))
    assert done.code == 0, done.err
    return done


@pytest.fixture(scope="module")
def free_port():
    import socket

    with socket.socket() as found:
        found.bind(("localhost", 0))
        return found.getsockname()[1]


@pytest.mark.edge_case("EC-T5")
def test_rank_0_of_an_initialised_group_owns_the_runs(spawned):
    runs = spawned.recording.runs()
    assert [(run.kind, run.status) for run in runs] == [("fit", "FINISHED"), ("run", "FINISHED")]
    assert (runs[1].name, runs[1].metrics) == ("group", {"loss": 0.0})


def test_what_a_rank_has_logged_is_in_the_groups_run(spawned, monkeypatch):
    monkeypatch.setenv("AUTOLOG_STORE", str(spawned.recording.folder))
    history = autolog.metric_history("group", "loss", context={"rank": 1})
    assert history.value.tolist() == [1.0]


def test_what_a_rank_trained_before_the_group_was_there_is_no_run_of_its_own(spawned):
    first = spawned.recording.runs()[0]
    [told] = spawned.recording.events("absorbed", first)
    assert (told["kind"], told["why"]) == ("fit", f"rank 1 of the group of {first.name}")
