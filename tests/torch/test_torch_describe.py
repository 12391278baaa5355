"""What trains is described once: optimizers, schedulers, model, mixed precision, torch itself."""

from __future__ import annotations

import pytest
import torch
from torch import nn
from torch.nn import functional
from torch.optim import lr_scheduler
from torch.optim.swa_utils import AveragedModel, get_ema_multi_avg_fn

import autolog


def params(loops, run=None):
    return (run or loops.run()).params


def below(found, prefix):
    """The parameters of one thing, without its name."""
    return {key.removeprefix(prefix): found[key] for key in found if key.startswith(prefix)}


def test_the_options_of_an_optimizer_are_parameters(loops):
    model = loops.net()
    optimizer = torch.optim.AdamW(model.parameters(), lr=0.01, weight_decay=0.1, betas=(0.8, 0.9))
    loops.step(model, optimizer)
    found = params(loops)
    assert found["optimizer"] == "AdamW"
    assert found["optimizer.lr"] == 0.01
    assert found["optimizer.weight_decay"] == 0.1
    assert found["optimizer.betas"] == [0.8, 0.9]
    assert found["optimizer.capturable"] is False
    assert "optimizer.params" not in found


def test_groups_share_their_parameters_but_for_those_that_differ(loops):
    model = loops.net()
    groups = [{"params": model[0].parameters()}, {"params": model[2].parameters(), "lr": 0.5}]
    loops.step(model, torch.optim.SGD(groups, lr=0.1, momentum=0.9))
    found = params(loops)
    assert found["optimizer.groups"] == 2
    assert (found["optimizer.0.lr"], found["optimizer.1.lr"]) == (0.1, 0.5)
    assert found["optimizer.momentum"] == 0.9
    assert "optimizer.lr" not in found


def test_the_optimizers_of_a_pair_and_their_models_have_their_names(loops):
    first, second = loops.net(1), loops.net(2, width=5)
    opt_a = torch.optim.SGD(first.parameters(), lr=0.1)
    opt_b = torch.optim.Adam(second.parameters(), lr=0.2)
    for _ in range(3):
        loops.step(first, opt_a)
        loops.step(second, opt_b)
    found = params(loops)
    assert (found["optimizer.opt_a"], found["optimizer.opt_b"]) == ("SGD", "Adam")
    assert (found["optimizer.opt_a.lr"], found["optimizer.opt_b.lr"]) == (0.1, 0.2)
    assert (found["model.opt_a.parameters"], found["model.opt_b.parameters"]) == (19, 31)


def test_an_optimizer_that_follows_another_is_the_second(loops):
    model = loops.net()
    loops.step(model, torch.optim.SGD(model.parameters(), lr=0.1))
    after = torch.optim.Adam(model.parameters(), lr=0.2)
    for _ in range(12):
        loops.step(model, after)
    found = params(loops)
    assert (found["optimizer"], found["optimizer.lr"]) == ("SGD", 0.1)
    assert (found["optimizer2"], found["optimizer2.lr"]) == ("Adam", 0.2)


@pytest.mark.parametrize(
    ("build", "expected"),
    [
        (
            lambda one: lr_scheduler.StepLR(one, 2, gamma=0.5),
            {"": "StepLR", ".step_size": 2, ".gamma": 0.5},
        ),
        (
            lambda one: lr_scheduler.OneCycleLR(one, max_lr=0.3, total_steps=9),
            {"": "OneCycleLR", ".max_lr": 0.3, ".total_steps": 9, ".pct_start": 0.3},
        ),
        (
            lambda one: lr_scheduler.ReduceLROnPlateau(one, patience=3),
            {"": "ReduceLROnPlateau", ".patience": 3, ".mode": "min"},
        ),
        (
            lambda one: lr_scheduler.LambdaLR(one, lambda epoch: 0.5**epoch),
            {"": "LambdaLR"},
        ),
        (
            lambda one: lr_scheduler.SequentialLR(
                one,
                [
                    lr_scheduler.LinearLR(one, 0.1, total_iters=2),
                    lr_scheduler.ExponentialLR(one, gamma=0.9),
                ],
                milestones=[2],
            ),
            {
                "": "SequentialLR",
                ".milestones": [2],
                ".0": "LinearLR",
                ".0.total_iters": 2,
                ".1": "ExponentialLR",
                ".1.gamma": 0.9,
            },
        ),
    ],
)
def test_a_scheduler_is_described_by_what_it_was_built_with(loops, build, expected):
    model = loops.net()
    optimizer = torch.optim.SGD(model.parameters(), lr=0.1, momentum=0.9)
    scheduler = build(optimizer)
    loops.step(model, optimizer)
    found = below(params(loops), "scheduler")
    assert expected.items() <= found.items()
    assert ".optimizer" not in found
    assert "scheduler2" not in params(loops)
    assert scheduler.optimizer is optimizer


def test_the_rate_of_an_optimizer_is_the_users_whatever_a_warm_up_does(loops):
    model = loops.net()
    optimizer = torch.optim.SGD(model.parameters(), lr=0.1)
    lr_scheduler.LinearLR(optimizer, 0.01, total_iters=10)
    loops.step(model, optimizer)
    assert params(loops)["optimizer.lr"] == 0.1
    assert loops.series("lr") == pytest.approx([0.001])


