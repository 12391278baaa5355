"""Learning-rate schedulers: their class and what they were built with.

A scheduler of torch's own keeps only some of its arguments; they are noted as it is built, as plain
values. A user's class is described by the attributes that are called like its parameters.
"""

from __future__ import annotations

import inspect
import weakref
from collections.abc import Callable, Mapping
from importlib import import_module
from typing import Any

from autolog.integration import Capture, Detach, Tap
from autolog_torch.compiling import compiling

__all__ = ["attach", "plain", "schedulers_of"]

_LEFT_OUT = frozenset({"self", "optimizer", "schedulers", "last_epoch", "verbose"})


class _Known:
    """What was noted of one scheduler."""

    def __init__(self, scheduler: Any) -> None:
        self.reference = weakref.ref(scheduler)
        self.optimizer: weakref.ref[Any] | None = None
        self.arguments: dict[str, Any] = {}
        self.parts: list[_Known] = []


_known: list[_Known] = []


def attach(capture: Capture) -> Detach:
    """Note every scheduler that is built."""
    module: Any = import_module("torch.optim.lr_scheduler")
    classes = {
        one
        for one in module.__dict__.values()
        if isinstance(one, type) and issubclass(one, module.LRScheduler) and "__init__" in vars(one)
    }
    taps = [
        capture.tap(one, "__init__", Tap(exit=_noting(one), unless=compiling())) for one in classes
    ]

    def detach() -> None:
        for untap in taps:
            untap()
        _known.clear()

    return detach


def _noting(cls: Any) -> Callable[..., None]:
    parameters = inspect.signature(cls.__init__)

    def built(_: Any, args: tuple[Any, ...], kwargs: Mapping[str, Any], __: Any) -> None:
        scheduler = args[0]
        bound = parameters.bind(*args, **kwargs)
        bound.apply_defaults()
        known = _find(scheduler) or _Known(scheduler)
        if known not in _known:
            _known[:] = [one for one in _known if one.reference() is not None]
            _known.append(known)
        optimizer = bound.arguments.get("optimizer") or getattr(scheduler, "optimizer", None)
        if optimizer is not None:
            known.optimizer = weakref.ref(optimizer)
        if type(scheduler) is cls:
            given = bound.arguments.items()
            known.arguments = {key: plain(one) for key, one in given if key not in _LEFT_OUT}
        parts: Any = bound.arguments.get("schedulers") or ()
        known.parts = [one for part in parts if (one := _find(part)) is not None]

    return built


def _find(scheduler: Any) -> _Known | None:
    return next((one for one in reversed(_known) if one.reference() is scheduler), None)


def schedulers_of(optimizer: Any) -> list[dict[str, Any]]:
    """Describe the schedulers of an optimizer: each by its class, as ``, and its arguments."""
    mine = [one for one in _known if one.optimizer is not None and one.optimizer() is optimizer]
    inside = [part for one in mine for part in one.parts]
    return [_described(one) for one in mine if one not in inside]


def _described(known: _Known) -> dict[str, Any]:
    scheduler = known.reference()
    if scheduler is None:
        return {}
    found = {"": type(scheduler).__name__}
    found |= {
        f".{key}": value for key, value in (known.arguments or _attributes(scheduler)).items()
    }
    for at, part in enumerate(known.parts):
        found |= {f".{at}{key}": value for key, value in _described(part).items()}
    return found


def _attributes(scheduler: Any) -> dict[str, Any]:
    """Describe a scheduler of a user's class."""
    state: dict[str, Any] = scheduler.__dict__
    names = inspect.signature(type(scheduler).__init__).parameters
    return {name: plain(state[name]) for name in names if name in state and name not in _LEFT_OUT}


def plain(value: Any) -> Any:
    """Return a value as a parameter shows it: functions by name, tensors of one element as numbers.

    A tensor that is not on the CPU is not waited for: it is described by its shape.
    """
    if isinstance(value, (bool, int, float, str, type(None))):
        return value
    if isinstance(value, (list, tuple)):
        return [plain(one) for one in value]  # pyright: ignore[reportUnknownVariableType]
    if hasattr(value, "numel"):
        on_cpu = value.device.type == "cpu" and value.numel() == 1
        return value.item() if on_cpu else f"{type(value).__name__}{tuple(value.shape)}"
    return getattr(value, "__qualname__", None) or type(value).__name__
