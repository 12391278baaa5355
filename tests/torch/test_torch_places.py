"""Where loops run: threads, coroutines, estimators, studies, blocks; and what is left of them."""

from __future__ import annotations

import asyncio
import functools
import gc
import threading

import numpy as np
import pytest
import torch
from torch.optim.optimizer import _global_optimizer_post_hooks, _global_optimizer_pre_hooks

import autolog


def close(series, expected):
    return series == pytest.approx(expected, abs=0, rel=1e-6)


def in_threads(*functions):
    failed = []

    def run(function):
        try:
            function()
        except BaseException as error:
            failed.append(error)

    threads = [threading.Thread(target=run, args=(one,)) for one in functions]
    for one in threads:
        one.start()
    for one in threads:
        one.join()
    assert failed == []


@pytest.mark.edge_case("EC-T1")
def test_trainings_in_two_threads_are_two_complete_runs(loops):
    barrier = threading.Barrier(2)
    expected = {}

    def train(seed):
        model = loops.net(seed, 3 + seed)
        optimizer = torch.optim.SGD(model.parameters(), lr=0.1 + seed)
        barrier.wait()
        expected[0.1 + seed] = [loops.step(model, optimizer) for _ in range(12)]

    in_threads(lambda: train(0), lambda: train(1))
    autolog.end_run()
    runs = loops.runs()
    assert len(runs) == 2
    for run in runs:
        (rate,) = set(loops.series("lr", run))
        assert close(loops.series(run=run), expected[rate])


def test_threads_that_get_models_from_elsewhere_have_their_own_losses(loops):
    """Gradients are never read while another thread's engine changes them: that would crash."""
    barrier = threading.Barrier(4)
    expected, trainings = {}, []
    for seed in range(4):
        model = loops.net(seed, 20 + seed)
        trainings.append((seed, model, torch.optim.SGD(model.parameters(), lr=0.001 * (1 + seed))))

    def train(seed, model, optimizer):
        barrier.wait()
        expected[0.001 * (1 + seed)] = [loops.step(model, optimizer) for _ in range(150)]

    in_threads(*[functools.partial(train, *one) for one in trainings])
    autolog.end_run()
    runs = loops.runs()
    assert len(runs) == 4
    for run in runs:
        (rate,) = set(loops.series("lr", run))
        assert close(loops.series(run=run), expected[rate])


@pytest.mark.edge_case("EC-T2")
def test_a_training_in_a_thread_belongs_to_the_users_run(loops):
    losses = []

    def train():
        model = loops.net()
        optimizer = torch.optim.SGD(model.parameters(), lr=0.1)
        losses.extend(loops.step(model, optimizer) for _ in range(3))

    with autolog.start_run("mine"):
        in_threads(train)
    assert loops.run().name == "mine"
    assert close(loops.series(), losses)


def test_training_shared_parameters_in_several_threads_loses_no_step(loops):
    model = loops.net()
    lock = threading.Lock()

    def train():
        optimizer = torch.optim.SGD(model.parameters(), lr=0.01)
        for _ in range(10):
            with lock:  # a gradient is the sum of those of all threads
                loops.step(model, optimizer)

    in_threads(train, train, train)
    autolog.end_run()
    run = loops.run()
    rates = [key for key in run.metrics if key.startswith("lr")]
    points = [len(autolog.metric_history(run.run_id, key).step) for key in rates]
    assert sum(points) == 30


def test_a_wrapped_model_is_called_after_what_is_trained(loops):
    model = loops.net()
    wrapped = torch.nn.DataParallel(model)
    optimizer = torch.optim.SGD(wrapped.parameters(), lr=0.1)
    losses = [loops.step(wrapped, optimizer) for _ in range(2)]
    assert close(loops.series(), losses)
    assert loops.run().name.startswith("Sequential-")


def test_loops_in_coroutines_are_runs_of_their_own(loops):
    expected = []

    async def train(seed):
        model = loops.net(seed, 3 + seed)
        optimizer = torch.optim.SGD(model.parameters(), lr=0.1)
        losses = []
        for _ in range(3):
            losses.append(loops.step(model, optimizer))
            await asyncio.sleep(0)
        expected.append(losses)

    async def both():
        await train(0)
        await train(1)

    asyncio.run(both())
    autolog.end_run()
    assert [
        close(loops.series(run=run), one) for run, one in zip(loops.runs(), expected, strict=False)
    ] == [
        True,
        True,
    ]