def test_a_scheduler_of_the_users_class_is_described_by_its_attributes(loops):
    class Mine(lr_scheduler.LRScheduler):
        def __init__(self, optimizer, factor):
            self.factor = factor
            super().__init__(optimizer)

        def get_lr(self):
            return [self.factor for _ in self.base_lrs]

    model = loops.net()
    optimizer = torch.optim.SGD(model.parameters(), lr=0.1)
    scheduler = Mine(optimizer, 0.25)
    loops.step(model, optimizer)
    found = below(params(loops), "scheduler")
    assert found == {"": "Mine", ".factor": 0.25}
    assert scheduler.factor == 0.25


def test_a_model_is_described_with_its_tree(loops):
    class Net(nn.Module):
        def __init__(self):
            super().__init__()
            self.body = nn.Sequential(nn.Linear(4, 3), nn.ReLU())
            self.head = nn.Linear(3, 1)
            self.again = self.head
            self.body.requires_grad_(False)

        def __repr__(self):
            raise AssertionError("not to be asked")

        def forward(self, x):
            return self.head(self.body(x))

    model = Net()
    loops.step(model, torch.optim.SGD(model.parameters(), lr=0.1))
    run = loops.run()
    found = params(loops)
    assert found["model"] == "Net"
    assert (found["model.parameters"], found["model.trainable_parameters"]) == (19, 4)
    assert (found["device"], found["dtype"]) == ("cpu", "float32")
    assert found["model.compiled"] is False
    assert autolog.get_artifact(run.run_id, "model.txt").read_text().splitlines() == [
        "Net",
        "  (body): Sequential",
        "    (0): Linear(in_features=4, out_features=3, bias=True)  # 15 parameters",
        "    (1): ReLU",
        "  (head): Linear(in_features=3, out_features=1, bias=True)  # 4 parameters",
        "  (again): Linear(in_features=3, out_features=1, bias=True)  # as above",
    ]


def test_wrappers_around_a_model_are_named(loops):
    model = loops.net()
    wrapped = torch.compile(nn.DataParallel(model), backend="eager")
    optimizer = torch.optim.SGD(model.parameters(), lr=0.1)
    loops.step(wrapped, optimizer)
    found = params(loops)
    assert found["model"] == "Sequential"
    assert found["model.compiled"] is True
    assert found["model.parallel"] == "DataParallel"


def test_averaged_weights_are_noted(loops):
    model = loops.net()
    average = AveragedModel(model, multi_avg_fn=get_ema_multi_avg_fn(0.9))
    loops.step(model, torch.optim.SGD(model.parameters(), lr=0.1))
    average.update_parameters(model)
    assert params(loops)["averaged_weights"] == "ema_update"


def test_mixed_precision_is_a_parameter(loops):
    model = loops.net()
    optimizer = torch.optim.SGD(model.parameters(), lr=0.1)
    scaler = torch.amp.GradScaler("cpu", init_scale=64.0)
    for _ in range(2):
        optimizer.zero_grad()
        with torch.autocast("cpu", dtype=torch.bfloat16):
            loss = functional.mse_loss(model(loops.X), loops.Y)
        scaler.scale(loss).backward()
        scaler.step(optimizer)
        scaler.update()
    found = params(loops)
    assert found["autocast"] == "bfloat16"
    assert found["grad_scaler.init_scale"] == 64.0


def test_without_mixed_precision_nothing_is_said_of_it(loops):
    model = loops.net()
    optimizer = torch.optim.SGD(model.parameters(), lr=0.1)
    with torch.autocast("cpu", dtype=torch.bfloat16, enabled=False):
        loops.step(model, optimizer)
    assert "autocast" not in params(loops)


def test_what_a_repetition_would_set_is_tagged(loops):
    torch.manual_seed(1234)
    model = loops.net()
    loops.step(model, torch.optim.SGD(model.parameters(), lr=0.1))
    tags = loops.run().tags
    assert tags["torch.seed"] == "1234"
    assert tags["torch.num_threads"] == "1"
    assert tags["torch.deterministic"] == "False"


def test_describing_draws_nothing_and_leaves_model_and_optimizer_as_they_are(loops):
    import pickle
    import random

    import numpy as np

    model = loops.net()
    optimizer = torch.optim.AdamW(model.parameters(), lr=0.1, foreach=True)
    lr_scheduler.StepLR(optimizer, 1)
    torch.manual_seed(5)
    before = (torch.get_rng_state().tolist(), random.getstate(), str(np.random.get_state()))
    options = {key: value for key, value in optimizer.param_groups[0].items() if key != "params"}
    shape = sorted(vars(model))
    loops.step(model, optimizer)
    after = (torch.get_rng_state().tolist(), random.getstate(), str(np.random.get_state()))
    assert before == after
    assert options == {k: v for k, v in optimizer.param_groups[0].items() if k != "params"}
    assert sorted(vars(model)) == shape
    assert pickle.loads(pickle.dumps(model)).state_dict().keys() == model.state_dict().keys()


def test_an_optimizer_without_a_module_is_described(loops):
    weight = torch.zeros(3, requires_grad=True)
    optimizer = torch.optim.SGD([weight], lr=0.1)
    (weight - 1).pow(2).sum().backward()
    optimizer.step()
    found = params(loops)
    assert found["optimizer"] == "SGD"
    assert "model" not in found
