"""Trials before the training: `Tuner.lr_find` and `Tuner.scale_batch_size` call `fit` themselves.

None of those fits is a training of the user's. Each search is a preparation of the next training,
which is told what was found; where something is being trained already, it is a piece of that.
"""

from __future__ import annotations

from importlib import import_module
from typing import Any

from autolog.integration import Call, Capture, Detach, Hook, Role

__all__ = ["attach", "attach_standalone"]


def attach(capture: Capture) -> Detach:
    """Watch the tuner of `lightning.pytorch`."""
    return _attach(capture, "lightning.pytorch")


def attach_standalone(capture: Capture) -> Detach:
    """Watch the tuner of `pytorch_lightning` (quirk lightning-two-namespaces)."""
    return _attach(capture, "pytorch_lightning")


def _attach(capture: Capture, root: str) -> Detach:
    tuner: Any = import_module(f"{root}.tuner.tuning").Tuner

    def role_of(_: Call) -> Role:
        return "preparation" if capture.current() is None else "part"

    def begins(call: Call) -> None:
        if call.span is not None:
            call.span.state["torch.covered"] = True

    def report(call: Call, found: dict[str, Any]) -> None:
        if call.span is not None:
            name = f"{tuner.__module__}.{tuner.__qualname__}"
            call.span.event("preparation", {"class": name, "method": call.name, **found})

    def rate_found(call: Call, result: Any) -> None:
        if result is None:
            return
        found: dict[str, Any] = {"mode": result.mode}
        at = getattr(result, "_optimal_idx", None)  # computing it again would change the result
        if at is not None:
            found["suggestion"] = float(result.results["lr"][at])
        report(call, found)

    def size_found(call: Call, result: Any) -> None:
        if result is not None:
            report(call, {"batch_size": result})

    detaches = [
        capture.patch(tuner, name, Hook(enter=begins, exit=leave), role=role_of, name=name)
        for name, leave in (("lr_find", rate_found), ("scale_batch_size", size_found))
    ]

    def detach() -> None:
        for one in detaches:
            one()

    return detach
