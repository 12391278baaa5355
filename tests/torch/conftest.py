"""Tiny models and loops for the tests of PyTorch; one thread, the same numbers each time."""

from __future__ import annotations

import itertools

import pytest
import torch
from torch.nn import functional

import autolog
from autolog.capture import optimizers

torch.set_num_threads(1)

ROWS = torch.Generator().manual_seed(7)
X = torch.randn(32, 4, generator=ROWS)
Y = torch.randn(32, 1, generator=ROWS)


def net(seed=0, width=3):
    """A model whose weights come from a generator of its own: the global one is not used."""
    model = torch.nn.Sequential(
        torch.nn.Linear(4, width), torch.nn.Tanh(), torch.nn.Linear(width, 1)
    )
    weights = torch.Generator().manual_seed(seed)
    with torch.no_grad():
        for parameter in model.parameters():
            parameter.copy_(torch.randn(parameter.shape, generator=weights) * 0.4)
    return model


def batches(size=8):
    """The data in batches, without a loader."""
    return [(X[at : at + size], Y[at : at + size]) for at in range(0, len(X), size)]


def step(model, optimizer, x=X, y=Y):
    """Make one plain step; return its loss."""
    optimizer.zero_grad()
    loss = functional.mse_loss(model(x), y)
    loss.backward()
    optimizer.step()
    return loss.item()


class Loops:
    """What was recorded of loops."""

    net, batches, step = staticmethod(net), staticmethod(batches), staticmethod(step)
    X, Y = X, Y

    def __init__(self, recording):
        self.recording = recording

    def runs(self):
        return self.recording.runs()

    def run(self):
        return self.recording.run()

    def series(self, key="train/loss", run=None):
        history = autolog.metric_history((run or self.run()).run_id, key)
        assert history.step.tolist() == list(range(len(history.step))), history.step
        return history.value.tolist()

    def metrics(self, run=None):
        return sorted((run or self.run()).metrics)


@pytest.fixture
def loops(recording, monkeypatch):
    monkeypatch.setattr(optimizers, "_unrelated", itertools.count(1))  # runs of other tests
    autolog.autolog("torch")
    return Loops(recording)


@pytest.fixture
def in_a_folder(recording, tmp_path, monkeypatch):
    """Autolog on, the generator seeded, and a folder for the files that a program writes."""
    torch.manual_seed(0)
    monkeypatch.chdir(tmp_path)
    autolog.autolog("torch")
