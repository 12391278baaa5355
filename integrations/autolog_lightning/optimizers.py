"""The optimizers and schedulers of a fit: their names, their settings, their learning rates.

An optimizer goes by the attribute that the module keeps it under, else by its place (`opt0`); the
only one needs no name. The learning rate is read right after each step, when it is the one that the
step was made with: a moment later a scheduler has changed it.
"""

from __future__ import annotations

import sys
from collections.abc import Callable, Iterator
from importlib import import_module
from typing import Any, Final, cast

from autolog_lightning.extract import own_attributes
from autolog_lightning.recording import Recordings

__all__ = ["named", "optimizer_params", "scheduler_params", "watch_steps"]

_PLAIN: Final = (int, float, str)


def named(module: Any, optimizers: list[Any]) -> dict[int, str]:
    """Return the names of optimizers by their ids."""
    if len(optimizers) < 2:
        return {id(one): "" for one in optimizers}
    kept = {id(value): name for name, value in own_attributes(module).items()}
    return {id(one): kept.get(id(one), f"opt{at}") for at, one in enumerate(optimizers)}


def rates(name: str, optimizer: Any) -> Iterator[tuple[str, Any]]:
    """Give the learning rate of each group with what follows `lr/`."""
    groups = optimizer.param_groups
    if len(groups) == 1:
        yield name, groups[0].get("lr")
        return
    for at, group in enumerate(groups):
        yield f"{name or 'opt0'}/{at}", group.get("lr")


def watch_steps(recordings: Recordings, guarded: Callable[..., Any]) -> Callable[[], None]:
    """Note the learning rates of every optimizer step; returns what ends it."""
    module: Any = import_module("torch.optim.optimizer")

    def note_rates(optimizer: Any, *_: Any) -> None:
        recording = recordings.of_optimizer(optimizer)
        if recording is None or recording.muted:
            return
        for name, rate in rates(recording.optimizers[id(optimizer)], optimizer):
            if rate is not None:
                recording.add("lr", _value(rate), name)

    hook = guarded(note_rates)
    if "torch._dynamo" in sys.modules:  # a compiled step must not trace into it
        hook = import_module("torch.compiler").disable(hook)
    return module.register_optimizer_step_post_hook(hook).remove


def optimizer_params(module: Any, optimizers: list[Any]) -> dict[str, Any]:
    """Describe optimizers by class and by the settings of their groups that are on."""
    params: dict[str, Any] = {}
    for one, name in zip(optimizers, named(module, optimizers).values(), strict=True):
        prefix = f"optimizer.{name}" if name else "optimizer"
        params[prefix] = type(one).__name__
        groups = one.param_groups
        for at, group in enumerate(groups):
            inner = prefix if len(groups) == 1 else f"{prefix}.{at}"
            for key, value in group.items():
                if key != "params" and value is not None and value is not False:
                    params[f"{inner}.{key}"] = _setting(value)
    return params


def scheduler_params(configs: list[Any]) -> dict[str, Any]:
    """Describe schedulers by class, by when they step, and by their plain settings."""
    params: dict[str, Any] = {}
    for at, config in enumerate(configs):
        prefix = "scheduler" if len(configs) == 1 else f"scheduler.{config.name or at}"
        scheduler = config.scheduler
        params[prefix] = type(scheduler).__name__
        params[f"{prefix}.interval"] = config.interval
        if config.frequency != 1:
            params[f"{prefix}.frequency"] = config.frequency
        if config.monitor and "Plateau" in type(scheduler).__name__:
            params[f"{prefix}.monitor"] = config.monitor
        for key, value in own_attributes(scheduler).items():
            if not key.startswith("_") and key not in _MOVES and isinstance(value, _PLAIN):
                params[f"{prefix}.{key}"] = value
    return params


_MOVES: Final = frozenset(
    {"best", "cooldown_counter", "last_epoch", "num_bad_epochs", "verbose", "T_cur", "mode_worse"}
)
"""Attributes of schedulers that are state and not settings."""


def _value(rate: Any) -> Any:
    """Return a rate as it is now: one in a tensor, for CUDA graphs, is changed in place."""
    if isinstance(rate, (int, float)):
        return rate
    return rate.detach().clone() if rate.is_cuda else rate.item()


def _setting(value: Any) -> Any:
    if hasattr(value, "is_cuda"):
        return "Tensor" if value.is_cuda else value.item()
    return list(cast("tuple[Any, ...]", value)) if isinstance(value, tuple) else value
