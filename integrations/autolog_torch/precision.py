"""Mixed precision: the type that a forward pass runs in, and the scale of the first gradients."""

from __future__ import annotations

from collections.abc import Mapping
from importlib import import_module
from typing import Any

from autolog.integration import Capture, Detach, Tap
from autolog_torch.compiling import compiling
from autolog_torch.passes import local

__all__ = ["attach"]


def attach(capture: Capture) -> Detach:
    """Watch what switches autocast on, and the scaler, until a step has shown how they are set."""
    autocast: Any = import_module("torch.amp.autocast_mode").autocast
    scaler: Any = import_module("torch.amp.grad_scaler").GradScaler
    is_compiling = compiling()

    def pass_by() -> bool:
        return local.feed.criterion_known or is_compiling()

    taps = [
        capture.tap(autocast, "__enter__", Tap(exit=_entered, unless=pass_by)),
        capture.tap(scaler, "step", Tap(enter=_scaled)),
    ]

    def detach() -> None:
        for untap in taps:
            untap()

    return detach


def _entered(_: Any, args: tuple[Any, ...], __: Mapping[str, Any], ___: Any) -> None:
    state: dict[str, Any] = args[0].__dict__
    if state.get("_enabled") and "autocast" not in local.feed.precision:
        local.feed.precision["autocast"] = str(state.get("fast_dtype")).removeprefix("torch.")


def _scaled(args: tuple[Any, ...], kwargs: Mapping[str, Any]) -> None:
    del kwargs
    feed = local.feed
    if feed.criterion_known or "grad_scaler.init_scale" in feed.precision:
        return
    state: dict[str, Any] = args[0].__dict__
    if state.get("_enabled"):
        feed.precision["grad_scaler.init_scale"] = state.get("_init_scale")
