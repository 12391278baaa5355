"""Quirks of PyTorch, each proved with its guard and without: see compat_matrix.yaml.

The guards are the way that steps and losses are seen; the unguarded legs do it as one would at
first: a wrapper around `step`, or one that is traced. Beside the quirks stands what must hold in
every cell of the matrix.
"""

from __future__ import annotations

import contextlib
import functools
import subprocess
import sys
from collections.abc import Iterator
from contextvars import ContextVar
from typing import Any

import pytest

import autolog

torch = pytest.importorskip("torch")

torch.set_num_threads(1)

pytestmark = [  # which torch gives of itself while it compiles an update
    pytest.mark.filterwarnings("ignore:.*torch.jit.*:DeprecationWarning"),
    pytest.mark.filterwarnings("ignore:The .grad attribute of a Tensor that is not a leaf"),
]


def training(lr: float = 0.1) -> tuple[Any, Any]:
    model = torch.nn.Linear(2, 1)
    return model, torch.optim.SGD(model.parameters(), lr=lr)


def step(model: Any, optimizer: Any) -> float:
    optimizer.zero_grad()
    loss = model(torch.ones(3, 2)).square().mean()
    loss.backward()
    optimizer.step()
    return loss.item()


@contextlib.contextmanager
def watched(recording: Any, naive: Any) -> Iterator[Any]:
    """Count the steps that autolog records, or those that a naive wrapper sees."""
    seen: list[Any] = []
    if naive is None:
        with autolog.autolog("torch"):
            yield lambda: len(values(recording.run(), "train/loss"))
        return
    owner, attribute = naive.owner(), "step"
    original = vars(owner)[attribute]
    naive.wrap(owner, attribute, seen)
    try:
        yield lambda: len(seen)
    finally:
        setattr(owner, attribute, original)


def values(run: Any, key: str) -> list[float]:
    return autolog.metric_history(run.run_id, key).value.tolist()


class Proxy:
    """wrapt's stock wrapper of a method."""

    @staticmethod
    def owner() -> Any:
        training()  # its class is prepared by torch when it is first used
        return torch.optim.SGD

    @staticmethod
    def wrap(owner: Any, attribute: str, seen: list[Any]) -> None:
        import wrapt

        def wrapper(wrapped: Any, _: Any, args: Any, kwargs: Any) -> Any:
            seen.append(attribute)
            return wrapped(*args, **kwargs)

        wrapt.wrap_function_wrapper(owner, attribute, wrapper)


class OfTheBase:
    """A function in the place of the base class's method."""

    @staticmethod
    def owner() -> Any:
        return torch.optim.Optimizer

    @staticmethod
    def wrap(owner: Any, attribute: str, seen: list[Any]) -> None:
        original = vars(owner)[attribute]

        @functools.wraps(original)
        def swapped(*args: Any, **kwargs: Any) -> Any:
            seen.append(attribute)
            return original(*args, **kwargs)

        setattr(owner, attribute, swapped)


@pytest.mark.quirk("torch-lrscheduler-bypasses-proxy")
def test_steps_are_seen_with_a_scheduler_attached(recording: Any, guarded: bool) -> None:
    with watched(recording, None if guarded else Proxy) as count:
        model, optimizer = training()
        scheduler = torch.optim.lr_scheduler.StepLR(optimizer, 1)
        for _ in range(3):
            step(model, optimizer)
            scheduler.step()
        assert count() == 3


@pytest.mark.quirk("torch-base-step-patch-unseen")
def test_steps_of_every_class_are_seen(recording: Any, guarded: bool) -> None:
    with watched(recording, None if guarded else OfTheBase) as count:
        model, optimizer = training()
        for _ in range(3):
            step(model, optimizer)
        assert count() == 3


@pytest.mark.quirk("torch-optimizer-init-buries-step-patch")
def test_what_watches_steps_is_removed_after_the_first_optimizer(
    recording: Any, guarded: bool
) -> None:
    class Own(torch.optim.SGD):
        """A class that torch has not prepared yet."""

        def step(self, closure: Any = None) -> Any:
            return super().step(closure)

    model = torch.nn.Linear(2, 1)
    if guarded:
        with autolog.autolog("torch"):
            optimizer = Own(model.parameters(), lr=0.1)
            step(model, optimizer)
        seen = values(recording.run(), "train/loss")
    else:
        import wrapt

        seen = []

        def factory(original: Any) -> Any:
            @functools.wraps(original)
            def wrapper(*args: Any, **kwargs: Any) -> Any:
                seen.append("step")
                return original(*args, **kwargs)

            return wrapper

        handle = wrapt.wrap_object(Own, "step", factory)
        optimizer = Own(model.parameters(), lr=0.1)
        step(model, optimizer)
        wrapt.unwrap_object(Own, "step", handle)
    step(model, optimizer)
    assert len(seen) == 1


