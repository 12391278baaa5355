"""Unmodified training loops in many styles: each gives exactly the series that it computed."""

from __future__ import annotations

import copy
import gc

import pytest
import torch
from torch.nn import functional

import autolog


def close(series, expected):
    return series == pytest.approx(expected, abs=0, rel=1e-6)


def test_a_plain_loop_is_one_run_with_a_point_for_each_step(loops):
    model = loops.net()
    optimizer = torch.optim.SGD(model.parameters(), lr=0.1)
    losses = [loops.step(model, optimizer, x, y) for _ in range(2) for x, y in loops.batches()]
    run = loops.run()
    assert (run.kind, run.status, run.name[:11]) == ("loop", "RUNNING", "Sequential-")
    assert close(loops.series(), losses)
    assert loops.series("lr") == [0.1] * 8


def test_the_learning_rate_is_that_of_each_step(loops):
    model = loops.net()
    optimizer = torch.optim.SGD(model.parameters(), lr=1.0)
    scheduler = torch.optim.lr_scheduler.StepLR(optimizer, 1, gamma=0.5)
    for _ in range(4):
        loops.step(model, optimizer)
        scheduler.step()
    assert loops.series("lr") == [1.0, 0.5, 0.25, 0.125]


def test_each_parameter_group_has_its_learning_rate(loops):
    model = loops.net()
    groups = [{"params": model[0].parameters()}, {"params": model[2].parameters(), "lr": 0.5}]
    optimizer = torch.optim.SGD(groups, lr=0.1)
    loops.step(model, optimizer)
    assert loops.series("lr/optimizer/0") == [0.1]
    assert loops.series("lr/optimizer/1") == [0.5]


def test_accumulated_losses_are_those_of_the_batch(loops):
    model = loops.net()
    optimizer = torch.optim.SGD(model.parameters(), lr=0.1)
    expected, total = [], 0.0
    for number, (x, y) in enumerate(loops.batches(4), 1):
        loss = functional.mse_loss(model(x), y) / 4
        loss.backward()
        total += loss.item()
        if number % 4 == 0:
            optimizer.step()
            optimizer.zero_grad()
            expected.append(total)
            total = 0.0
    assert close(loops.series(), expected)
    assert len(expected) == 2


@pytest.mark.parametrize("to_none", [True, False])
def test_each_optimizer_of_a_gan_has_the_losses_that_moved_its_gradients(loops, to_none):
    generator, discriminator = loops.net(1), loops.net(2, width=5)
    optimizerD = torch.optim.Adam(discriminator.parameters(), lr=0.01)
    optimizerG = torch.optim.Adam(generator.parameters(), lr=0.02)
    one, zero = torch.ones(8, 1), torch.zeros(8, 1)
    of_d, of_g = [], []
    loss = functional.binary_cross_entropy_with_logits
    for x, _ in loops.batches() * 2:
        optimizerD.zero_grad(set_to_none=to_none)
        real = loss(discriminator(x), one)
        real.backward()
        fake_data = generator(x).expand(-1, 4)
        fake = loss(discriminator(fake_data.detach()), zero)
        fake.backward()
        optimizerD.step()
        optimizerG.zero_grad(set_to_none=to_none)
        fooled = loss(discriminator(fake_data), one)
        fooled.backward()
        optimizerG.step()
        of_d.append((real + fake).item())
        of_g.append(fooled.item())
    assert loops.metrics() == [
        *("lr/optimizerD", "lr/optimizerG", "train/loss/optimizerD", "train/loss/optimizerG"),
    ]
    assert close(loops.series("train/loss/optimizerD"), of_d)
    assert close(loops.series("train/loss/optimizerG"), of_g)


def test_both_backwards_before_both_steps_give_each_its_own(loops):
    generator, discriminator = loops.net(1), loops.net(2, width=5)
    opt_g = torch.optim.SGD(generator.parameters(), lr=0.1)
    opt_d = torch.optim.SGD(discriminator.parameters(), lr=0.1)
    of_d, of_g = [], []
    for x, _ in loops.batches():
        opt_g.zero_grad()
        opt_d.zero_grad()
        fake = generator(x).expand(-1, 4)
        d_loss = discriminator(x).square().mean() + discriminator(fake.detach()).abs().mean()
        d_loss.backward()
        discriminator.requires_grad_(False)
        g_loss = discriminator(fake).square().mean()
        g_loss.backward()
        discriminator.requires_grad_(True)
        opt_d.step()
        opt_g.step()
        of_d.append(d_loss.item())
        of_g.append(g_loss.item())
    assert close(loops.series("train/loss/opt_d"), of_d)
    assert close(loops.series("train/loss/opt_g"), of_g)


