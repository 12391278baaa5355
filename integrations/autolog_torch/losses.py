"""The loss of a step: the sum of what ran backward for the gradients that an optimizer applies.

Every way to a backward passes through `torch.autograd.backward`. Before and after it the gradients
of each optimizer are probed; what moved them is pending for that optimizer until it steps.
Gradients that were dropped or zeroed before they were applied take their losses along.

A loss that a `GradScaler` has scaled counts as it was before; a division by the user does count.
"""

from __future__ import annotations

import weakref
from collections import deque
from collections.abc import Mapping
from importlib import import_module
from typing import Any, Final

from autolog.integration import Capture, Detach, Tap
from autolog_torch.compiling import compiling, outside_graphs
from autolog_torch.current import with_next_loop
from autolog_torch.gradients import Mark
from autolog_torch.readings import local
from autolog_torch.steps import Tracked, tracking
from autolog_torch.threads import Threads

__all__ = ["attach", "remember_scaled", "unscaled"]

_RECENT: Final = 8

_scaled: deque[tuple[weakref.ref[Any], Any]] = deque(maxlen=_RECENT)
"""Scaled losses, and what they were before."""

_State = list[tuple[Tracked, Mark]]


def attach(capture: Capture) -> Detach:
    """Watch every backward, and what scales losses or zeroes gradients."""
    autograd: Any = import_module("torch.autograd")
    losses = _Losses(capture)
    untap = capture.tap(
        autograd,
        "backward",
        Tap(
            enter=outside_graphs(losses.before),
            exit=outside_graphs(losses.after),
            unless=compiling(),
        ),
    )

    def detach() -> None:
        untap()
        _scaled.clear()

    return detach


class _Losses:
    """What happens around a backward."""

    def __init__(self, capture: Capture) -> None:
        self._capture = capture
        self._threads = Threads()

    def before(self, args: tuple[Any, ...], kwargs: Mapping[str, Any]) -> _State:
        """Note how the gradients of all optimizers are."""
        given = args[0] if args else kwargs.get("tensors")
        state: _State = []
        if self._capture.covered:
            return state
        with self._threads.looking:
            for tracked in self._threads.mine(tracking.all(), given):
                mark = tracked.probes.mark()
                if tracked.probes.lost and (optimizer := tracked.reference()) is not None:
                    tracked.probes.choose(optimizer)
                    mark = tracked.probes.mark()
                if tracked.losses and mark != tracked.left and _dropped(tracked, mark):
                    tracked.losses.clear()
                state.append((tracked, mark))
        return state

    def after(
        self, state: _State | None, args: tuple[Any, ...], kwargs: Mapping[str, Any], _: Any
    ) -> None:
        """See whose gradients have moved."""
        moved: list[Tracked] = []
        with self._threads.looking:
            for tracked, mark in state or ():
                if self._threads.still_mine(tracked) and tracked.probes.moved_since(mark):
                    moved.append(tracked)
                    tracked.left = tracked.probes.mark()
        if not moved:
            return
        given = args[0] if args else kwargs.get("tensors")
        loss = self._value(given)
        if loss is None:
            return
        for tracked in moved:
            if not tracking.is_stepping(tracked):
                tracked.losses.append(loss)
            elif tracked.loss_in_step is None:
                tracked.loss_in_step = loss
        if len(moved) > 1:
            _ally(moved)

    def _value(self, given: Any) -> Any:
        """Return the value of what runs backward, detached and as it was before scaling."""
        tensors: Any = given if type(given) in (list, tuple) else (given,)
        total: Any = None
        for tensor in tensors:
            value = local(unscaled(tensor))
            if value is None:
                return None
            if value.numel() != 1:
                self._say_that_there_is_none()
                return None
            # On the CPU it is read now: the user may go on to change the loss in place.
            value = value.item() if value.is_cpu else value.reshape(())
            total = value if total is None else total + value
        return total

    def _say_that_there_is_none(self, *_: Any) -> None:
        if self._capture.loop() is None:
            with_next_loop(self._say_that_there_is_none)
            return
        self._capture.notice(
            "loss_is_no_scalar",
            "a backward began at a tensor of several elements: it has no single loss, so none was"
            " recorded; autolog.log_metric records what you mean by it",
        )


def unscaled(tensor: Any) -> Any:
    """Return the detached value of a loss as it was before a scaler multiplied it."""
    for reference, loss in tuple(_scaled):  # other threads scale losses, too
        if reference() is tensor:
            return loss
    return tensor.detach()


def remember_scaled(result: Any, loss: Any) -> None:
    """Note that a tensor is a loss that was multiplied to keep its gradients from vanishing."""
    _scaled.appendleft((weakref.ref(result), loss.detach()))


def _ally(moved: list[Tracked]) -> None:
    """One backward reached several optimizers: they belong together."""
    names = {id(one) for one in moved}
    for one in moved:
        if one.known is not None and not names <= one.allies:
            one.allies |= names
            one.known.applied_with([other.known for other in moved if other.known is not None])


def _dropped(tracked: Tracked, mark: Mark) -> bool:
    """Whether the gradients of an optimizer were given up before it applied them.

    They are None, or all zero. On another device than the CPU nobody can look without waiting for
    it: there they count as given up if they were changed in place (clipping comes before a step).
    """
    if not any(mark):
        return True
    for parameter in tracked.probes.parameters():
        gradient = parameter.grad
        if gradient is not None and gradient.is_cpu and gradient.any():
            return False
    return True
