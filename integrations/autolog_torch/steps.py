"""Optimizer steps: the one place where a raw training loop shows itself.

torch's global step hooks fire for every optimizer, the user's own classes too, with a scheduler
attached or not, and from inside compiled code. A step of an optimizer that another one makes inside
its own step (SAM, Lookahead) is a part of that one.
"""

from __future__ import annotations

import sys
import threading
import weakref
from collections.abc import Callable, Mapping
from importlib import import_module
from typing import Any, Final

from autolog.integration import Capture, Detach, LoopOptimizer, Tap
from autolog_torch import models
from autolog_torch.compiling import is_compiling, outside_graphs
from autolog_torch.current import here, loop_seen
from autolog_torch.gradients import Probes
from autolog_torch.readings import Reading, readable

__all__ = ["Tracked", "Tracking", "attach", "tracking"]

_LOSS: Final = "train/loss/*"


class Tracked:
    """What is known of one optimizer between its steps."""

    def __init__(self, optimizer: Any, name: str, *, built: bool) -> None:
        self.reference = weakref.ref(optimizer)
        self.probes = Probes(optimizer)
        self.name = name
        self.built = built
        self.losses: list[Any] = []
        """Losses whose gradients it has not applied yet."""
        self.in_step = False
        self.loss_in_step: Any = None
        """The first loss of a closure."""
        self.steps = 0
        self.known: LoopOptimizer | None = None
        self.described_in: Any = None
        self.allies: set[int] = set()
        self._keys: tuple[str, ...] = ()

    def rate_keys(self, groups: list[Any]) -> tuple[str, ...]:
        """Return the keys of the learning rates, one for each parameter group."""
        if len(self._keys) != len(groups):
            several = [f"lr/**/{at}" for at in range(len(groups))]
            self._keys = ("lr/*",) if len(groups) == 1 else tuple(several)
        return self._keys

    def take_loss(self) -> Any:
        """Return the loss of the step that is being made, and forget it."""
        losses, self.losses = self.losses, []
        first, self.loss_in_step = self.loss_in_step, None
        if first is not None:
            return first
        if not losses:
            return None
        total = losses[0]
        for one in losses[1:]:
            total = total + one
        return total


class Tracking:
    """All optimizers of the process, and their steps."""

    def __init__(self) -> None:
        self._capture: Capture | None = None
        self._tracked: dict[int, Tracked] = {}
        self._inside = threading.local()
        self._waiting: list[tuple[Tracked, dict[str, Any], int | None]] = []

    def switch_on(self, capture: Capture) -> None:
        """Begin to record."""
        self._capture = capture

    def switch_off(self) -> None:
        """Forget everything."""
        self._capture = None
        self._tracked.clear()
        self._waiting.clear()

    def all(self) -> list[Tracked]:
        """Return the optimizers that are still there."""
        return list(self._tracked.values())

    def of(self, optimizer: Any, *, built: bool = False) -> Tracked:
        """Return what is known of an optimizer."""
        key = id(optimizer)
        known = self._tracked.get(key)
        if known is not None and known.reference() is optimizer:
            return known
        capture = self._capture
        name = capture.assigned_name("torch") if built and capture is not None else None
        known = Tracked(optimizer, name or "", built=built)
        weakref.finalize(optimizer, self._tracked.pop, key, None).atexit = False
        self._tracked[key] = known
        if capture is not None:
            known.known = capture.optimizer(
                optimizer,
                _parameters_of(known.reference),
                _model_of(known.reference),
                name=known.name,
                built=built,
            )
        return known

    # -- torch calls these -------------------------------------------------------------------

    def begin(self, optimizer: Any, *_: Any) -> None:
        """A step begins: what runs backward inside it is a closure's."""
        stack = self._stack()
        if stack and any(one is optimizer for one in stack):
            del stack[[one is optimizer for one in stack].index(True) :]
        elif stack and not _is_stepping(sys._getframe(1)):  # noqa: SLF001 # pyright: ignore[reportPrivateUsage]
            stack.clear()  # an exception has left that step
        stack.append(optimizer)
        if len(stack) == 1:
            tracked = self.of(optimizer)
            tracked.in_step, tracked.loss_in_step = True, None

    def end(self, optimizer: Any, *_: Any) -> None:
        """A step was made."""
        stack = self._stack()
        if stack:
            stack.pop()
        if stack:
            return
        tracked = self.of(optimizer)
        tracked.in_step = False
        tracked.steps += 1
        groups = optimizer.param_groups
        values: dict[str, Any] = {}
        loss = tracked.take_loss()
        if loss is not None:
            values[_LOSS] = loss
        for key, group in zip(tracked.rate_keys(groups), groups, strict=True):
            values[key] = group["lr"]
        if here.extras:
            values |= here.extras
            here.extras = {}
        self._record(tracked, values)

    def _stack(self) -> list[Any]:
        try:
            return self._inside.stack
        except AttributeError:
            self._inside.stack = []
            return self._inside.stack

    # -- recording ---------------------------------------------------------------------------

    def _record(self, tracked: Tracked, values: dict[str, Any]) -> None:
        read = readable(values)
        if self._waiting or isinstance(read, Reading):
            self._waiting.append(
                (tracked, values if not isinstance(read, Reading) else read, here.epoch)
            )
            self.read_on()
            return
        self._write(tracked, read, here.epoch)

    def read_on(self) -> None:
        """Record the steps whose numbers have arrived from their device, in order."""
        while self._waiting:
            tracked, read, epoch = self._waiting[0]
            if isinstance(read, Reading):
                if not read.ready():
                    return
                read = read.values()
            self._waiting.pop(0)
            self._write(tracked, read, epoch)

    def _write(self, tracked: Tracked, values: Mapping[str, float], epoch: int | None) -> None:
        if tracked.known is None:
            return
        loop = tracked.known.step(values, epoch=epoch)
        if loop is not None and tracked.described_in is not loop:
            tracked.described_in = loop
            optimizer = tracked.reference()
            if optimizer is not None:
                loop_seen(loop, optimizer)