def test_a_critic_that_steps_more_often_has_more_points(loops):
    actor, critic = loops.net(1), loops.net(2, width=5)
    critic_optimizer = torch.optim.RMSprop(critic.parameters(), lr=0.01)
    actor_optimizer = torch.optim.RMSprop(actor.parameters(), lr=0.01)
    of_critic, of_actor = [], []
    for _ in range(4):
        of_critic += [loops.step(critic, critic_optimizer) for _ in range(5)]
        of_actor.append(loops.step(actor, actor_optimizer))
    assert close(loops.series("train/loss/critic_optimizer"), of_critic)
    assert close(loops.series("train/loss/actor_optimizer"), of_actor)


def test_a_closure_gives_the_loss_at_which_the_step_began(loops):
    model = loops.net()
    optimizer = torch.optim.LBFGS(model.parameters(), lr=0.5, max_iter=4)
    first = []

    def closure():
        optimizer.zero_grad()
        loss = functional.mse_loss(model(loops.X), loops.Y)
        loss.backward()
        evaluated.append(loss.item())
        return loss

    for _ in range(3):
        evaluated = []
        optimizer.step(closure)
        first.append(evaluated[0])
    assert close(loops.series(), first)


@pytest.mark.parametrize("scaler_name", ["torch.amp.GradScaler", "torch.cuda.amp.GradScaler"])
@pytest.mark.filterwarnings("ignore:.*torch.cuda.amp.GradScaler:FutureWarning")
@pytest.mark.filterwarnings("ignore:.*CUDA is not available")
def test_the_scale_of_a_loss_is_undone(loops, scaler_name):
    model = loops.net()
    optimizer = torch.optim.SGD(model.parameters(), lr=0.1)
    if scaler_name == "torch.amp.GradScaler":
        scaler = torch.amp.GradScaler("cpu", init_scale=1024.0)
    else:
        scaler = torch.cuda.amp.GradScaler(init_scale=1024.0)
    losses = []
    for x, y in loops.batches():
        optimizer.zero_grad()
        with torch.autocast("cpu", torch.bfloat16):
            loss = functional.mse_loss(model(x), y)
        scaler.scale(loss).backward()
        scaler.step(optimizer)
        scaler.update()
        losses.append(loss.item())
    assert close(loops.series(), losses)


def test_a_step_that_the_scaler_skipped_is_an_event_without_a_point(loops):
    model = loops.net()
    optimizer = torch.optim.SGD(model.parameters(), lr=0.1)
    scaler = torch.amp.GradScaler("cpu", init_scale=64.0)
    losses = []
    for number, (x, y) in enumerate(loops.batches()):
        optimizer.zero_grad()
        loss = functional.mse_loss(model(x), y)
        scaled = scaler.scale(loss * (float("inf") if number == 1 else 1.0))
        scaled.backward()
        scaler.step(optimizer)
        scaler.update()
        if number != 1:
            losses.append(loss.item())
    assert close(loops.series(), losses)
    (event,) = loops.recording.events("step_skipped")
    assert event == {"step": 1, "scale": 64.0}


def test_an_optimizer_of_the_users_own_is_seen(loops):
    class Signed(torch.optim.Optimizer):
        def __init__(self, parameters, lr):
            super().__init__(parameters, {"lr": lr})

        @torch.no_grad()
        def step(self, closure=None):
            for group in self.param_groups:
                for parameter in group["params"]:
                    parameter.sub_(group["lr"] * parameter.grad.sign())

    model = loops.net()
    mine = Signed(model.parameters(), lr=0.01)
    losses = [loops.step(model, mine) for _ in range(3)]
    assert close(loops.series(), losses)
    assert loops.series("lr") == [0.01] * 3


def test_an_optimizer_around_another_makes_one_step(loops):
    class Lookahead(torch.optim.Optimizer):
        def __init__(self, base):
            self.base = base
            super().__init__(base.param_groups, {"lr": 0.0})

        def step(self, closure=None):
            self.base.step()

    model = loops.net()
    optimizer = Lookahead(torch.optim.SGD(model.parameters(), lr=0.1))
    losses = [loops.step(model, optimizer) for _ in range(10)]
    assert close(loops.series(), losses)


