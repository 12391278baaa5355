"""Who is a rank, and of which group."""

from __future__ import annotations

import json
import os
import subprocess
import sys

import pytest

import autolog
from autolog.tracking import opening, ranks
from autolog.tracking.ranks import Rank, from_environment

TORCHRUN = {"TORCHELASTIC_RUN_ID": "none", "RANK": "1", "WORLD_SIZE": "4", "LOCAL_RANK": "1"}


@pytest.mark.parametrize(
    ("environment", "expected"),
    [
        ({}, None),
        (TORCHRUN, Rank(1, 4)),
        ({**TORCHRUN, "RANK": "0"}, Rank(0, 4)),
        ({**TORCHRUN, "WORLD_SIZE": "1", "RANK": "0"}, None),
        ({**TORCHRUN, "RANK": "7"}, None),
        ({**TORCHRUN, "RANK": "first"}, None),
        ({"TORCHELASTIC_RUN_ID": "none"}, None),
        ({"RANK": "1", "WORLD_SIZE": "4", "LOCAL_RANK": "1"}, None),
        ({"SLURM_PROCID": "3", "SLURM_NTASKS": "4"}, None),
        ({"OMPI_COMM_WORLD_RANK": "3", "OMPI_COMM_WORLD_SIZE": "4"}, None),
    ],
)
def test_a_rank_is_one_that_torchrun_made(environment, expected):
    assert from_environment(environment) == expected


INDEPENDENT = """
import autolog, sys
with autolog.start_run() as run:
    run.log_metric("loss", float(sys.argv[1]))
"""


@pytest.mark.edge_case("EC-T5")
def test_processes_of_a_cluster_without_a_group_have_a_run_each(recording):
    of_cluster = {"SLURM_JOB_ID": "17", "SLURM_NTASKS": "4", "OMPI_COMM_WORLD_SIZE": "4"}
    started = [
        subprocess.Popen(
            [sys.executable, "-c", INDEPENDENT, number],
            env={
                **os.environ,
                **of_cluster,
                "SLURM_PROCID": number,
                "OMPI_COMM_WORLD_RANK": number,
                "RANK": number,
                "WORLD_SIZE": "4",
            },
        )
        for number in "0123"
    ]
    assert [process.wait(60) for process in started] == [0] * 4
    assert sorted(run.metrics["loss"] for run in recording.runs()) == [0.0, 1.0, 2.0, 3.0]


KEYS = """
import json, sys
from autolog.tracking import ranks
print(json.dumps(ranks.group_key()))
"""


def key(*shell: str, **environment: str) -> str:
    """The group's key as a process with these variables finds it, perhaps below a shell."""
    done = subprocess.run(
        [*shell, sys.executable, "-c", KEYS],
        env={**os.environ, **environment},
        capture_output=True,
        check=True,
        timeout=60,
    )
    return json.loads(done.stdout)


def test_ranks_of_one_launch_have_one_key_and_other_launches_have_others():
    here = {**TORCHRUN, "MASTER_ADDR": "127.0.0.1", "MASTER_PORT": "29500"}
    mine = key(**here)
    assert key(**{**here, "RANK": "0"}) == mine
    assert key(**here, TORCHELASTIC_RESTART_COUNT="1") != mine
    # A worker may be a shell that starts the program: its agent stands above it.
    assert key("sh", "-c", '"$0" "$@"; exit', **here) == mine
    # This shell is no worker: it stands for an agent of another launch.
    another = [f"{name}={text}" for name, text in here.items()]
    assert key("sh", "-c", 'env "$@"; exit', "sh", *another) != mine


def test_ranks_on_several_hosts_have_the_key_that_their_launcher_was_given():
    far = {**TORCHRUN, "GROUP_WORLD_SIZE": "2", "MASTER_ADDR": "node1", "MASTER_PORT": "29500"}
    assert key(**far) == "torchrun:none:node1:29500:0"
    assert key(**far, SLURM_JOB_ID="17") == "torchrun:none:node1:29500:0:17"


@pytest.fixture
def told(monkeypatch):
    """Say what a framework says of this process's rank; taken back at the end."""
    monkeypatch.setattr(ranks, "_launched", None)
    yield ranks.tell
    ranks.tell(0, 1)


def test_a_handle_that_nothing_is_logged_to_leaves_nothing(recording, told):
    told(1, 2)
    with autolog.start_run("quiet") as run:
        assert autolog.active_run() is run
        with run.child("inner"):
            pass
    assert run.status == "FINISHED"
    assert not recording.folder.exists()


SECOND = """
import autolog
from autolog.tracking import ranks
ranks.tell(1, 2)
autolog.log_metric("loss", 1.0)
"""


def test_a_group_is_found_whose_address_is_set_after_rank_0_has_begun(recording, told, monkeypatch):
    told(0, 2)
    with autolog.start_run("leader") as run:
        run.log_metric("loss", 0.0)
        monkeypatch.setenv("MASTER_ADDR", "node1")
        monkeypatch.setenv("MASTER_PORT", "29500")
        subprocess.run([sys.executable, "-c", SECOND], check=True, timeout=60)
    assert (recording.run().name, recording.run().metrics) == ("leader", {"loss": 0.0})
    history = autolog.metric_history(run, "loss", context={"rank": 1})
    assert history.value.tolist() == [1.0]


def test_what_is_logged_to_a_child_of_a_handle_goes_to_the_same_run(recording, told):
    told(1, 2)
    with autolog.start_run("outer") as outer:
        with autolog.start_run("inner"), outer.child() as child:
            autolog.log_metric("loss", 1.0)
            child.log_metric("loss", 2.0)
        autolog.log_metric("loss", 3.0)
    run = recording.run()  # rank 0 has opened none: nothing is lost
    assert (run.name, run.kind, run.status, run.run_id) == (
        "outer",
        "rank",
        "FINISHED",
        outer.run_id,
    )
    assert sorted(autolog.metric_history(run, "loss").value.tolist()) == [1.0, 2.0, 3.0]


def test_what_a_forked_child_of_a_rank_logs_first_is_the_childs(recording, told):
    told(1, 2)
    with autolog.start_run("rank") as run:
        child = os.fork()
        if not child:
            run.log_metric("loss", 1.0)
            os._exit(0)
        assert os.waitpid(child, 0)[1] == 0
        run.log_metric("loss", 2.0)
    found = {run.status: run.metrics for run in recording.runs()}
    assert found == {"KILLED": {"loss": 1.0}, "FINISHED": {"loss": 2.0}}
    assert recording.events("conflict", recording.runs()[0]) == []


def test_a_rank_that_becomes_independent_has_runs_of_its_own(recording, told):
    told(1, 2)
    autolog.start_run("of the group").end()
    told(0, 1)
    autolog.start_run("its own").end()
    assert recording.run().name == "its own"


def test_a_run_whose_id_the_user_gives_to_all_ranks_is_written_to_directly(
    recording, told, monkeypatch
):
    run_id = "0123456789abcdef0123456789abcdef"
    with autolog.start_run("leader", run_id=run_id) as leader:
        leader.log_metric("loss", 0.0)
        monkeypatch.setenv("AUTOLOG_RUN_ID", run_id)
        monkeypatch.setattr(opening, "_process_run_taken", False)
        told(1, 2)
        with autolog.start_run() as run:
            assert run.run_id == run_id
            run.log_metric("loss", 1.0)
        told(0, 1)
    assert (recording.run().status, recording.run().metrics) == ("FINISHED", {"loss": 0.0})
    assert autolog.metric_history(run_id, "loss", context={"rank": 1}).value.tolist() == [1.0]
