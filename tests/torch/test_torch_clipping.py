"""Gradient norms: what clipping found, or computed on request."""

from __future__ import annotations

import copy

import pytest
import torch
from torch.nn import functional
from torch.nn.utils import clip_grad_norm_

import autolog


def norm_of(parameters):
    return torch.stack([one.grad.norm() for one in parameters]).norm().item()


def backward(model, loops, scaler=None):
    loss = functional.mse_loss(model(loops.X), loops.Y)
    (loss if scaler is None else scaler.scale(loss)).backward()


def test_the_norm_that_clipping_found_belongs_to_its_step(loops):
    model = loops.net()
    optimizer = torch.optim.SGD(model.parameters(), lr=0.1)
    norms = []
    for _ in range(3):
        optimizer.zero_grad()
        backward(model, loops)
        norms.append(norm_of(model.parameters()))
        returned = torch.nn.utils.clip_grad_norm_(model.parameters(), 0.01)
        assert returned.item() == pytest.approx(norms[-1])
        assert norm_of(model.parameters()) == pytest.approx(0.01, rel=1e-3)
        optimizer.step()
    assert loops.series("grad_norm") == pytest.approx(norms)


def test_each_optimizer_has_its_own_norm_also_if_both_are_clipped_before_they_step(loops):
    first, second = loops.net(0), loops.net(1, width=4)
    opt_a = torch.optim.SGD(first.parameters(), lr=0.1)
    opt_b = torch.optim.SGD(second.parameters(), lr=0.1)
    norms = {"opt_a": [], "opt_b": []}
    for _ in range(3):
        opt_a.zero_grad(), opt_b.zero_grad()
        functional.mse_loss(first(loops.X) + second(loops.X), loops.Y).backward()
        for name, model in (("opt_a", first), ("opt_b", second)):
            norms[name].append(clip_grad_norm_(list(model.parameters()), 1.0).item())
        opt_a.step(), opt_b.step()
    assert loops.series("grad_norm/opt_a") == pytest.approx(norms["opt_a"])
    assert loops.series("grad_norm/opt_b") == pytest.approx(norms["opt_b"])


@pytest.mark.parametrize("unscales", [True, False])
def test_under_loss_scaling_the_norm_is_without_the_scale(loops, unscales):
    model = loops.net()
    plain = copy.deepcopy(model)
    backward(plain, loops)
    optimizer = torch.optim.SGD(model.parameters(), lr=0.1)
    scaler = torch.amp.GradScaler("cpu", init_scale=1024.0)
    backward(model, loops, scaler)
    if unscales:
        scaler.unscale_(optimizer)
    clip_grad_norm_(model.parameters(), 1e9)
    scaler.step(optimizer)
    scaler.update()
    assert loops.series("grad_norm") == pytest.approx([norm_of(plain.parameters())])
    told = [one["key"] for one in loops.recording.events("notice")]
    assert told == ([] if unscales else ["clipped_scaled_gradients"])


def test_the_norm_of_a_step_that_the_scaler_left_out_is_not_the_next_ones(loops):
    model = loops.net()
    optimizer = torch.optim.SGD(model.parameters(), lr=0.1)
    scaler = torch.amp.GradScaler("cpu", init_scale=4.0)
    for factor in (1.0, float("inf"), 1.0):
        optimizer.zero_grad()
        scaler.scale(functional.mse_loss(model(loops.X), loops.Y) * factor).backward()
        if factor > 1:
            scaler.unscale_(optimizer)
            clip_grad_norm_(model.parameters(), 1.0)
        scaler.step(optimizer)
        scaler.update()
    assert len(loops.series("train/loss")) == 2
    assert "grad_norm" not in loops.run().metrics


def test_with_the_option_the_norm_of_every_step_is_computed_and_changes_no_weight(loops):
    def train():
        model = loops.net()
        optimizer = torch.optim.Adam(model.parameters(), lr=0.1)
        norms = []
        for at in range(4):
            optimizer.zero_grad()
            backward(model, loops)
            norms.append(norm_of(model.parameters()))
            if at == 2:
                clip_grad_norm_(model.parameters(), 0.01)
            optimizer.step()
        return norms, [one.detach().clone() for one in model.parameters()]

    autolog.autolog("torch", torch={"grad_norm": True})
    norms, weights = train()
    assert loops.series("grad_norm") == pytest.approx(norms)
    autolog.disable()
    assert all(map(torch.equal, weights, train()[1]))


def test_with_the_option_a_step_with_a_closure_has_no_norm(loops):
    autolog.autolog("torch", torch={"grad_norm": True})
    model = loops.net()
    optimizer = torch.optim.LBFGS(model.parameters(), max_iter=2)

    def closure():
        optimizer.zero_grad()
        loss = functional.mse_loss(model(loops.X), loops.Y)
        loss.backward()
        return loss

    optimizer.step(closure)
    assert "grad_norm" not in loops.run().metrics


def test_clipping_inside_a_compiled_function_breaks_no_graph(loops):
    from torch.nn.utils import clip_grad_norm_ as imported_by_name

    model = torch.nn.Linear(2, 1)

    @torch.compile(backend="eager", fullgraph=True)
    def clip():
        before = model(torch.ones(1, 2))
        imported_by_name(model.parameters(), 1.0)
        return before

    for parameter in model.parameters():
        parameter.grad = torch.ones_like(parameter)
    clip()
    assert norm_of(model.parameters()) == pytest.approx(1.0, rel=1e-3)