@pytest.mark.quirk("torch-dynamo-contextvar-in-wrapper")
def test_a_model_with_its_loss_compiles_as_one_graph(recording: Any, guarded: bool) -> None:
    functional = torch.nn.functional
    original = functional.mse_loss
    current: ContextVar[Any] = ContextVar("current", default=None)

    def traced(*args: Any, **kwargs: Any) -> Any:
        current.set(current.get())
        return original(*args, **kwargs)

    model, optimizer = training()

    def loss_of(x: Any) -> Any:
        return functional.mse_loss(model(x), torch.zeros(3, 1))

    with contextlib.ExitStack() as stack:
        if guarded:
            stack.enter_context(autolog.autolog("torch"))
        else:
            functional.mse_loss = traced
            stack.callback(setattr, functional, "mse_loss", original)
        stack.callback(torch.compiler.reset)
        compiled = torch.compile(loss_of, backend="eager", fullgraph=True)
        losses = []
        for _ in range(3):
            optimizer.zero_grad()
            loss = compiled(torch.ones(3, 2))
            loss.backward()
            optimizer.step()
            losses.append(loss.item())
    assert values(recording.run(), "train/loss") == pytest.approx(losses)


HALFWAY = """
import sys
how = sys.argv[1]

if how == "guarded":
    import autolog
    autolog.autolog("torch", strict=True)
else:
    import wrapt

    @wrapt.when_imported("torch.optim.optimizer")
    def attach(module):
        from torch.compiler import is_compiling
        assert not is_compiling()

import torch

if how == "guarded":
    status = autolog.status()
    assert status.notices == (), status.notices
    mine = [one for one in status.sites if one.integration == "torch" and one.state != "waiting"]
    assert any(one.attribute == "autolog_torch.steps:attach" for one in mine), mine
    assert {one.state for one in mine} <= {"applied", "skipped"}, mine
"""


@pytest.mark.quirk("torch-half-imported-cannot-be-asked")
def test_torch_can_be_imported_while_it_is_waited_for(guarded: bool) -> None:
    how = "guarded" if guarded else "naive"
    command = [sys.executable, "-c", HALFWAY, how]
    done = subprocess.run(command, capture_output=True, text=True, timeout=300)
    if done.returncode > 0 and "partially initialized module 'torch'" not in done.stderr:
        raise RuntimeError(done.stderr)  # a program that breaks otherwise proves no quirk
    assert done.returncode == 0


@pytest.mark.quirk("torch-dynamo-traces-hooks")
def test_a_compiled_training_step_gives_every_point(recording: Any, guarded: bool) -> None:
    del guarded
    autolog.autolog("torch")
    model, optimizer = training()
    compiled = torch.compile(step_without_item, backend="eager")
    with contextlib.ExitStack() as stack:
        stack.callback(torch.compiler.reset)
        losses = [compiled(model, optimizer).item() for _ in range(4)]
    assert values(recording.run(), "train/loss") == pytest.approx(losses)


def step_without_item(model: Any, optimizer: Any) -> Any:
    optimizer.zero_grad()
    loss = model(torch.ones(3, 2)).square().mean()
    loss.backward()
    optimizer.step()
    return loss.detach()


# --- in every cell -----------------------------------------------------------------------------


def test_the_hooks_that_steps_are_seen_by_are_there_and_go_away(recording: Any) -> None:
    from torch.optim import optimizer as module

    code = torch.autograd.backward.__code__
    with autolog.autolog("torch"):
        assert len(module._global_optimizer_post_hooks) == 1
        assert len(module._global_optimizer_pre_hooks) == 1
        assert torch.autograd.backward.__code__ is not code
        sites = [one for one in autolog.status().sites if one.integration == "torch"]
        assert {one.state for one in sites} <= {"applied", "skipped", "waiting"}, sites
    assert not module._global_optimizer_post_hooks
    assert not module._global_optimizer_pre_hooks
    assert torch.autograd.backward.__code__ is code


def test_every_point_of_a_training_is_recorded(recording: Any) -> None:
    autolog.autolog("torch")
    model, optimizer = training()
    scaler = torch.amp.GradScaler("cpu", init_scale=8.0)
    losses = []
    for number in range(4):
        optimizer.zero_grad()
        loss = model(torch.ones(3, 2)).square().mean()
        (scaler.scale(loss) if number % 2 else loss).backward()
        (scaler.step(optimizer) if number % 2 else optimizer.step())
        if number % 2:
            scaler.update()
        losses.append(loss.item())
    run = recording.run()
    assert values(run, "train/loss") == pytest.approx(losses)
    assert values(run, "lr") == [0.1] * 4
