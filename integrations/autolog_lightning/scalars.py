"""Reads logged values without making the device wait.

A tensor on the CPU is read at once. One on a CUDA device is copied into pinned memory behind the
work that computes it, and read when the copy is there: at a later step, at the latest at the end.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Mapping
from importlib import import_module
from typing import Any, Final, NamedTuple

from autolog.integration import Span

__all__ = ["Scalars"]

_MOST: Final = 1000
"""Steps that may be on their way; beyond, the oldest is waited for."""


class _OnItsWay(NamedTuple):
    keys: list[str]
    values: Any
    copied: Any
    step: int
    epoch: int


class Scalars:
    """Writes metrics to a span, each at the step that it was logged at."""

    def __init__(self, span: Span) -> None:
        self._span = span
        self._waiting: deque[_OnItsWay] = deque()

    def write(self, metrics: Mapping[str, Any], step: int, epoch: int) -> None:
        """Record numbers and tensors of one element; what is neither is Lightning's to refuse."""
        ready: dict[str, float] = {}
        keys: list[str] = []
        tensors: list[Any] = []
        for key, value in metrics.items():
            if isinstance(value, (int, float)):
                ready[key] = float(value)
            elif getattr(value, "is_cuda", False) and value.numel() == 1:
                keys.append(key)
                tensors.append(value.detach().reshape(()))
            elif (number := _number(value)) is not None:
                ready[key] = number
        if ready:
            self._span.metrics(ready, step=step, epoch=epoch)
        if tensors:
            self._send(keys, tensors, step, epoch)
        if self._waiting:
            self.read(wait=False)

    def read(self, *, wait: bool = True) -> None:
        """Record what has arrived; with `wait` all that is on its way."""
        while self._waiting and (
            wait or len(self._waiting) > _MOST or self._waiting[0].copied.query()
        ):
            one = self._waiting.popleft()
            one.copied.synchronize()
            values = dict(zip(one.keys, one.values.tolist(), strict=True))
            self._span.metrics(values, step=one.step, epoch=one.epoch)

    def _send(self, keys: list[str], tensors: list[Any], step: int, epoch: int) -> None:
        torch: Any = import_module("torch")
        with torch.no_grad(), torch.cuda.device(tensors[0].device):
            together = torch.stack([one.to(torch.float64) for one in tensors])
            host = torch.empty(len(tensors), dtype=torch.float64, pin_memory=True)
            host.copy_(together, non_blocking=True)
            copied = torch.cuda.Event()
            copied.record()
        self._waiting.append(_OnItsWay(keys, host, copied, step, epoch))


def _number(value: Any) -> float | None:
    try:
        # Not float() of a tensor: of one that requires gradients it warns.
        return float(value.item() if hasattr(value, "item") else value)
    except (TypeError, ValueError, RuntimeError):
        return None
