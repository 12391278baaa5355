"""The mean loss of one evaluation, weighted by the sizes of its batches."""

from __future__ import annotations

from typing import Any

__all__ = ["Evaluation"]


class Evaluation:
    """Losses that were evaluated without a step: over one pass, or on one full batch.

    What several loss functions give for one batch is added. Numbers on another device stay there.

    Args:
        module: a weak reference to the module that was last switched to evaluation, if any was.
    """

    __slots__ = ("_batch", "_size", "_total", "_weight", "calls", "data", "module")

    def __init__(self, module: Any) -> None:
        self.module = module
        self.data: str | None = None
        """What its data is called in the code."""
        self.calls = 0
        """How many loss functions gave a value."""
        self._total: Any = 0.0
        self._weight = 0
        self._batch: Any = 0.0
        self._size = 0

    def add(self, value: Any, size: int) -> None:
        """Add the mean loss of a batch of so many samples."""
        self._batch = self._batch + value
        self._size = self._size or size
        self.calls += 1

    def end_batch(self) -> None:
        """Add up: what comes now is another batch."""
        if self._size:
            self._total = self._total + self._batch * self._size
            self._weight += self._size
        self._batch, self._size = 0.0, 0

    def mean(self) -> Any:
        """Return the mean loss, a number or a tensor of one element; None if there was none."""
        self.end_batch()
        return self._total / self._weight if self._weight else None