@pytest.mark.parametrize("options", [{"foreach": True}, {"fused": True}])
def test_fused_and_foreach_optimizers_are_seen(loops, options):
    model = loops.net()
    optimizer = torch.optim.AdamW(model.parameters(), lr=0.01, **options)
    losses = [loops.step(model, optimizer) for _ in range(3)]
    assert close(loops.series(), losses)


def test_a_moving_average_of_the_weights_is_no_training(loops):
    model = loops.net()
    average = torch.optim.swa_utils.AveragedModel(model)
    optimizer = torch.optim.SGD(model.parameters(), lr=0.1)
    losses = []
    for _ in range(3):
        losses.append(loops.step(model, optimizer))
        average.update_parameters(model)
    assert close(loops.series(), losses)


@pytest.mark.filterwarnings("ignore:.*torch.cpu.amp.autocast:FutureWarning")
def test_gradient_checkpointing_counts_one_backward(loops):
    from torch.utils.checkpoint import checkpoint

    model = loops.net()
    optimizer = torch.optim.SGD(model.parameters(), lr=0.1)
    losses = []
    for reentrant in (False, True, False):
        optimizer.zero_grad()
        x = loops.X.clone().requires_grad_()
        loss = functional.mse_loss(checkpoint(model, x, use_reentrant=reentrant), loops.Y)
        loss.backward()
        optimizer.step()
        losses.append(loss.item())
    assert close(loops.series(), losses)


def test_a_loop_of_reinforcement_learning_is_one_run(loops):
    actor, critic = loops.net(1, width=4), loops.net(2, width=6)
    pi, q = (torch.optim.Adam(part.parameters(), lr=0.01) for part in (actor, critic))
    of_pi, of_q = [], []
    for x, y in loops.batches() * 3:
        q_loss = functional.mse_loss(critic(x), y)
        q.zero_grad()
        q_loss.backward()
        q.step()
        pi_loss = -critic(actor(x).expand(-1, 4)).mean()
        pi.zero_grad()
        pi_loss.backward()
        pi.step()
        of_q.append(q_loss.item())
        of_pi.append(pi_loss.item())
    run = loops.run()
    losses = [key for key in run.metrics if key.startswith("train/loss/")]
    assert sorted(losses) == ["train/loss/opt0", "train/loss/opt1"]
    assert close(loops.series("train/loss/opt0"), of_pi)
    assert close(loops.series("train/loss/opt1"), of_q)


def test_models_that_are_trained_one_after_another_are_runs_of_their_own(loops):
    expected = []
    for seed in range(3):
        model = loops.net(seed)
        optimizer = torch.optim.SGD(model.parameters(), lr=0.1)
        expected.append([loops.step(model, optimizer) for _ in range(4)])
    runs = loops.runs()
    assert [close(loops.series(run=run), one) for run, one in zip(runs, expected, strict=True)] == [
        True
    ] * 3
    assert [run.parent_id for run in runs] == [None] * 3


@pytest.mark.parametrize("steps", [3, 12])
@pytest.mark.parametrize("widths", [(3, 3, 3), (3, 4, 5)])
def test_folds_that_were_built_up_front_are_runs_of_their_own(loops, steps, widths):
    models = [loops.net(seed, width) for seed, width in enumerate(widths)]
    optimizers = [torch.optim.SGD(model.parameters(), lr=0.1) for model in models]
    expected = []
    for model, optimizer in zip(models, optimizers, strict=True):
        expected.append([loops.step(model, optimizer) for _ in range(steps)])
    autolog.end_run()
    runs = loops.runs()
    assert len(runs) == 3
    for run, losses in zip(runs, expected, strict=True):
        assert close(loops.series(run=run), losses)


def test_a_body_that_is_unfrozen_later_is_the_same_training(loops):
    model = loops.net()
    model[0].requires_grad_(False)
    head = torch.optim.SGD(model[2].parameters(), lr=0.1)
    losses = [loops.step(model, head) for _ in range(3)]
    model[0].requires_grad_(True)
    body = torch.optim.SGD(model[0].parameters(), lr=0.01)
    losses += [loops.step(model, body) for _ in range(10)]
    assert close(loops.series(), losses)
    assert loops.series("lr") == [0.1] * 3 + [0.01] * 10


def test_a_second_optimizer_over_the_whole_model_goes_on(loops):
    model = loops.net()
    optimizer = torch.optim.SGD(model[2].parameters(), lr=0.1)
    losses = [loops.step(model, optimizer) for _ in range(3)]
    optimizer = torch.optim.Adam(model.parameters(), lr=0.01)
    losses += [loops.step(model, optimizer) for _ in range(3)]
    assert close(loops.series(), losses)


