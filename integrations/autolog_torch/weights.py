"""The weights that a loop ends with, of a program that has saved none itself, or every so often.

The modules are referred to weakly. A training whose model is gone when it ends has nothing left to
store, and its run says so. Weights on a device are copied to the CPU, at the end or where
`checkpoint_every` asks for it: that waits for the device.
"""

from __future__ import annotations

import weakref
from collections.abc import Callable
from functools import partial
from importlib import import_module
from importlib.util import find_spec
from typing import Any, cast

from autolog.integration import Capture, Checkpoint, Detach, Loop, Snapshot, Span
from autolog_torch import formats, tensors, trained
from autolog_torch.compiling import outside_graphs
from autolog_torch.current import here, on_epoch, on_loop
from autolog_torch.steps import tracking
from autolog_torch.trained import Trained

__all__ = ["attach"]


def attach(capture: Capture) -> Detach:
    """Learn which modules are trained, and store their weights when that ends."""
    weights = _Weights(capture)
    undo: list[Callable[[], None]] = [on_loop(capture.guarded(weights.begins))]
    every = capture.options.checkpoint_every
    if every == "epoch":
        undo.append(on_epoch(capture.guarded(weights.epoch_ended)))
    elif every is not None:
        optimizers: Any = import_module("torch.optim.optimizer")
        register = optimizers.register_optimizer_step_post_hook
        undo.append(register(outside_graphs(capture.guarded(weights.after_step))).remove)

    def detach() -> None:
        for one in undo:
            one()
        trained.clear()

    return detach


class _Weights:
    """Stores what the trained modules hold."""

    def __init__(self, capture: Capture) -> None:
        self._capture = capture
        self._every = capture.options.checkpoint_every

    def begins(self, loop: Loop, optimizer: Any) -> None:
        """An optimizer has made its first step in a loop."""
        known = trained.of_loop(loop)
        known.take(tracking.of(optimizer))
        if not known.begun:
            known.begun = True
            if loop.span.owns_run:
                loop.span.at_end(partial(self._at_end, loop.span, known, _step_of(loop)))

    # -- every so often ----------------------------------------------------------------------

    def after_step(self, optimizer: Any, *_: Any) -> None:
        """Store weights after so many steps."""
        del optimizer
        loop = self._capture.loop()
        if loop is None or not loop.span.owns_run or (loop.step + 1) % self._every:
            return
        known = trained.of_loop(loop)
        if known.parts and known.saved_step != loop.step:
            self._checkpoint(loop.span, known, loop.step, here.epoch)

    def epoch_ended(self, loop: Loop, number: int) -> None:
        """Store the weights that an epoch ended with."""
        known = trained.of_loop(loop)
        if known.parts and known.saved_step != loop.step and loop.span.owns_run:
            self._checkpoint(loop.span, known, loop.step, number)

    def _checkpoint(self, span: Span, known: Trained, step: int | None, epoch: int | None) -> None:
        if not self._is_able():
            return
        for name, module in known.modules().items():
            weights = tensors.named_tensors(module)
            if tensors.is_sharded(weights):
                self._say_sharded(span)
                continue
            span.checkpoint(
                Checkpoint(
                    path=name,
                    format=formats.SAFETENSORS,
                    file=formats.SAFETENSORS_FILE,
                    model=_class_of(module),
                    step=step,
                    epoch=epoch,
                    beside=formats.code_reference(module),
                    write=partial(tensors.write_tensors, weights),
                )
            )
        known.saved_step = step

    # -- at the end --------------------------------------------------------------------------

    def _at_end(self, span: Span, known: Trained, step_of: Callable[[], int | None]) -> None:
        if self._every is not None:
            step = step_of()
            if known.parts and known.saved_step != step and known.modules():
                self._checkpoint(span, known, step, here.epoch)
            return
        if known.saved_step is not None:
            return
        modules = known.modules()
        gone = set(known.names.values()) - {type(one).__name__ for one in modules.values()}
        if gone:
            _say(
                span,
                "weights_gone",
                f"no weights of {', '.join(sorted(gone))} were stored: the model was gone when its"
                " training was known to be over. torch.save it where it is trained,"
                ' autolog.log_model(model), or autolog(torch={"checkpoint_every": "epoch"})',
            )
        for name, module in modules.items():
            weights = tensors.named_tensors(module)
            if tensors.is_sharded(weights):
                self._say_sharded(span)
                continue
            self._is_able()
            span.model(
                Snapshot(
                    model=module,
                    format=formats.SAFETENSORS,
                    name="model" if len(known.parts) == 1 else name,
                    size=tensors.size_of(weights),
                    versions={"torch": str(import_module("torch").__version__)},
                )
            )

    def _is_able(self) -> bool:
        if find_spec("safetensors") is not None:
            return True
        self._capture.notice(
            "no_safetensors",
            "weights are stored as pickles, which run code when they are loaded, or not at all:"
            " safetensors is not installed (pip install safetensors)",
        )
        return False

    def _say_sharded(self, span: Span) -> None:
        _say(
            span,
            "weights_sharded",
            "no weights were stored: each process holds a part of them, and gathering them would"
            " make the processes wait for each other. torch.save a full state dict",
        )


def _say(span: Span, key: str, text: str) -> None:
    span.event("notice", {"key": key, "text": text})


def _step_of(loop: Loop) -> Callable[[], int | None]:
    reference = weakref.ref(loop)

    def step() -> int | None:
        alive = reference()
        return None if alive is None else alive.step

    return step


def _class_of(module: Any) -> str:
    cls = type(cast("object", module))
    return f"{cls.__module__}.{cls.__qualname__}"
