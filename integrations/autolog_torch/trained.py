"""Which modules each loop trains, referred to weakly, and which loop a module belongs to."""

from __future__ import annotations

import os
import weakref
from collections.abc import Iterator
from typing import Any, Final

from autolog.integration import Loop
from autolog_torch import models
from autolog_torch.steps import Tracked, tracking

__all__ = ["Trained", "all_trained", "clear", "of_loop", "whole"]

_WRAPPERS: Final = {
    "DataParallel": "module",
    "DistributedDataParallel": "module",
    "OptimizedModule": "_orig_mod",
    "_FabricModule": "_forward_module",
}


class Trained:
    """What one loop trains, and what was saved of it."""

    def __init__(self) -> None:
        self.pid = os.getpid()
        self.parts: dict[str, weakref.ref[Any]] = {}
        """By the optimizer's name: the smallest module that holds its parameters."""
        self.names: dict[str, str] = {}
        """By the optimizer's name: the class of that module."""
        self.without_module = False
        self._taken: weakref.WeakSet[Tracked] = weakref.WeakSet()
        self._count = 0
        self.begun = False
        self.saved_step: int | None = None
        """The newest step that is in a checkpoint; None if there is none."""

    def take(self, tracked: Tracked) -> None:
        """Note what an optimizer trains."""
        optimizer = tracked.reference()
        if optimizer is None or tracked in self._taken:
            return
        self._taken.add(tracked)
        self._count += 1
        parameters = [one for group in optimizer.param_groups for one in group["params"]]
        module = models.of_parameters(parameters)
        found = [module] if module is not None else _roots(parameters)
        self.without_module = self.without_module or not found
        name = tracked.name or f"opt{self._count - 1}"
        for at, one in enumerate(found):
            key = f"{name}-{at}" if at else name
            key = key if key not in self.parts else f"{key}-{len(self.parts)}"
            self.parts[key] = weakref.ref(one)
            self.names[key] = type(whole(one)).__name__

    def modules(self) -> dict[str, Any]:
        """Return the whole modules that are still there, by name: their class, or more."""
        found: dict[int, tuple[str, Any]] = {}
        for key, reference in self.parts.items():
            part = reference()
            if part is not None:
                module = whole(part)
                found.setdefault(id(module), (key, module))
        classes = [type(module).__name__ for _, module in found.values()]
        named: dict[str, Any] = {}
        for (key, module), name in zip(found.values(), classes, strict=True):
            unique = name if classes.count(name) == 1 else f"{name}-{key}"
            named[unique] = module
        return named


_trained: weakref.WeakKeyDictionary[Loop, Trained] = weakref.WeakKeyDictionary()


def of_loop(loop: Loop) -> Trained:
    """Return what is known of a loop."""
    known = _trained.get(loop)
    if known is None:
        known = _trained[loop] = Trained()
    return known


def all_trained() -> Iterator[tuple[Loop, Trained]]:
    """Yield every loop of this process that is still there, the newest first."""
    for tracked in tracking.all():
        loop = tracked.known.loop if tracked.known is not None else None
        if loop is not None:
            of_loop(loop).take(tracked)
    pid = os.getpid()
    yield from ((loop, one) for loop, one in reversed(list(_trained.items())) if one.pid == pid)


def clear() -> None:
    """Forget everything."""
    _trained.clear()


def whole(module: Any) -> Any:
    """Return the module that a module is a part of, in the end, without what wraps it."""
    module = models.root_of(module)
    for _ in range(4):
        inner = _WRAPPERS.get(type(module).__name__)
        if inner is None:
            break
        module = getattr(module, inner)
    return module


def _roots(parameters: list[Any]) -> list[Any]:
    """Return the modules that hold parameters which no single module holds together."""
    found: dict[int, Any] = {}
    for one in parameters:
        holder = models.of_parameters([one])
        if holder is not None:
            root = models.root_of(holder)
            found[id(root)] = root
    return list(found.values())
