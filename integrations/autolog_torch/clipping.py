"""The norm of the gradients of a step: what the user's clipping found, or computed on request.

Clipping computes the norm anyway and returns it; it is taken from there as the tensor it is, so
that nothing waits for a device. Clipping multiplies the gradients in place, whatever it finds:
whose gradients have another version afterwards, that optimizer's norm it was. Under loss scaling
the norm counts as it is without the scale, also where the user clipped before `scaler.unscale_`.
"""

from __future__ import annotations

import weakref
from collections.abc import Mapping
from importlib import import_module
from typing import Any, Final

from autolog.integration import Capture, Detach, Tap
from autolog_torch.compiling import compiling, outside_graphs
from autolog_torch.current import with_next_loop
from autolog_torch.options import Options
from autolog_torch.steps import Tracked, tracking

__all__ = ["attach", "attach_fsdp"]

_NORM: Final = "grad_norm/*"

_Marks = list[tuple[Tracked, tuple[Any, ...]]]


class _Scaled:
    """The scaler whose scale the gradients carry now; None once they are unscaled."""

    scaler: weakref.ref[Any] | None = None


_scaled = _Scaled()


def attach(capture: Capture) -> Detach:
    """Watch clipping and, if the option asks, compute the norm at each step."""
    clipping: Any = import_module("torch.nn.utils.clip_grad")
    scaler: Any = import_module("torch.amp.grad_scaler").GradScaler
    unscaled = Tap(exit=_unscaled, unless=compiling())
    taps = [
        _watch(capture, clipping, "clip_grad_norm_"),
        capture.tap(scaler, "scale", Tap(exit=_scaled_by, unless=compiling())),
        capture.tap(scaler, "unscale_", unscaled),
        capture.tap(scaler, "step", unscaled),
    ]
    options = capture.options
    if isinstance(options, Options) and options.grad_norm:
        optimizers: Any = import_module("torch.optim.optimizer")
        register = optimizers.register_optimizer_step_pre_hook
        taps.append(register(outside_graphs(capture.guarded(_measure))).remove)

    def detach() -> None:
        for untap in taps:
            untap()
        _scaled.scaler = None

    return detach


def attach_fsdp(capture: Capture) -> Detach:
    """Watch the method that clips shards: the collective in it is the user's own call."""
    module: Any = import_module("torch.distributed.fsdp.fully_sharded_data_parallel")
    return _watch(capture, module.FullyShardedDataParallel, "clip_grad_norm_")


def _watch(capture: Capture, owner: Any, attribute: str) -> Detach:
    def warn(*_: Any) -> None:
        if capture.loop() is None:
            with_next_loop(warn)
            return
        capture.notice(
            "clipped_scaled_gradients",
            "gradients were clipped while they were multiplied by the scale of the GradScaler, so"
            " that the limit is as many times too strict: call scaler.unscale_(optimizer) before"
            " clip_grad_norm_",
        )

    def before(args: tuple[Any, ...], kwargs: Mapping[str, Any]) -> _Marks:
        del args, kwargs
        if capture.covered:
            return []
        return [(tracked, tracked.probes.mark()) for tracked in tracking.all()]

    def after(
        state: _Marks | None, args: tuple[Any, ...], kwargs: Mapping[str, Any], norm: Any
    ) -> None:
        del args, kwargs
        clipped = [tracked for tracked, mark in state or () if tracked.probes.mark() != mark]
        if not clipped or not _is_plain(norm):
            return
        norm = norm.detach()
        scale = _scale()
        if scale is not None:
            warn()
            norm = norm / scale.to(norm.device, non_blocking=True)
        for tracked in clipped:
            tracked.extras[_NORM] = norm

    return capture.tap(owner, attribute, Tap(enter=before, exit=after, unless=compiling()))


def _is_plain(norm: Any) -> bool:
    """Whether a norm can be read on this rank alone: that of a DTensor needs a collective."""
    return hasattr(norm, "detach") and norm.numel() == 1 and not hasattr(norm, "full_tensor")


def _scaled_by(_: Any, args: tuple[Any, ...], __: Mapping[str, Any], ___: Any) -> None:
    if args[0].is_enabled():
        _scaled.scaler = weakref.ref(args[0])


def _unscaled(_: Any, __: tuple[Any, ...], ___: Mapping[str, Any], ____: Any) -> None:
    _scaled.scaler = None


def _scale() -> Any:
    """Return the scale that the gradients carry, on its device; None if they carry none."""
    scaler = _scaled.scaler() if _scaled.scaler is not None else None
    return getattr(scaler, "_scale", None)


def _has_closure(args: tuple[Any, ...], kwargs: Mapping[str, Any]) -> bool:
    """Whether a step makes its gradients itself; the first argument is the optimizer."""
    return any(callable(one) for one in (*args[1:], *kwargs.values()))


def _measure(optimizer: Any, args: tuple[Any, ...], kwargs: Mapping[str, Any]) -> None:
    """Compute the norm of what a step is about to apply; it stays on its device.

    Not where clipping has found it, where a closure makes the gradients only inside the step, and
    where it would take a collective or is not dense.
    """
    tracked = tracking.of(optimizer)
    if _NORM in tracked.extras or _has_closure(args, kwargs):
        return
    gradients = [
        one.grad
        for group in optimizer.param_groups
        for one in group["params"]
        if one.grad is not None
    ]
    torch: Any = import_module("torch")
    if not gradients or any(
        hasattr(one, "full_tensor") or one.layout is not torch.strided for one in gradients
    ):
        return
    with torch.no_grad():
        home = gradients[0].device
        norms = [torch.linalg.vector_norm(one) for one in gradients]
        norm = torch.linalg.vector_norm(torch.stack([one.to(home) for one in norms]))
        scale = getattr(optimizer, "grad_scale", None)  # a fused step unscales in its kernel
        tracked.extras[_NORM] = norm if scale is None else norm / scale.to(home)
