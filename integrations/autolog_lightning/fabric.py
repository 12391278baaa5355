"""Fabric: its loops are raw loops of PyTorch; what it adds are `log`, `save` and `load`.

Values go to the run that is open here; Fabric's checkpoints are remembered as files of that run.
"""

from __future__ import annotations

from collections.abc import Mapping
from importlib import import_module
from typing import Any, cast

from autolog.integration import Call, Capture, Detach, Hook

__all__ = ["attach", "attach_standalone"]


def attach(capture: Capture) -> Detach:
    """Watch the Fabric of `lightning.fabric`."""
    return _attach(capture, "lightning.fabric.fabric")


def attach_standalone(capture: Capture) -> Detach:
    """Watch the Fabric of `lightning_fabric` (quirk lightning-two-namespaces)."""
    return _attach(capture, "lightning_fabric.fabric")


def _attach(capture: Capture, module: str) -> Detach:
    fabric: Any = import_module(module).Fabric

    def logged(call: Call, _: Any) -> None:
        """`log` calls `log_dict`, so that every value passes here once."""
        if call.instance.global_rank != 0:
            return
        bound = call.bound or {}
        values = {
            key: number
            for key, value in cast("Mapping[str, Any]", bound.get("metrics", {})).items()
            if (number := _scalar(value)) is not None
        }
        if not values or any("_autolog_recording" in vars(one) for one in call.instance.loggers):
            return
        span = capture.current()
        if span is not None:
            span.metrics(values, step=bound.get("step"))
        else:
            import_module("autolog").log_metrics(values, bound.get("step"))

    def saved(call: Call, _: Any) -> None:
        """A file with a module in it is of the run that trains the module."""
        bound = call.bound or {}
        path, state = str(bound.get("path", "")), bound.get("state")
        things = cast("Mapping[str, Any]", state).values() if isinstance(state, Mapping) else ()
        for thing in things:
            known = capture.producer(getattr(thing, "_original_module", thing))
            if known is not None and call.instance.global_rank == 0:
                capture.wrote(path, known.span)
                known.span.event("checkpoint", {"path": path})
                return

    detaches = [
        capture.patch(fabric, "log_dict", Hook(exit=logged)),
        capture.patch(fabric, "save", Hook(exit=saved)),
    ]

    def detach() -> None:
        for one in detaches:
            one()

    return detach


def _scalar(value: Any) -> float | None:
    try:
        # Not float() of a tensor: of one that requires gradients it warns.
        return float(value.item() if hasattr(value, "item") else value)
    except (TypeError, ValueError, RuntimeError):
        return None