def test_a_loop_in_an_estimators_fit_gives_its_series_to_that_run(recording, loops):
    from sklearn.base import BaseEstimator, RegressorMixin

    losses = []

    class Estimator(RegressorMixin, BaseEstimator):
        def fit(self, X, y):
            model = loops.net()
            optimizer = torch.optim.SGD(model.parameters(), lr=0.1)
            losses.extend(loops.step(model, optimizer) for _ in range(4))
            self.coef_ = [one.detach().numpy() for one in model.parameters()]
            return self

        def predict(self, X):
            return np.zeros(len(X))

    autolog.autolog("sklearn", "torch")
    Estimator().fit([[0.0], [1.0]], [0.0, 1.0])
    run = loops.run()
    assert (run.kind, run.status) == ("fit", "FINISHED")
    assert close(loops.series(), losses)


@pytest.mark.filterwarnings("ignore::optuna.exceptions.ExperimentalWarning")
def test_loops_in_a_study_are_runs_of_their_own(recording, loops):
    import optuna

    optuna.logging.set_verbosity(optuna.logging.ERROR)
    expected = []

    def objective(trial):
        model = loops.net(trial.number)
        rate = trial.suggest_float("rate", 0.01, 0.1)
        optimizer = torch.optim.SGD(model.parameters(), lr=rate)
        expected.append([loops.step(model, optimizer) for _ in range(3)])
        return expected[-1][-1]

    autolog.autolog("torch")
    study = optuna.create_study(sampler=optuna.samplers.RandomSampler(seed=0))
    study.optimize(objective, n_trials=3)
    autolog.end_run()
    trained = [run for run in loops.runs() if "train/loss" in run.metrics]
    assert [
        close(loops.series(run=run), one) for run, one in zip(trained, expected, strict=False)
    ] == [True] * 3


def test_nothing_of_torch_is_hooked_for_others(recording):
    code = torch.autograd.backward.__code__
    autolog.disable()
    autolog.autolog("sklearn")
    assert torch.autograd.backward.__code__ is code
    assert not _global_optimizer_post_hooks
    assert not _global_optimizer_pre_hooks


def traces():
    """Everything of torch that the hooks change."""
    from torch.nn.modules import module

    return {
        "backward": torch.autograd.backward.__code__,
        "init": vars(torch.optim.Optimizer)["__init__"],
        "scale": vars(torch.amp.GradScaler)["scale"],
        "step": vars(torch.amp.GradScaler)["step"],
        "setstate": vars(torch.nn.Module)["__setstate__"],
        "pre": dict(_global_optimizer_pre_hooks),
        "post": dict(_global_optimizer_post_hooks),
        "parameters": dict(module._global_parameter_registration_hooks),
        "modules": dict(module._global_module_registration_hooks),
    }


@pytest.mark.edge_case("EC-I2")
def test_switching_off_leaves_no_hook(recording):
    before = traces()
    with autolog.autolog("torch"):
        during = traces()
        assert [name for name in before if during[name] == before[name]] == []
        places = {site.place for site in autolog.status().sites if site.integration == "torch"}
        assert "torch.autograd:backward" in places
        assert "torch.optim.optimizer:Optimizer.__init__" in places
    assert traces() == before
    assert [site.place for site in autolog.status().sites] == []


@pytest.mark.edge_case("EC-I12")
def test_a_block_records_its_steps_and_no_others(recording, loops):
    autolog.disable()
    model = loops.net()
    optimizer = torch.optim.SGD(model.parameters(), lr=0.1)
    loops.step(model, optimizer)
    losses = []
    for _ in range(2):
        with autolog.autolog("torch"):
            losses.append([loops.step(model, optimizer) for _ in range(2)])
        loops.step(model, optimizer)
    runs = loops.runs()
    assert [close(loops.series(run=run), one) for run, one in zip(runs, losses, strict=False)] == [
        True,
        True,
    ]
    assert [run.status for run in runs] == ["FINISHED", "FINISHED"]


def test_hooks_hold_nothing_of_a_training(loops):
    import weakref

    model = loops.net()
    optimizer = torch.optim.SGD(model.parameters(), lr=0.1)
    loops.step(model, optimizer)
    things = [weakref.ref(one) for one in (model, optimizer, *model.parameters())]
    del model, optimizer
    gc.collect()
    assert [one() for one in things] == [None] * len(things)
