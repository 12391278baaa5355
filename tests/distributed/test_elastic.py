"""`torchrun --max-restarts 1`: a rank fails, all ranks are started again, and the run goes on."""

from __future__ import annotations

import pytest

import autolog
from tests.distributed.conftest import TORCHRUN

TRAIN = """
import json, os, pathlib, sys, time
import autolog

rank, attempt = int(os.environ["RANK"]), int(os.environ["TORCHELASTIC_RESTART_COUNT"])
checkpoint, seen = pathlib.Path("checkpoint"), pathlib.Path("seen")
first = int(checkpoint.read_text()) + 1 if checkpoint.exists() else 0

with autolog.start_run("elastic") as run:
    if first:
        run.restored(first - 1)
    for step in range(first, 6):
        if rank == 1 and step == 3 and attempt == 0:
            while not seen.exists():  # so that rank 0 is not killed before it has logged
                time.sleep(0.01)
            raise ValueError("a rank fails")
        run.log_metric("loss", 10.0 * attempt + step, step=step)
        if rank == 0 and step == 3 and attempt == 0:
            checkpoint.write_text("2")
            seen.touch()
            time.sleep(600)  # its agent kills it
print(json.dumps({"rank": rank, "attempt": attempt, "run": run.run_id}), flush=True)
"""


@pytest.fixture(scope="module")
def restarted(launch):
    """The program with torchrun's own rendezvous id, which is the same for every launch."""
    words = [TORCHRUN, "--nproc-per-node", "2", "--max-restarts", "1", "--monitor-interval", "0.1"]
    done = launch(words, TRAIN)
    assert done.code == 0, done.err
    return done


def test_workers_that_are_started_again_go_on_with_the_run_as_its_next_attempt(restarted):
    run = restarted.recording.run()
    assert (run.name, run.status, run.metrics) == ("elastic", "FINISHED", {"loss": 15.0})
    assert run.run_id == restarted.said[0]["run"]
    attempts = restarted.recording.details(run).attempts
    assert [one.status for one in attempts] == ["KILLED", "FINISHED"]
    assert [one.restored_step for one in attempts] == [None, 2]


def test_the_points_of_every_rank_go_on_after_a_restart(restarted, monkeypatch):
    monkeypatch.setenv("AUTOLOG_STORE", str(restarted.recording.folder))
    history = autolog.metric_history("elastic", "loss")
    of_rank: dict[int, list[tuple[int, int]]] = {}
    for step, attempt, context in zip(history.step, history.attempt, history.context, strict=True):
        of_rank.setdefault(context.get("rank", 0), []).append((int(step), int(attempt)))
    expected = [(step, int(step > 2)) for step in range(6)]
    assert of_rank == {0: expected, 1: expected}


def test_nothing_is_left_that_a_later_launch_could_continue(restarted):
    assert list((restarted.recording.journal / "jobs").glob("*/*")) == []
