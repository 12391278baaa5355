"""Loops that are not as one expects: pickled optimizers, errors in steps, losses nobody knows."""

from __future__ import annotations

import copy
import math
import pickle

import pytest
import torch
from torch.nn import functional

import autolog


def close(series, expected):
    return series == pytest.approx(expected, abs=0, rel=1e-6)


def test_an_optimizer_that_was_pickled_with_its_model_trains_in_a_run_of_its_own(loops):
    model = loops.net()
    optimizer = torch.optim.Adam(model.parameters(), lr=0.01)
    before = [loops.step(model, optimizer) for _ in range(2)]
    model, optimizer = pickle.loads(pickle.dumps((model, optimizer)))
    after = [loops.step(model, optimizer) for _ in range(3)]
    autolog.end_run()
    first, second = loops.runs()
    assert close(loops.series(run=first), before)
    assert close(loops.series(run=second), after)
    assert loops.series("lr", second) == [0.01] * 3


@pytest.mark.parametrize("way", ["copied", "pickled"])
def test_a_copy_of_an_optimizer_over_the_same_parameters_goes_on(loops, way):
    model = loops.net()
    optimizer = torch.optim.Adam(model.parameters(), lr=0.01)
    losses = [loops.step(model, optimizer) for _ in range(2)]
    if way == "copied":
        optimizer = copy.copy(optimizer)
    else:
        state = optimizer.state_dict()
        optimizer = pickle.loads(pickle.dumps(optimizer))
        optimizer.param_groups[0]["params"] = list(model.parameters())
        optimizer.load_state_dict(state)
    losses += [loops.step(model, optimizer) for _ in range(3)]
    assert close(loops.series(), losses)
    assert loops.series("lr") == [0.01] * 5


def test_a_deep_copy_in_the_midst_of_a_training_leaves_it_alone(loops):
    model = loops.net()
    optimizer = torch.optim.Adam(model.parameters(), lr=0.01)
    losses = []
    for _ in range(3):
        losses.append(loops.step(model, optimizer))
        best = copy.deepcopy((model.state_dict(), optimizer.state_dict(), optimizer))
    assert best
    assert close(loops.series(), losses)


@pytest.mark.parametrize("stage", ["closure", "hook before", "hook after", "backward"])
def test_a_step_that_raises_is_none_and_the_next_is_one(loops, stage):
    model = loops.net()
    optimizer = torch.optim.SGD(model.parameters(), lr=0.1)
    raising = [False]

    def refuse(*_):
        if raising[0]:
            raise ZeroDivisionError

    def closure():
        refuse()
        return torch.tensor(0.0)

    if stage == "hook before":
        optimizer.register_step_pre_hook(refuse)
    if stage == "hook after":  # the update was made, and autolog's hook comes first
        optimizer.register_step_post_hook(refuse)
    if stage == "backward":
        model[0].weight.register_hook(refuse)
    expected = []
    for number in range(4):
        raising[0] = number == 1
        optimizer.zero_grad()
        loss = functional.mse_loss(model(loops.X), loops.Y)
        try:
            loss.backward()
            optimizer.step(closure if stage == "closure" else None)
        except ZeroDivisionError:
            assert raising[0]
            continue
        expected.append(loss.item())
    assert close(loops.series(), expected)


def test_gradients_without_a_loss_give_steps_with_a_learning_rate(loops):
    model = loops.net()
    optimizer = torch.optim.SGD(model.parameters(), lr=0.1)
    for _ in range(3):
        grads = torch.autograd.grad(model(loops.X).square().mean(), list(model.parameters()))
        for parameter, grad in zip(model.parameters(), grads, strict=True):
            parameter.grad = grad
        optimizer.step()
    assert loops.metrics() == ["lr"]
    assert loops.series("lr") == [0.1] * 3


def test_a_loss_that_is_changed_in_place_counts_as_it_ran_backward(loops):
    model = loops.net()
    optimizer = torch.optim.SGD(model.parameters(), lr=0.1)
    expected = []
    for _ in range(3):
        optimizer.zero_grad()
        loss = functional.mse_loss(model(loops.X), loops.Y) / 4
        loss.backward()
        expected.append(loss.item())
        with torch.no_grad():
            loss *= 4
        optimizer.step()
    assert close(loops.series(), expected)


def test_a_loss_that_is_no_number_from_the_first_step_on_is_recorded_as_such(loops):
    model = loops.net()
    optimizer = torch.optim.SGD(model.parameters(), lr=0.1)
    for _ in range(2):
        loops.step(model, optimizer, loops.X * math.nan)
    assert [math.isnan(one) for one in loops.series()] == [True, True]


def test_sparse_gradients_are_seen(loops):
    embedding = torch.nn.Embedding(6, 2, sparse=True)
    optimizer = torch.optim.SparseAdam(list(embedding.parameters()), lr=0.01)
    rows = torch.tensor([1, 4])
    expected = []
    for _ in range(3):
        optimizer.zero_grad(set_to_none=False)
        dropped = embedding(rows).sum()
        dropped.backward()
        optimizer.zero_grad(set_to_none=False)
        loss = embedding(rows).square().mean()
        loss.backward()
        optimizer.step()
        expected.append(loss.item())
    assert close(loops.series(), expected)


def test_tensors_without_numbers_give_none(loops):
    model = torch.nn.Linear(4, 1, device="meta")
    optimizer = torch.optim.SGD(model.parameters(), lr=0.1)
    model(torch.ones(3, 4, device="meta")).sum().backward()
    optimizer.step()
    assert loops.metrics() == ["lr"]


@pytest.mark.filterwarnings("ignore:Converting a tensor to a Python")
def test_fake_tensors_give_none(loops):
    from torch._subclasses.fake_tensor import FakeTensorMode

    with FakeTensorMode():
        model = torch.nn.Linear(4, 1)
        optimizer = torch.optim.SGD(model.parameters(), lr=0.1)
        model(torch.ones(3, 4)).sum().backward()
        optimizer.step()
    assert loops.metrics() == ["lr"]


def test_a_script_that_never_goes_backward_has_no_run(loops):
    model = loops.net()
    torch.optim.SGD(model.parameters(), lr=0.1)
    with torch.no_grad():
        model(loops.X)
    autolog.end_run()
    assert loops.runs() == []


def test_steps_that_wait_belong_to_the_users_run_that_ends(loops):
    first, second = loops.net(1), loops.net(2, width=5)
    one = torch.optim.SGD(first.parameters(), lr=0.1)
    other = torch.optim.SGD(second.parameters(), lr=0.1)
    with autolog.start_run("mine"):
        losses = [loops.step(first, one) for _ in range(3)]
    assert loops.run().name == "mine"
    assert close(loops.series(), losses)
    del other


def test_parameters_that_an_optimizer_gets_later_are_looked_at(loops):
    model = loops.net().requires_grad_(False)
    optimizer = torch.optim.SGD(model.parameters(), lr=0.1)
    optimizer.step()
    model.requires_grad_(True)
    losses = [loops.step(model, optimizer) for _ in range(3)]
    run = loops.run()
    history = autolog.metric_history(run.run_id, "train/loss")
    assert (history.step.tolist(), close(history.value.tolist(), losses)) == ([1, 2, 3], True)