def test_a_pretrained_discriminator_and_its_generator_are_one_run(loops):
    generator, discriminator = loops.net(1), loops.net(2, width=5)
    opt_d = torch.optim.SGD(discriminator.parameters(), lr=0.1)
    before = [loops.step(discriminator, opt_d) for _ in range(3)]
    opt_g = torch.optim.SGD(generator.parameters(), lr=0.1)
    of_g, of_d = [], []
    for _ in range(3):
        of_d.append(loops.step(discriminator, opt_d))
        opt_g.zero_grad()
        loss = discriminator(generator(loops.X).expand(-1, 4)).mean()
        loss.backward()
        opt_g.step()
        of_g.append(loss.item())
    run = loops.run()
    assert close(loops.series("train/loss", run)[:4], before + of_d[:1])
    assert close(loops.series("train/loss/opt_g", run), of_g)


def test_the_inner_steps_of_meta_learning_are_one_child(loops):
    model = loops.net()
    outer = torch.optim.Adam(model.parameters(), lr=0.01)
    of_outer, of_inner = [], []
    for _ in range(4):
        for _ in range(3):
            fast = copy.deepcopy(model)
            inner = torch.optim.SGD(fast.parameters(), lr=0.01)
            of_inner += [loops.step(fast, inner) for _ in range(2)]
        of_outer.append(loops.step(model, outer))
    root, child = loops.runs()
    assert (root.kind, root.parent_id) == ("loop", None)
    assert (child.kind, child.parent_id) == ("inner", root.run_id)
    assert close(loops.series(run=root), of_outer)
    assert close(loops.series(run=child), of_inner)


def test_clients_of_federated_averaging_that_return_are_inner_work(loops):
    models = [loops.net(seed) for seed in range(3)]
    optimizers = [torch.optim.SGD(model.parameters(), lr=0.1) for model in models]
    for _ in range(3):
        for model, optimizer in zip(models, optimizers, strict=True):
            for _ in range(9):
                loops.step(model, optimizer)
        with torch.no_grad():
            for parts in zip(*(model.parameters() for model in models), strict=True):
                mean = torch.stack(parts).mean(0)
                for part in parts:
                    part.copy_(mean)
    first, *rest = loops.runs()
    assert first.parent_id is None
    assert {(run.kind, run.parent_id) for run in rest} == {("inner", first.run_id)}
    assert [len(loops.series(run=run)) for run in (first, *rest)] == [27, 27, 27]


def test_a_probe_after_each_epoch_is_inner_work(loops):
    model = loops.net()
    optimizer = torch.optim.Adam(model.parameters())
    losses = []
    for _ in range(4):
        losses.append(loops.step(model, optimizer))
        probe = torch.nn.Linear(4, 1)
        probing = torch.optim.SGD(probe.parameters(), lr=0.1)
        for _ in range(2):
            loops.step(probe, probing)
    autolog.end_run()
    root, child = loops.runs()
    assert (child.kind, child.parent_id) == ("inner", root.run_id)
    assert close(loops.series(run=root), losses)
    assert len(loops.series(run=child)) == 8


def test_a_loop_in_the_users_run_joins_it(loops):
    model = loops.net()
    optimizer = torch.optim.SGD(model.parameters(), lr=0.1)
    with autolog.start_run("mine") as run:
        losses = [loops.step(model, optimizer) for _ in range(3)]
        autolog.log_metric("extra", 1.0)
    found = loops.run()
    assert (found.run_id, found.status) == (run.run_id, "FINISHED")
    assert close(loops.series(), losses)
    assert autolog.metric_history(run.run_id, "extra").step.tolist() == [2]


def test_folds_in_the_users_run_are_its_children(loops):
    with autolog.start_run("mine", fits="children") as run:
        for seed in range(3):
            model = loops.net(seed)
            optimizer = torch.optim.SGD(model.parameters(), lr=0.1)
            loops.step(model, optimizer)
    assert [one.parent_id for one in loops.runs()] == [None, *[run.run_id] * 3]


def test_the_run_ends_when_its_parameters_are_gone(loops):
    model = loops.net()
    optimizer = torch.optim.SGD(model.parameters(), lr=0.1)
    loops.step(model, optimizer)
    assert loops.run().status == "RUNNING"
    del model, optimizer
    gc.collect()
    assert loops.run().status == "FINISHED"


