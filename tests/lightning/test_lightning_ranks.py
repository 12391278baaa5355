"""Several processes on the CPU: one run, whose points are those of rank 0."""

from __future__ import annotations

import pytest
import torch
from lightning.pytorch.callbacks import EarlyStopping

import autolog
from tests.lightning.models import Net, history, loader, trainer


@pytest.fixture(autouse=True)
def _on(recording):
    autolog.autolog("lightning")


@pytest.mark.filterwarnings("ignore:.*fork.*:DeprecationWarning", "ignore:.*sync_dist.*")
def test_forked_ranks_give_one_run_with_every_step_of_rank_0(recording, tmp_path):
    module = Net()
    stopping = EarlyStopping("val_loss", patience=1, min_delta=10.0)
    options = {"strategy": "ddp_fork", "devices": 2, "max_epochs": 3, "callbacks": [stopping]}
    trainer(tmp_path, **options).fit(module, loader(), loader())
    run = recording.run()
    assert run.status == "FINISHED"
    assert history(run, "train_loss_step").step.tolist() == [0, 1, 2, 3]
    assert history(run, "lr").step.tolist() == [0, 1, 2, 3]
    assert history(run, "val_loss").epoch.tolist() == [0, 1]
    assert run.metrics["stopped_epoch"] == 1
    assert run.params["trainer.world_size"] == 2
    assert run.params["optimizer"] == "SGD"
    weights = autolog.load_model(run).state_dict()
    assert all(torch.equal(weights[key], value) for key, value in module.state_dict().items())


@pytest.mark.edge_case("EC-T6")
def test_spawned_ranks_give_one_run_with_their_last_values(recording, tmp_path):
    trainer(tmp_path, strategy="ddp_spawn", max_epochs=1).fit(Net(), loader())
    run = recording.run()
    assert run.status == "FINISHED"
    assert run.metrics["train_loss_epoch"] > 0
    assert any("ranks were spawned" in event["text"] for event in recording.events("notice"))


SCRIPT = """
import logging, sys
import autolog
autolog.autolog("lightning")
import lightning.pytorch as pl
from autolog_lightning.example import TinyModule, data
pl.Trainer(accelerator="cpu", devices=2, strategy="ddp", max_epochs=2, logger=False,
    log_every_n_steps=1, enable_checkpointing=False, enable_progress_bar=False,
    enable_model_summary=False).fit(TinyModule(), data())
"""


def test_ranks_that_are_started_anew_give_one_run(recording, program):
    program(SCRIPT, PYTHONWARNINGS="ignore")
    run = recording.run()
    assert run.status == "FINISHED"
    assert history(run, "loss").step.tolist() == [0, 1]
    assert run.params["trainer.world_size"] == 2
