"""Optimizer steps: the one place where a raw training loop shows itself.

torch's global step hooks fire for every optimizer, the user's own classes too, with a scheduler
attached or not, and from inside compiled code. A step of an optimizer that another one makes inside
its own step (SAM, Lookahead) is a part of that one.
"""

from __future__ import annotations

import functools
import sys
import threading
import weakref
from collections.abc import Callable, Mapping
from importlib import import_module
from typing import Any, Final

from autolog.integration import Capture, Detach, EpochOf, LoopOptimizer, Tap
from autolog_torch import models
from autolog_torch.compiling import compiling, outside_graphs
from autolog_torch.current import here, loop_seen, step_listeners
from autolog_torch.gradients import Mark, Probes
from autolog_torch.readings import Arrivals, is_captured, local, readable

__all__ = ["Tracked", "Tracking", "attach", "tracking"]

_LOSS: Final = "train/loss/*"

_get_frame = sys._getframe  # noqa: SLF001 # pyright: ignore[reportPrivateUsage]


class Tracked:
    """What is known of one optimizer between its steps."""

    __slots__ = (
        "__weakref__",
        "allies",
        "described_in",
        "extras",
        "in_step",
        "keys",
        "known",
        "left",
        "loss_in_step",
        "losses",
        "name",
        "probes",
        "reference",
        "steps",
        "thread",
    )

    def __init__(self, optimizer: Any, name: str) -> None:
        self.reference = weakref.ref(optimizer)
        self.probes = Probes(optimizer)
        self.name = name
        self.losses: list[Any] = []
        """Losses whose gradients it has not applied yet."""
        self.left: Mark = ()
        """How the last backward left the gradients."""
        self.in_step = False
        self.loss_in_step: Any = None
        """The first loss of a closure."""
        self.extras: dict[str, Any] = {}
        """Recorded with its next step, as `here.extras` is with that of whichever steps next."""
        self.steps = 0
        self.thread: int | None = None
        """The one that made the last step; None before the first."""
        self.known: LoopOptimizer | None = None
        self.described_in: Any = None
        self.allies: set[int] = set()
        self.keys: tuple[str, ...] = ()
        """Of the learning rates: one for each parameter group."""

    def rate_keys(self, count: int) -> tuple[str, ...]:
        """Return the keys of the learning rates."""
        if len(self.keys) != count:
            several = tuple([f"lr/**/{at}" for at in range(count)])
            self.keys = ("lr/*",) if count == 1 else several
        return self.keys

    def take_loss(self) -> Any:
        """Return the loss of the step that is being made, and forget it."""
        losses, self.losses = self.losses, []
        first = self.loss_in_step
        if first is not None:
            self.loss_in_step = None
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
        self._report: Callable[[BaseException], None] | None = None
        self._tracked: dict[int, Tracked] = {}
        self._arrivals: dict[int, Arrivals] = {}
        """Of steps whose numbers are on their way, by the thread that made them."""
        self._wrapper: Any = None
        """The code of what torch puts around every step."""

    def switch_on(self, capture: Capture) -> None:
        """Begin to record."""

        def optimizer_step(exception: BaseException) -> None:
            raise exception

        self._capture = capture
        self._report = capture.guarded(optimizer_step)

    def switch_off(self) -> None:
        """Forget everything."""
        self._capture = None
        self._tracked.clear()
        self._arrivals.clear()

    def all(self) -> list[Tracked]:
        """Return the optimizers that are still there."""
        return [*self._tracked.values()]

    def of(self, optimizer: Any, *, built: bool = False) -> Tracked:
        """Return what is known of an optimizer."""
        key = id(optimizer)
        known = self._tracked.get(key)
        if known is not None and known.reference() is optimizer:
            return known
        capture = self._capture
        name = capture.assigned_name("torch") if built and capture is not None else None
        known = Tracked(optimizer, name or "")
        weakref.finalize(optimizer, self._forget, key, known.reference).atexit = False
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

    def _forget(self, key: int, reference: Any) -> None:
        known = self._tracked.get(key)
        if known is not None and known.reference is reference:
            del self._tracked[key]

    # -- torch calls these -------------------------------------------------------------------

    def begin(self, optimizer: Any, *_: Any) -> None:
        """A step begins: what runs backward inside it is a closure's."""
        stack = here.stepping
        try:
            if stack:
                if any(one is optimizer for one in stack):
                    del stack[[one is optimizer for one in stack].index(True) :]
                elif not _is_stepping(_get_frame(2), _get_frame(2).f_code):
                    stack.clear()  # an exception has left that step
            elif self._wrapper is None:
                self._wrapper = _get_frame(2).f_code
            stack.append(optimizer)
            if len(stack) == 1:
                tracked = self.of(optimizer)
                tracked.in_step = True
                tracked.thread = threading.get_ident()
                tracked.loss_in_step = None
        except BaseException as exception:
            self._tell(exception)

    def is_stepping(self, tracked: Tracked) -> bool:
        """Whether a step is under way in which a closure may run; an exception may have left it."""
        if tracked.in_step and not _is_stepping(_get_frame(1), self._wrapper):
            tracked.in_step = False
        return tracked.in_step

    def end(self, optimizer: Any, *_: Any) -> None:
        """A step was made."""
        stack = here.stepping
        if stack:
            stack.pop()
            if stack:
                return
        try:
            tracked = self.of(optimizer)
            if self._capture is not None and self._capture.covered:
                self._left_out(tracked)
            else:
                self._made(tracked, optimizer)
        except BaseException as exception:
            self._tell(exception)

    def _tell(self, exception: BaseException) -> None:
        """Count an error of ours: these two are called by torch, with no engine around them."""
        if self._report is not None:
            self._report(exception)

    # -- recording ---------------------------------------------------------------------------

    @staticmethod
    def _left_out(tracked: Tracked) -> None:
        """Forget a step that another integration records."""
        tracked.in_step = False
        tracked.loss_in_step = None
        tracked.losses.clear()
        tracked.extras.clear()
        if tracked.known is not None:
            tracked.known.left_out()

    def _made(self, tracked: Tracked, optimizer: Any) -> None:
        groups: list[dict[str, Any]] = optimizer.param_groups
        tracked.in_step = False
        if tracked.losses and is_captured(tracked.losses[0]):
            tracked.losses = []
            if self._capture is not None:
                self._capture.notice(
                    "captured_steps",
                    "a training step was captured into a graph of the device: its replays pass no"
                    " code in Python, so these steps are not recorded; autolog.log_metric records"
                    " what you read of them",
                )
            return
        tracked.steps += 1
        here.stepped = tracked.reference
        for listener in step_listeners:
            listener()
        loss = tracked.take_loss()
        if len(tracked.keys) not in (0, len(groups)):  # a group was added: a layer is unfrozen
            tracked.probes.choose(optimizer)
        keys = tracked.rate_keys(len(groups))
        values = [group["lr"] for group in groups]
        if loss is not None:
            keys = _with_loss(keys)
            values.append(loss)
        else:  # its gradients come from nowhere, or it has got other parameters
            tracked.probes.choose(optimizer)
        if tracked.extras or here.extras:
            extras = {**tracked.extras, **here.extras}
            tracked.extras, here.extras = {}, {}
            for key, value in extras.items():
                number = local(value) if hasattr(value, "is_meta") else value
                if number is not None:
                    keys = (*keys, key)
                    values.append(number)
        read, epoch = readable(values), here.epoch_of
        if not self._arrivals and type(read) is list:
            self._write(tracked, keys, read, epoch)
            return
        thread = threading.get_ident()
        arrivals = self._arrivals.get(thread)
        if arrivals is None:
            arrivals = self._arrivals[thread] = Arrivals()
        arrivals.give(read, lambda values: self._write(tracked, keys, values, epoch))

    def finish(self) -> None:
        """Record the last steps, whose numbers may be on their way yet."""
        for thread, arrivals in list(self._arrivals.items()):
            arrivals.read_on(to_the_end=True)
            if not arrivals:
                self._arrivals.pop(thread, None)

    def _write(
        self, tracked: Tracked, keys: tuple[str, ...], values: list[float], epoch: EpochOf | None
    ) -> None:
        if tracked.known is None:
            return
        loop = tracked.known.step(keys, values, epoch=epoch)
        if loop is not None and tracked.described_in is not loop:
            tracked.described_in = loop
            optimizer = tracked.reference()
            if optimizer is not None:
                loop_seen(loop, optimizer)


