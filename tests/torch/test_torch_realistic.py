"""Whole scripts as people write them: what one part of them must not do to the others."""

from __future__ import annotations

import copy

import pytest
import torch
from torch import nn
from torch.nn import functional
from torch.utils.data import DataLoader, TensorDataset

import autolog


class Generator(nn.Module):
    """A model that is one sequence of layers and nothing else."""

    def __init__(self):
        super().__init__()
        self.main = nn.Sequential(nn.Linear(4, 3), nn.Linear(3, 1))

    def forward(self, x):
        return self.main(x)


class Duel:
    """Two optimizers, given away in the call that builds its owner."""

    def __init__(self, generator_optimizer, critic_optimizer):
        self.optimizers = [critic_optimizer, generator_optimizer]


def history(run, key):
    return autolog.metric_history(run.run_id, key)


def test_a_model_that_holds_one_sequence_is_named_and_not_the_sequence(loops):
    model = Generator()
    optimizer = torch.optim.SGD(model.parameters(), lr=0.1)
    loops.step(nn.DataParallel(model), optimizer)
    run = loops.run()
    assert run.name.startswith("Generator-")
    assert run.params["model"] == "Generator"


def test_an_optimizer_built_in_a_call_is_not_named_after_the_result_of_the_call(loops):
    generator, critic = nn.Linear(4, 2), nn.Linear(2, 1)
    duel = Duel(
        torch.optim.SGD(generator.parameters(), lr=0.1),
        torch.optim.SGD(critic.parameters(), lr=0.2),
    )
    for _ in range(2):
        for optimizer in duel.optimizers:
            optimizer.zero_grad()
            critic(generator(loops.X)).mean().backward()
            optimizer.step()
    assert {key for key in loops.run().metrics if key.startswith("lr")} == {"lr/opt0", "lr/opt1"}


def test_the_criterion_of_the_next_training_is_not_that_of_one_without(loops):
    policy, net = loops.net(), loops.net()
    optimizer = torch.optim.SGD(policy.parameters(), lr=0.1)
    for _ in range(2):
        optimizer.zero_grad()
        policy(loops.X).log_softmax(1).mean().backward()
        optimizer.step()
    optimizer = torch.optim.SGD(net.parameters(), lr=0.1)
    for _ in range(12):
        optimizer.zero_grad()
        functional.mse_loss(net(loops.X), loops.Y).backward()
        optimizer.step()
    runs = sorted(autolog.search_runs(), key=lambda run: run.start_time)
    assert [run.params.get("criterion") for run in runs] == [None, "mse_loss"]


@pytest.mark.parametrize("batches", [3, 12])
def test_epochs_and_evaluations_go_on_when_the_whole_is_tuned_after_its_head(loops, batches):
    model = nn.Sequential(nn.Linear(4, 3), nn.Linear(3, 1))
    data = TensorDataset(loops.X[:24], loops.Y[:24])
    train_loader = DataLoader(data, batch_size=24 // batches)
    val_loader = DataLoader(data, batch_size=12)

    def train(optimizer):
        for _ in range(2):
            model.train()
            for x, y in train_loader:
                optimizer.zero_grad()
                functional.mse_loss(model(x), y).backward()
                optimizer.step()
            model.eval()
            with torch.no_grad():
                for x, y in val_loader:
                    functional.mse_loss(model(x), y)

    train(torch.optim.SGD(model[1].parameters(), lr=0.1))
    train(torch.optim.SGD(model.parameters(), lr=0.01))
    run = loops.run()
    epochs = [epoch for epoch in range(4) for _ in range(batches)]
    ends = [batches * (epoch + 1) - 1 for epoch in range(4)]
    assert history(run, "train/loss").epoch.tolist() == epochs
    assert history(run, "val/loss").epoch.tolist() == [0, 1, 2, 3]
    assert history(run, "val/loss").step.tolist() == ends
    assert history(run, "epoch").step.tolist() == ends
    assert run.params["optimizer2.lr"] == 0.01


def test_a_loader_that_is_written_into_the_for_is_described(loops):
    model = loops.net()
    optimizer = torch.optim.SGD(model.parameters(), lr=0.1)
    for x, y in DataLoader(TensorDataset(loops.X[:8], loops.Y[:8]), batch_size=4, shuffle=True):
        loops.step(model, optimizer, x, y)
    params = loops.run().params
    assert (params["batch_size"], params["dataset_size"], params["loader.shuffle"]) == (4, 8, True)


def test_inner_work_is_named_though_its_copy_is_gone(loops):
    meta = nn.Linear(4, 1)
    meta_optimizer = torch.optim.SGD(meta.parameters(), lr=0.1)
    for _ in range(2):
        fast = copy.deepcopy(meta)
        optimizer = torch.optim.Adam(fast.parameters(), lr=0.1)
        loops.step(fast, optimizer)
        del fast, optimizer
        loops.step(meta, meta_optimizer)
    inner = [run for run in autolog.search_runs() if run.kind == "inner"]
    assert [run.name.rpartition("-")[0] for run in inner] == ["Adam"]