tracking = Tracking()


def attach(capture: Capture) -> Detach:
    """Watch the steps of all optimizers."""
    torch_optimizer: Any = import_module("torch.optim.optimizer")
    cls = torch_optimizer.Optimizer
    tracking.switch_on(capture)

    def built(_: Any, args: tuple[Any, ...], __: Mapping[str, Any], ___: Any) -> None:
        tracking.of(args[0], built=True)

    handles = [
        torch_optimizer.register_optimizer_step_pre_hook(
            outside_graphs(capture.guarded(tracking.begin))
        ),
        torch_optimizer.register_optimizer_step_post_hook(
            outside_graphs(capture.guarded(tracking.end))
        ),
    ]
    untap = capture.tap(cls, "__init__", Tap(exit=built, unless=is_compiling))
    for one in _built_before(cls):
        tracking.of(one)

    def detach() -> None:
        for handle in handles:
            handle.remove()
        untap()
        tracking.switch_off()

    return detach


def _built_before(cls: type) -> list[Any]:
    """Find the optimizers that were built before autolog was on; none if no class was used."""
    classes, used = [cls], False
    for one in classes:
        classes.extend(one.__subclasses__())
        used = used or hasattr(vars(one).get("step"), "hooked")
    if not used:
        return []
    import gc

    return [thing for thing in gc.get_objects() if issubclass(type(thing), cls)]


def _is_stepping(frame: Any) -> bool:
    """Whether a step of another optimizer is under way further out."""
    frame = frame.f_back
    seen = 0
    while frame is not None:
        if frame.f_code.co_name == "wrapper" and frame.f_code.co_filename.endswith("optimizer.py"):
            seen += 1
            if seen > 1:
                return True
        frame = frame.f_back
    return False


def _parameters_of(reference: Callable[[], Any]) -> Callable[[], list[Any]]:
    def parameters() -> list[Any]:
        optimizer = reference()
        if optimizer is None:
            return []
        return [one for group in optimizer.param_groups for one in group["params"]]

    return parameters


def _model_of(reference: Callable[[], Any]) -> Callable[[], Any]:
    def model() -> Any:
        optimizer = reference()
        return None if optimizer is None else models.of_optimizer(optimizer)

    return model