@functools.cache
def _with_loss(keys: tuple[str, ...]) -> tuple[str, ...]:
    return (*keys, _LOSS)


tracking = Tracking()


def attach(capture: Capture) -> Detach:
    """Watch the steps of all optimizers."""
    torch_optimizer: Any = import_module("torch.optim.optimizer")
    cls = torch_optimizer.Optimizer
    tracking.switch_on(capture)

    def built(_: Any, args: tuple[Any, ...], __: Mapping[str, Any], ___: Any) -> None:
        tracking.of(args[0], built=True)

    handles = [
        torch_optimizer.register_optimizer_step_pre_hook(outside_graphs(tracking.begin)),
        torch_optimizer.register_optimizer_step_post_hook(outside_graphs(tracking.end)),
    ]
    taps = [
        capture.tap(cls, "__init__", Tap(exit=built, unless=compiling())),
        # A copy or a pickle comes about without a constructor.
        capture.tap(cls, "__setstate__", Tap(exit=built, unless=compiling())),
    ]
    forget = capture.on_settle(tracking.finish)
    for one in _built_before(cls):
        tracking.of(one)

    def detach() -> None:
        for handle in handles:
            handle.remove()
        for untap in taps:
            untap()
        forget()
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


def _is_stepping(frame: Any, wrapper: Any) -> bool:
    """Whether a step is under way further out: something runs in the code around every step."""
    while (frame := frame.f_back) is not None:
        if frame.f_code is wrapper:
            return True
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
