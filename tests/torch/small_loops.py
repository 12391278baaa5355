"""Small training loops for the tests of checkpoints, weights and lineage."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import torch

import autolog


class Net(torch.nn.Module):
    """Two layers and a buffer."""

    def __init__(self) -> None:
        super().__init__()
        self.first = torch.nn.Linear(4, 3)
        self.norm = torch.nn.BatchNorm1d(3)
        self.last = torch.nn.Linear(3, 2)

    def forward(self, x: Any) -> Any:
        return self.last(self.norm(self.first(x)))


def nothing(_: int) -> None:
    """Do nothing after an epoch."""


def train(
    model: Any,
    optimizer: Any = None,
    *,
    epochs: int = 1,
    steps: int = 2,
    after: Callable[[int], None] = nothing,
) -> Any:
    """Train for some epochs; return the optimizer."""
    optimizer = optimizer or torch.optim.SGD(model.parameters(), lr=0.1)
    data = torch.linspace(-1, 1, 32).reshape(8, 4)
    for epoch in range(epochs):
        model.train()
        for _ in range(steps):
            optimizer.zero_grad()
            model(data).pow(2).mean().backward()
            optimizer.step()
        after(epoch)
    return optimizer


def same(one: Any, other: Any) -> bool:
    """Whether two state dicts hold the same bits under the same names, in the same order."""
    return list(one) == list(other) and all(torch.equal(one[key], other[key]) for key in one)


def end() -> None:
    """End the run of the loop."""
    autolog.last_run().end()


def names(recording: Any) -> list[str]:
    """Return the names of the models of the only run."""
    return sorted(model.name for model in recording.details().models)
