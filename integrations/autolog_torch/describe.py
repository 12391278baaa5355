"""What trains in a loop: its optimizers, schedulers and model, and the state of torch around it.

Recorded once, after the first step. Nothing is computed, drawn or read from another device.
"""

from __future__ import annotations

import weakref
from collections.abc import Mapping
from importlib import import_module
from typing import Any, Final

from autolog.integration import Capture, Detach, Loop, Tap
from autolog_torch import models
from autolog_torch.architecture import described, tree
from autolog_torch.compiling import compiling
from autolog_torch.current import on_loop
from autolog_torch.schedulers import plain, schedulers_of
from autolog_torch.steps import tracking

__all__ = ["attach"]

_STATE: Final = "torch.described"
_NOT_OPTIONS: Final = frozenset({"params", "param_names", "initial_lr"})

_averaged: list[tuple[weakref.ref[Any], str]] = []
"""Models whose weights are averaged, and by which function."""


def attach(capture: Capture) -> Detach:
    """Describe each loop and each optimizer in it."""
    averages: Any = import_module("torch.optim.swa_utils")
    undo = [
        on_loop(capture.guarded(_seen)),
        capture.tap(averages.AveragedModel, "__init__", Tap(exit=_averages, unless=compiling())),
    ]

    def detach() -> None:
        for one in undo:
            one()
        _averaged.clear()

    return detach


def _averages(_: Any, args: tuple[Any, ...], kwargs: Mapping[str, Any], __: Any) -> None:
    names = ("model", "device", "avg_fn", "multi_avg_fn")
    given: dict[str, Any] = {**dict(zip(names, args[1:], strict=False)), **kwargs}
    function = given.get("multi_avg_fn") or given.get("avg_fn")
    name = "mean" if function is None else str(plain(function)).rpartition(".")[2]
    _averaged[:] = [one for one in _averaged if one[0]() is not None]
    _averaged.append((weakref.ref(given["model"]), name))


def _seen(loop: Loop, optimizer: Any) -> None:
    """Record what has made its first step."""
    state = loop.span.state
    known: list[str] = state.setdefault(_STATE, [])
    known_as = tracking.of(optimizer).known
    first = not known
    if loop.several and known_as is not None:
        place = f".{known_as.label}"
    else:
        place = "" if first else str(len(known) + 1)
    known.append(place)
    params = _optimizer(optimizer, f"optimizer{place}")
    for at, scheduler in enumerate(schedulers_of(optimizer)):
        prefix = f"scheduler{place}" if at == 0 else f"scheduler{place}.{at + 1}"
        params |= {f"{prefix}{key}": value for key, value in scheduler.items()}
    module = models.of_optimizer(optimizer)
    if module is not None:
        params |= _model(loop, module, place, first=first)
    if first:
        for key, value in _surroundings().items():
            loop.span.tag(key, value)
    loop.span.params(params)


def _optimizer(optimizer: Any, prefix: str) -> dict[str, Any]:
    """Describe the options of all groups: once those that they share, else `optimizer.<i>.lr`."""
    found: dict[str, Any] = {prefix: type(optimizer).__name__}
    groups = [_options(group) for group in optimizer.param_groups]
    if len(groups) > 1:
        found[f"{prefix}.groups"] = len(groups)
    for key in dict.fromkeys(key for group in groups for key in group):
        values = [group.get(key) for group in groups]
        if all(value == values[0] for value in values):
            found[f"{prefix}.{key}"] = values[0]
        else:
            found |= {f"{prefix}.{at}.{key}": value for at, value in enumerate(values)}
    return found


def _options(group: dict[str, Any]) -> dict[str, Any]:
    """Return the options of a group; the rate is the one that a scheduler began with."""
    options = {key: plain(value) for key, value in group.items() if key not in _NOT_OPTIONS}
    if "initial_lr" in group:
        options["lr"] = plain(group["initial_lr"])
    return options


def _model(loop: Loop, module: Any, place: str, *, first: bool) -> dict[str, Any]:
    params = described(module)
    if first:
        loop.span.artifact("model.txt", tree(module).encode())
    else:  # the second half of a pair, or the same model with another optimizer
        path = f"model{place}.txt" if place.startswith(".") else None
        if path is None:
            return {}
        loop.span.artifact(path.replace(".", "_", 1), tree(module).encode())
    if place.startswith("."):
        params = {
            key.replace("model", f"model{place}", 1)
            if key.startswith("model")
            else f"{key}{place}": v
            for key, v in params.items()
        }
    averaged = [name for reference, name in _averaged if reference() is module]
    if averaged:
        params["averaged_weights"] = averaged[-1]
    return params


def _surroundings() -> dict[str, str]:
    """Describe the state of torch: what a repetition would have to set."""
    torch: Any = import_module("torch")
    found = {
        "torch.seed": torch.initial_seed(),
        "torch.num_threads": torch.get_num_threads(),
        "torch.deterministic": torch.are_deterministic_algorithms_enabled(),
        "torch.matmul_precision": torch.get_float32_matmul_precision(),
    }
    if torch.cuda.is_initialized():
        found |= {
            "torch.cuda_seed": torch.cuda.initial_seed(),
            "torch.cudnn_benchmark": torch.backends.cudnn.benchmark,
            "torch.cudnn_deterministic": torch.backends.cudnn.deterministic,
            "torch.device_name": torch.cuda.get_device_name(),
        }
    return {key: str(value) for key, value in found.items()}
