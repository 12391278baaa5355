"""The option `every_n_batches`: Keras' running metrics within an epoch, as `batch/<metric>`.

What Keras gives its callbacks after a batch may still be computed by the device. It is kept, and
read when the next one is due: by then it is there.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from autolog.integration import Capture, Tap
from autolog_keras.kinds import model_of
from autolog_keras.numbers import numbers
from autolog_keras.recording import Recording, Recordings

__all__ = ["Batches", "flush"]


class Batches:
    """Records every n-th batch of all fits of a package."""

    def __init__(self, capture: Capture, recordings: Recordings, every: int) -> None:
        self._capture = capture
        self._recordings = recordings
        self._every = every
        self.tap = Tap(exit=self._ended)

    def _ended(self, _: Any, args: tuple[Any, ...], kwargs: Mapping[str, Any], __: Any) -> None:
        recording = self._recordings.of(model_of(args[0]))
        if recording is None:
            return
        batch = int(args[1] if len(args) > 1 else kwargs["batch"])
        logs = args[2] if len(args) > 2 else kwargs.get("logs")
        recording.batch = recording.trained.batches + batch
        if logs and (batch + 1) // self._every > recording.batches_kept:
            recording.batches_kept = (batch + 1) // self._every
            flush(recording)
            recording.kept_at = recording.batch
            recording.kept = {f"batch/{key}": _detached(value) for key, value in logs.items()}


def flush(recording: Recording) -> None:
    """Record what was kept of a batch."""
    kept, recording.kept = recording.kept, None
    if kept:
        recording.span.metrics(dict(numbers(kept)), step=recording.kept_at, epoch=recording.epoch)


def _detached(value: Any) -> Any:
    """Return a tensor of PyTorch without the graph that computed it."""
    return value.detach() if hasattr(value, "detach") else value
