"""A training computes the same bits with autolog and without: weights, states, losses, numbers."""

from __future__ import annotations

import contextlib
import io
import random

import numpy as np
import pytest
import torch
from torch.nn import functional
from torch.utils.data import DataLoader, TensorDataset

import autolog

OPTIMIZERS = {
    "SGD": {"lr": 0.1, "momentum": 0.9, "nesterov": True, "weight_decay": 0.01},
    "Adam": {"lr": 0.01, "amsgrad": True},
    "AdamW": {"lr": 0.01},
    "RMSprop": {"lr": 0.01, "centered": True, "momentum": 0.5},
    "Adagrad": {"lr": 0.05, "lr_decay": 0.1},
    "Adadelta": {"lr": 0.5},
    "NAdam": {"lr": 0.01},
    "RAdam": {"lr": 0.01},
    "Adamax": {"lr": 0.01},
    "ASGD": {"lr": 0.05},
    "Rprop": {"lr": 0.01},
    "LBFGS": {"lr": 0.5, "max_iter": 3},
}
STYLES = ("plain", "amp", "accumulation", "compile")


class Net(torch.nn.Module):
    """Draws from torch's generator in its forward pass."""

    def __init__(self, normalized=True):
        super().__init__()
        self.first = torch.nn.Linear(4, 5)
        self.norm = torch.nn.BatchNorm1d(5) if normalized else torch.nn.Identity()
        self.last = torch.nn.Linear(5, 1)

    def forward(self, x):
        x = functional.dropout(torch.tanh(self.norm(self.first(x))), 0.2, self.training)
        return self.last(x)


def seeded():
    random.seed(3)
    np.random.seed(3)
    torch.manual_seed(3)


def saved(thing):
    """The bytes that the user would keep of it."""
    buffer = io.BytesIO()
    torch.save(thing, buffer)
    return buffer.getvalue()


def generators():
    _, keys, *rest = np.random.get_state()
    return random.getstate(), keys.tobytes(), rest, bytes(torch.get_rng_state().numpy())


def trained(loops, name, style):
    """What four updates compute: everything that a user could compare."""
    seeded()
    model = Net()
    optimizer = getattr(torch.optim, name)(model.parameters(), **OPTIMIZERS[name])
    scheduler = torch.optim.lr_scheduler.ExponentialLR(optimizer, 0.9)
    data = DataLoader(TensorDataset(loops.X, loops.Y), batch_size=8, shuffle=True)
    forward = torch.compile(model, backend="eager", fullgraph=True) if style == "compile" else model
    scaler = torch.amp.GradScaler("cpu", init_scale=256.0, enabled=style == "amp")
    amp = torch.autocast("cpu", torch.bfloat16) if style == "amp" else contextlib.nullcontext()
    pieces = 2 if style == "accumulation" else 1
    losses, norms, before = [], [], generators()

    def gradients(x, y):
        optimizer.zero_grad()
        total = 0.0
        for x_part, y_part in zip(x.chunk(pieces), y.chunk(pieces), strict=True):
            with amp:
                loss = functional.mse_loss(forward(x_part), y_part) / pieces
            (loss if name == "LBFGS" else scaler.scale(loss)).backward()
            total += loss.item()
        return total

    for x, y in data:
        if name == "LBFGS":  # which a scaler refuses
            evaluated = []

            def closure(x=x, y=y, evaluated=evaluated):
                evaluated.append(gradients(x, y))
                return torch.tensor(evaluated[-1])

            optimizer.step(closure)
            losses.append(evaluated[0])
        else:
            losses.append(gradients(x, y))
            scaler.unscale_(optimizer)
            norms.append(torch.nn.utils.clip_grad_norm_(model.parameters(), 1.0).item())
            scaler.step(optimizer)
            scaler.update()
        scheduler.step()
    return {
        "weights": [bytes(one.detach().numpy()) for one in model.state_dict().values()],
        "model": saved(model.state_dict()),
        "optimizer": saved(optimizer.state_dict()),
        "scheduler": saved(scheduler.state_dict()),
        "scaler": scaler.state_dict(),
        "losses": losses,
        "norms": norms,
        "before": before,
        "generators": generators(),
    }


@pytest.mark.edge_case("EC-D10")
@pytest.mark.parametrize("style", STYLES)
def test_every_optimizer_computes_the_same_bits(recording, loops, style):
    for name in OPTIMIZERS:
        autolog.disable()
        torch.compiler.reset()
        plain = trained(loops, name, style)
        torch.compiler.reset()
        with autolog.autolog("torch"):
            watched = trained(loops, name, style)
        for part, bits in plain.items():
            assert watched[part] == bits, (name, part)
        assert plain["before"] != plain["generators"]
        recorded = loops.series(run=recording.runs()[-1])
        # Of a closure that goes backward twice, the value is that of its first loss.
        if (name, style) != ("LBFGS", "accumulation"):
            assert recorded == pytest.approx(plain["losses"], abs=0, rel=1e-6), name
    assert len(recording.runs()) == len(OPTIMIZERS)
