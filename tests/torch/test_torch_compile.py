"""Compiled models and steps: no graph break and no recompile is added, and no step is lost."""

from __future__ import annotations

import functools

import pytest
import torch
from torch._dynamo.testing import CompileCounter
from torch._dynamo.utils import counters
from torch.nn import functional

import autolog

pytestmark = [  # which torch gives of itself while it compiles an update
    pytest.mark.filterwarnings("ignore:.*torch.jit.*:DeprecationWarning"),
    pytest.mark.filterwarnings("ignore:The .grad attribute of a Tensor that is not a leaf"),
]


@pytest.fixture
def compiled(recording, loops):
    """Run a training without autolog and with it; compare what the compiler did."""

    def run(train, **options):
        found = []
        for on in (False, True):
            torch.compiler.reset()
            counters.clear()
            (autolog.autolog("torch") if on else autolog.disable())
            counter = CompileCounter()
            torch.manual_seed(0)
            losses = train(functools.partial(torch.compile, backend=counter, **options))
            did = {
                "graph breaks": sum(counters["graph_break"].values()),
                "graphs": counter.frame_count,
                "frames": counters["frames"]["total"],
                "recompiles": sum(counters["recompile_limit"].values()),
            }
            found.append({**did, "losses": losses, "operations": counter.op_count})
        plain, watched = found
        more = {name: (plain[name], number) for name, number in did.items() if number > plain[name]}
        assert not more
        assert watched["losses"] == plain["losses"]
        assert watched["operations"] == plain["operations"] > 0
        assert loops.series() == pytest.approx(plain["losses"], rel=1e-6, abs=0)
        return plain

    yield run
    torch.compiler.reset()


def test_a_compiled_model(compiled, loops):
    def train(compile_):
        model = loops.net()
        optimizer = torch.optim.SGD(model.parameters(), lr=0.1)
        forward = compile_(model)
        losses = []
        for x, y in loops.batches():
            optimizer.zero_grad()
            loss = functional.mse_loss(forward(x), y)
            loss.backward()
            optimizer.step()
            losses.append(loss.item())
        return losses

    assert compiled(train, fullgraph=True)["graph breaks"] == 0


def test_a_loss_inside_the_compiled_model(compiled, loops):
    class WithLoss(torch.nn.Module):
        def __init__(self):
            super().__init__()
            self.net = loops.net()

        def forward(self, x, y):
            return functional.mse_loss(self.net(x), y)

    def train(compile_):
        model = WithLoss()
        optimizer = torch.optim.Adam(model.parameters(), lr=0.01)
        loss_of = compile_(model)
        losses = []
        for x, y in loops.batches():
            loss = loss_of(x, y)
            loss.backward()
            optimizer.step()
            optimizer.zero_grad(set_to_none=False)
            losses.append(loss.item())
        return losses

    assert compiled(train, fullgraph=True)["graph breaks"] == 0


def test_a_compiled_step_with_backward_and_update_inside(compiled, loops):
    def train(compile_):
        model = loops.net()
        optimizer = torch.optim.SGD(model.parameters(), lr=0.1)
        scheduler = torch.optim.lr_scheduler.ExponentialLR(optimizer, 0.9)

        @compile_
        def train_step(x, y):
            optimizer.zero_grad()
            loss = functional.mse_loss(model(x), y)
            loss.backward()
            optimizer.step()
            return loss.detach()

        losses = []
        for x, y in loops.batches() * 2:
            losses.append(train_step(x, y).item())
            scheduler.step()
        return losses

    assert len(compiled(train)["losses"]) == 8


def test_a_compiled_update(compiled, loops):
    def train(compile_):
        model = loops.net()
        optimizer = torch.optim.AdamW(model.parameters(), lr=0.01)

        @compile_
        def update():
            optimizer.step()

        losses = []
        for x, y in loops.batches():
            optimizer.zero_grad()
            loss = functional.mse_loss(model(x), y)
            loss.backward()
            update()
            losses.append(loss.item())
        return losses

    compiled(train)
