"""Trainings that begin with weights that a run wrote."""

from __future__ import annotations

import shutil
from pathlib import Path

import pytest
import safetensors.torch
import torch

import autolog
from tests.torch.small_loops import Net, end, same, train

pytestmark = pytest.mark.usefixtures("in_a_folder")


def train_and_save(save=torch.save, file="w.pt"):
    """Train a model, save it, end the run and return its id."""
    model = Net()
    train(model, epochs=2, after=lambda _: save(model.state_dict(), file))
    end()
    return autolog.last_run().run_id


def trained_on(model):
    """The tags of a run that trains a model."""
    train(model)
    end()
    return autolog.get_run(autolog.last_run()).tags


WAYS = {
    "plain": lambda sd: sd,
    "renamed": lambda sd: {name.removeprefix("module."): one for name, one in sd.items()},
    "moved": lambda sd: {name: one.to("cpu") for name, one in sd.items()},
}


@pytest.mark.parametrize("way", WAYS.values(), ids=list(WAYS))
def test_a_training_from_a_file_of_another_run_says_so(recording, way):
    first = train_and_save()
    model = Net()
    model.load_state_dict(way(torch.load("w.pt")))
    tags = trained_on(model)
    assert (tags["resumed_from"], tags["resumed_from_step"]) == (first, "3")
    assert autolog.last_run().run_id != first
    assert autolog.metric_history(autolog.last_run(), "train/loss").step.tolist() == [0, 1]
    assert recording.events("resumed", autolog.last_run())[0] == {"run": first, "step": 3}


def test_a_file_is_known_after_it_was_moved_and_copied(recording):
    first = train_and_save()
    Path("elsewhere").mkdir()
    shutil.copy("w.pt", "elsewhere/copied.bin")
    Path("w.pt").unlink()
    model = Net()
    model.load_state_dict(torch.load("elsewhere/copied.bin"))
    assert trained_on(model)["resumed_from"] == first


def test_the_step_is_that_of_the_state_that_was_loaded(recording):
    model = Net()
    train(model, epochs=3, after=lambda epoch: torch.save(model.state_dict(), f"w{epoch}.pt"))
    end()
    other = Net()
    other.load_state_dict(torch.load("w1.pt"))
    assert trained_on(other)["resumed_from_step"] == "3"


def test_a_part_of_a_model_that_was_loaded_counts(recording):
    first = train_and_save()
    whole = torch.nn.Sequential(Net(), torch.nn.Linear(2, 2))
    whole[0].load_state_dict(torch.load("w.pt"))
    assert trained_on(whole)["resumed_from"] == first


def test_a_whole_module_that_was_loaded_counts(recording):
    model = Net()
    train(model, after=lambda _: torch.save({"net": model}, "w.pt"))
    end()
    first = autolog.last_run().run_id
    again = torch.load("w.pt", weights_only=False)["net"]
    assert trained_on(again)["resumed_from"] == first


def test_files_of_safetensors_and_models_of_runs_count(recording):
    first = train_and_save(safetensors.torch.save_file, "w.safetensors")
    model = Net()
    model.load_state_dict(safetensors.torch.load_file("w.safetensors"))
    assert trained_on(model)["resumed_from"] == first
    other = Net()
    other.load_state_dict(autolog.load_model(first))
    assert trained_on(other)["resumed_from"] == first


def test_a_file_that_nobody_took_into_the_model_is_no_origin(recording):
    train_and_save()
    torch.load("w.pt")
    assert "resumed_from" not in trained_on(Net())


def test_a_file_of_no_run_is_no_origin(recording):
    train_and_save()
    autolog.disable()
    torch.save(Net().state_dict(), "other.pt")
    autolog.autolog("torch")
    model = Net()
    model.load_state_dict(torch.load("other.pt"))
    assert "resumed_from" not in trained_on(model)


def test_going_back_to_the_best_state_in_a_loop_is_told_and_goes_on(recording):
    model = Net()
    optimizer = train(model, after=lambda _: torch.save(model.state_dict(), "w.pt"))
    model.load_state_dict(torch.load("w.pt"))
    train(model, optimizer)
    end()
    run = recording.run()
    assert "resumed_from" not in run.tags
    assert recording.events("checkpoint_loaded") == [{"run": run.run_id, "step": 1}]
    assert autolog.metric_history(run.run_id, "train/loss").step.tolist() == [0, 1, 2, 3]


def test_what_is_loaded_and_how_is_the_same_with_autolog(recording):
    train_and_save()
    watched = torch.load("w.pt")
    torch.save({"net": Net()}, "whole.pt")
    with pytest.raises(Exception, match="weights_only"):
        torch.load("whole.pt")
    with pytest.raises(FileNotFoundError):
        torch.load("missing.pt")
    autolog.disable()
    assert same(watched, torch.load("w.pt"))
    assert type(watched) is type(torch.load("w.pt"))


SCRIPT = """
import os, sys
from pathlib import Path
import torch, autolog
autolog.autolog("torch")
torch.set_num_threads(1)
model = torch.nn.Linear(4, 2)
optimizer = torch.optim.SGD(model.parameters(), lr=0.1)
if Path("w.pt").exists():
    state = torch.load("w.pt")
    model.load_state_dict(state["model"])
    optimizer.load_state_dict(state["optimizer"])
rows = torch.utils.data.DataLoader(torch.utils.data.TensorDataset(torch.ones(15, 4)), 3)
for step, (x,) in enumerate(rows):
    model(x).mean().backward()
    optimizer.step()
    if step == 2:
        state = {"model": model.state_dict(), "optimizer": optimizer.state_dict()}
        torch.save(state, "w.pt")
if os.environ.get("KILL"):
    os.kill(os.getpid(), 9)
"""


def test_the_same_job_goes_on_with_its_run_from_the_step_of_the_file(recording, program):
    job = {"SLURM_JOB_ID": "77"}
    assert program(SCRIPT, check=False, KILL="1", **job).code == -9
    program(SCRIPT, SLURM_RESTART_COUNT="1", **job)
    run = recording.run()
    assert run.status == "FINISHED"
    assert [one.restored_step for one in recording.details().attempts] == [None, 2]
    history = autolog.metric_history(run.run_id, "train/loss")
    assert history.step.tolist() == [0, 1, 2, 3, 4, 5, 6, 7]
    assert history.attempt.tolist() == [0, 0, 0, 1, 1, 1, 1, 1]
    assert history.epoch.tolist() == [0, 0, 0, 1, 1, 1, 1, 1]
    assert "resumed_from" not in run.tags
    every = autolog.metric_history(run.run_id, "train/loss", attempt="all")
    assert sorted(every.step.tolist()) == [0, 1, 2, 3, 3, 4, 4, 5, 6, 7]