def test_end_run_ends_the_loop_and_a_later_step_reopens_it(loops):
    model = loops.net()
    optimizer = torch.optim.SGD(model.parameters(), lr=0.1)
    losses = [loops.step(model, optimizer)]
    autolog.end_run()
    assert loops.run().status == "FINISHED"
    losses.append(loops.step(model, optimizer))
    assert loops.run().status == "RUNNING"
    assert close(loops.series(), losses)


def test_a_suspended_loop_records_nothing(loops):
    model = loops.net()
    optimizer = torch.optim.SGD(model.parameters(), lr=0.1)
    with autolog.suspend():
        loops.step(model, optimizer)
    assert loops.runs() == []


def test_a_loop_whose_optimizer_was_there_before_autolog_is_recorded(recording, loops):
    autolog.disable()
    model = loops.net()
    optimizer = torch.optim.SGD(model.parameters(), lr=0.1)
    loops.step(model, optimizer)
    autolog.autolog("torch")
    losses = [loops.step(model, optimizer) for _ in range(2)]
    assert close(loops.series(), losses)
    assert loops.run().name.startswith("Sequential-")
    autolog.disable()
    loops.step(model, optimizer)
    assert len(loops.series()) == 2


def test_one_optimizer_over_parts_with_losses_of_their_own_has_their_sum(loops):
    actor, critic = loops.net(1), loops.net(2)
    both = torch.optim.SGD([*actor.parameters(), *critic.parameters()], lr=0.1)
    expected = []
    for x, y in loops.batches():
        both.zero_grad()
        one = functional.mse_loss(actor(x), y)
        one.backward()
        two = functional.l1_loss(critic(x), y)
        two.backward()
        both.step()
        expected.append((one + two).item())
    assert close(loops.series(), expected)


def test_a_loss_with_several_elements_is_not_made_up(loops):
    model = loops.net()
    optimizer = torch.optim.SGD(model.parameters(), lr=0.1)
    (model(loops.X) - loops.Y).square().backward(torch.ones(32, 1))
    optimizer.step()
    assert loops.metrics() == ["lr"]
    assert any("single loss" in event["text"] for event in loops.recording.events("notice"))


def test_the_same_model_in_two_runs_of_the_user_goes_on_in_the_second(loops):
    model = loops.net()
    optimizer = torch.optim.SGD(model.parameters(), lr=0.1)
    expected = []
    for name in ("a", "b"):
        with autolog.start_run(name):
            expected.append([loops.step(model, optimizer) for _ in range(3)])
    first, second = loops.runs()
    assert (first.name, second.name) == ("a", "b")
    assert close(loops.series(run=first), expected[0])
    assert close(loops.series(run=second), expected[1])


def test_a_training_that_goes_on_outside_the_users_run_has_a_run_of_its_own(loops):
    model = loops.net()
    optimizer = torch.optim.SGD(model.parameters(), lr=0.1)
    with autolog.start_run("mine"):
        loops.step(model, optimizer)
    loops.step(model, optimizer)
    mine, own = loops.runs()
    assert (mine.name, mine.status, own.kind) == ("mine", "FINISHED", "loop")
    assert [len(loops.series(run=run)) for run in (mine, own)] == [1, 1]


def test_each_fold_has_its_run_where_loaders_tell_passes_apart(loops):
    from torch.utils.data import DataLoader, TensorDataset

    models = [loops.net(seed) for seed in range(3)]
    optimizers = [torch.optim.SGD(model.parameters(), lr=0.1) for model in models]
    expected = []
    for model, optimizer in zip(models, optimizers, strict=True):
        loader = DataLoader(TensorDataset(loops.X, loops.Y), batch_size=16)
        expected.append([loops.step(model, optimizer, x, y) for _ in range(2) for x, y in loader])
    runs = loops.runs()
    assert len(runs) == 3
    for run, losses in zip(runs, expected, strict=True):
        assert close(loops.series(run=run), losses)
    assert [run.status for run in runs] == ["FINISHED", "FINISHED", "RUNNING"]


def test_more_unrelated_trainings_than_a_listing_can_bear_fold_into_one_run(loops, monkeypatch):
    monkeypatch.setattr("autolog.capture.optimizers.MAX_LOOP_RUNS", 3)
    keep = []
    for seed in range(6):
        model = loops.net(seed)
        optimizer = torch.optim.SGD(model.parameters(), lr=0.1)
        keep.append((model, optimizer))
        for _ in range(2):
            loops.step(model, optimizer)
    runs = loops.runs()
    assert len(runs) <= 4
    assert sum(len(loops.series(run=run)) for run in runs) == 12
