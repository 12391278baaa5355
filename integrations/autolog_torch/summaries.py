"""Summary writers (TensorBoard's, tensorboardX's): their scalars and hyperparameters.

They keep their tags and their steps. The writer itself works as it did; where it writes to is a tag
of the run. Figures, images and histograms are left to it.
"""

from __future__ import annotations

import sys
import weakref
from collections.abc import Mapping
from importlib import import_module
from types import FrameType
from typing import Any, Final

from autolog.integration import Capture, Detach, Tap
from autolog_torch.compiling import compiling
from autolog_torch.given import record

__all__ = ["attach_tensorboard", "attach_tensorboardx"]

_LIGHTNING: Final = frozenset({"lightning", "lightning_fabric", "pytorch_lightning"})
_DEPTH: Final = 10
"""Frames between us and the caller of a writer, and some."""

_get_frame = sys._getframe  # noqa: SLF001 # pyright: ignore[reportPrivateUsage]


def attach_tensorboard(capture: Capture) -> Detach:
    """Watch the writer of `torch.utils.tensorboard`."""
    return _watch(capture, import_module("torch.utils.tensorboard.writer"), "tensorboard")


def attach_tensorboardx(capture: Capture) -> Detach:
    """Watch the writer of tensorboardX."""
    return _watch(capture, import_module("tensorboardX.writer"), "tensorboardx")


def _watch(capture: Capture, module: Any, source: str) -> Detach:
    seen = _Writers(capture, source)
    # A program of tensorboardX alone has not imported torch, and compiles nothing.
    unless = compiling() if "torch.compiler" in sys.modules else None
    taps = [
        capture.tap(module.SummaryWriter, name, Tap(exit=written, unless=unless))
        for name, written in (
            ("add_scalar", seen.scalar),
            ("add_scalars", seen.scalars),
            ("add_hparams", seen.hyperparameters),
        )
    ]

    def detach() -> None:
        for untap in taps:
            untap()

    return detach


class _Writers:
    """What is written through the writers of one package."""

    def __init__(self, capture: Capture, source: str) -> None:
        self._capture = capture
        self._source = source
        self._linked: weakref.WeakSet[Any] = weakref.WeakSet()
        """The loops whose first writer is known."""

    def scalar(self, _: Any, args: tuple[Any, ...], kwargs: Mapping[str, Any], __: Any) -> None:
        """One number was written."""
        tag = _argument(args, kwargs, 1, "tag")
        value = _argument(args, kwargs, 2, "scalar_value")
        self._record(args[0], {str(tag): value}, _argument(args, kwargs, 3, "global_step"))

    def scalars(self, _: Any, args: tuple[Any, ...], kwargs: Mapping[str, Any], __: Any) -> None:
        """Several numbers of one tag were written."""
        tag = _argument(args, kwargs, 1, "main_tag")
        values = _argument(args, kwargs, 2, "tag_scalar_dict")
        named = {f"{tag}/{key}": value for key, value in values.items()}
        self._record(args[0], named, _argument(args, kwargs, 3, "global_step"))

    def hyperparameters(
        self, _: Any, args: tuple[Any, ...], kwargs: Mapping[str, Any], __: Any
    ) -> None:
        """Hyperparameters were written; the metrics beside them came through another writer."""
        given = _argument(args, kwargs, 1, "hparam_dict")
        if isinstance(given, dict) and not self._capture.covered:
            self._capture.log_params(given)  # type: ignore[reportUnknownArgumentType]

    def _record(self, writer: Any, values: Mapping[str, Any], step: Any) -> None:
        if self._capture.covered or _is_written_by_lightning():
            return
        record(self._capture, values, source=self._source, step=_as_step(step))
        loop = self._capture.loop() or self._capture
        if loop not in self._linked:
            self._linked.add(loop)
            folder = getattr(writer, "log_dir", None) or getattr(writer, "logdir", None)
            if folder:
                self._capture.set_tag(f"{self._source}.log_dir", str(folder))


def _is_written_by_lightning() -> bool:
    """Whether a logger of Lightning or Fabric writes: what it was given is recorded there."""
    frame: FrameType | None = _get_frame(1)
    for _ in range(_DEPTH):
        if frame is None:
            return False
        if frame.f_globals.get("__name__", "").partition(".")[0] in _LIGHTNING:
            return True
        frame = frame.f_back
    return False


def _argument(args: tuple[Any, ...], kwargs: Mapping[str, Any], at: int, name: str) -> Any:
    return args[at] if len(args) > at else kwargs.get(name)


def _as_step(step: Any) -> int | None:
    """Return a step that is a number at hand; a tensor on another device would be waited for."""
    if step is None or type(step) is int:
        return step
    device = getattr(step, "device", None)
    if getattr(device, "type", "cpu") != "cpu":
        return None
    try:
        return int(step)
    except (TypeError, ValueError):
        return None
