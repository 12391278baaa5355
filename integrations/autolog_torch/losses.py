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
from autolog_torch.compiling import is_compiling
from autolog_torch.current import here
from autolog_torch.steps import Tracked, tracking

__all__ = ["attach", "remember_scaled", "unscaled"]

_RECENT: Final = 8

_scaled: deque[tuple[weakref.ref[Any], Any]] = deque(maxlen=_RECENT)
"""Scaled losses, and what they were before."""

_State = list[tuple[Tracked, tuple[Any, ...]]]


def attach(capture: Capture) -> Detach:
    """Watch every backward, and what scales losses or zeroes gradients."""
    autograd: Any = import_module("torch.autograd")
    optimizers: Any = import_module("torch.optim.optimizer")
    modules: Any = import_module("torch.nn.modules.module")
    losses = _Losses(capture)
    zeroing = Tap(exit=_zeroed, unless=is_compiling)
    taps = [
        capture.tap(
            autograd,
            "backward",
            Tap(enter=losses.before, exit=losses.after, unless=is_compiling),
        ),
        capture.tap(optimizers.Optimizer, "zero_grad", zeroing),
        capture.tap(modules.Module, "zero_grad", zeroing),
    ]

    def detach() -> None:
        for untap in taps:
            untap()
        _scaled.clear()

    return detach


class _Losses:
    """What happens around a backward."""

    def __init__(self, capture: Capture) -> None:
        self._capture = capture

    def before(self, args: tuple[Any, ...], kwargs: Mapping[str, Any]) -> _State:
        """Note how the gradients of all optimizers are."""
        del args, kwargs
        state: _State = []
        for tracked in tracking.all():
            mark = tracked.probes.mark()
            if tracked.losses and not any(mark):
                tracked.losses.clear()  # dropped before they were applied
            state.append((tracked, mark))
        return state

    def after(
        self, state: _State | None, args: tuple[Any, ...], kwargs: Mapping[str, Any], _: Any
    ) -> None:
        """See whose gradients have moved."""
        moved = [tracked for tracked, mark in state or () if tracked.probes.mark() != mark]
        if not moved:
            return
        given = args[0] if args else kwargs.get("tensors")
        loss = self._value(given)
        if loss is None:
            return
        for tracked in moved:
            if not tracked.in_step:
                tracked.losses.append(loss)
            elif tracked.loss_in_step is None:
                tracked.loss_in_step = loss
        if len(moved) > 1:
            _ally(moved)

    def _value(self, given: Any) -> Any:
        """Return the value of what runs backward, detached and as it was before scaling."""
        tensors = given if isinstance(given, (list, tuple)) else (given,)
        total: Any = None
        for tensor in tensors:
            value = unscaled(tensor)
            if value.numel() != 1:
                self._say_that_there_is_none()
                return None
            value = value if value.dim() == 0 else value.reshape(())
            total = value if total is None else total + value
        return total

    def _say_that_there_is_none(self, *_: Any) -> None:
        if self._capture.loop() is None:
            here.opening.append(self._say_that_there_is_none)
            return
        self._capture.notice(
            "loss_is_no_scalar",
            "a backward began at a tensor of several elements: it has no single loss, so none was"
            " recorded; autolog.log_metric records what you mean by it",
        )


def unscaled(tensor: Any) -> Any:
    """Return the detached value of a loss as it was before a scaler multiplied it."""
    for reference, loss in _scaled:
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


def _zeroed(_: Any, args: tuple[Any, ...], kwargs: Mapping[str, Any], __: Any) -> None:
    """Gradients that were set to zero, not to None, are not told from others by their versions."""
    if kwargs.get("set_to_none", args[1] if len(args) > 1 else True):
        return
    for tracked in tracking.all():
        gradients = [one.grad for one in tracked.probes.parameters()]
        if tracked.losses and not any(one is not None and one.any() for one in gradients):
            tracked.losses.clear()
