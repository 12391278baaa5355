"""Loss scaling of mixed precision: undone in what is recorded; skipped steps are events."""

from __future__ import annotations

from collections.abc import Mapping
from importlib import import_module
from typing import Any

from autolog.integration import Capture, Detach, Tap
from autolog_torch import losses
from autolog_torch.compiling import compiling
from autolog_torch.steps import tracking

__all__ = ["attach"]


def attach(capture: Capture) -> Detach:
    """Watch the scaler, whose subclasses for one device or for FSDP go through it."""
    scaler: Any = import_module("torch.amp.grad_scaler").GradScaler
    taps = [
        capture.tap(scaler, "scale", Tap(exit=_scaled, unless=compiling())),
        capture.tap(scaler, "step", Tap(enter=_before_step, exit=_after_step)),
    ]

    def detach() -> None:
        for untap in taps:
            untap()

    return detach


def _scaled(_: Any, args: tuple[Any, ...], kwargs: Mapping[str, Any], result: Any) -> None:
    given: Any = args[1] if len(args) > 1 else kwargs.get("outputs")
    if hasattr(given, "detach"):
        losses.remember_scaled(result, given)
    elif type(given) in (list, tuple):
        for at, before in enumerate(given):
            losses.remember_scaled(result[at], before)


def _before_step(args: tuple[Any, ...], kwargs: Mapping[str, Any]) -> Any:
    optimizer = args[1] if len(args) > 1 else kwargs.get("optimizer")
    tracked = tracking.of(optimizer)
    return tracked, tracked.steps


def _after_step(state: Any, args: tuple[Any, ...], _: Mapping[str, Any], __: Any) -> None:
    """A step that the scaler left out has no loss and no number."""
    if state is None:
        return
    tracked, steps = state
    if tracked.steps == steps:
        tracked.take_loss()
        tracked.extras.clear()
        loop = tracked.known.loop if tracked.known is not None else None
        if loop is not None:
            scale = args[0].get_scale() if args[0].is_enabled() else None
            loop.span.event("step_skipped", {"step": loop.step + 1, "scale": scale})
