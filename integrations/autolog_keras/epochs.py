"""The epochs of a fit: Keras' own logs, as its History gets them.

They are read where Keras calls its `CallbackList`, which it does in every form of the call. A
callback of ours among the user's would change how Keras calls the others (quirk
keras-callback-changes-dispatch).
"""

from __future__ import annotations

import time
from typing import Any

from autolog.integration import Call, Capture
from autolog_keras import batches
from autolog_keras.numbers import number, numbers
from autolog_keras.recording import Recording, Recordings

__all__ = ["Epochs"]


class Epochs:
    """Records the epochs of all fits of a package."""

    def __init__(self, capture: Capture, recordings: Recordings) -> None:
        self._capture = capture
        self._recordings = recordings

    def training_begins(self, call: Call) -> None:
        """Note who is called."""
        recording = self._recording(call)
        if recording is not None:
            recording.told_by = call.instance
            recording.callbacks = tuple(call.instance.callbacks)

    def begins(self, call: Call) -> None:
        """Begin an epoch; the first one tells where this fit's numbers start."""
        recording = self._recording(call)
        if recording is None:
            return
        epoch = int(_argument(call, 0, "epoch"))
        if not recording.began:
            recording.began = True
            recording.shift = max(0, recording.trained.epochs - epoch)
        recording.epoch = epoch + recording.shift
        recording.epoch_began = time.perf_counter()
        recording.logs = None
        recording.batches_kept = 0

    def is_over(self, call: Call) -> None:
        """Read the learning rate before a callback sets the one of the next epoch."""
        recording = self._recording(call)
        if recording is not None and self._capture.options.learning_rate:
            recording.rate = learning_rate(getattr(recording.model, "optimizer", None))

    def told(self, call: Call) -> None:
        """Take the logs that History takes: with what the user's callbacks have put there."""
        recording = self._recordings.in_call(call, self._capture)
        if recording is not None and any(one is call.instance for one in recording.callbacks):
            recording.logs = _argument(call, 1, "logs")

    def ends(self, call: Call, _: Any) -> None:
        """Record the epoch."""
        self._write(call)

    def fails(self, call: Call, _: BaseException) -> None:
        """Record the epoch: it was over when a callback raised."""
        self._write(call)

    def _recording(self, call: Call) -> Recording | None:
        """Return the fit whose own list of callbacks is called.

        A list among the callbacks tells the same epochs again, and one of a fit that a callback
        makes of the same model tells others under the same numbers.
        """
        recording = self._recordings.in_call(call, self._capture)
        if recording is None:
            return None
        foreign = recording.told_by is not None and recording.told_by is not call.instance
        return None if foreign else recording

    def _write(self, call: Call) -> None:
        recording = self._recording(call)
        if recording is None:
            return
        batches.flush(recording)
        recording.trained.batches = max(recording.trained.batches, recording.batch + 1)
        logs = recording.logs if recording.logs is not None else _argument(call, 1, "logs")
        values = dict(numbers(logs or {}))
        if recording.rate is not None and not values.keys() & {"lr", "learning_rate"}:
            # Under the name that Keras' own callbacks log it by.
            values[recording.rate_key] = recording.rate
        values["epoch_seconds"] = time.perf_counter() - recording.epoch_began
        recording.span.metrics(values, step=recording.epoch, epoch=recording.epoch)
        recording.trained.epochs = recording.epoch + 1


def learning_rate(optimizer: Any) -> float | None:
    """Return the learning rate of the newest step; None if a plain function decides it.

    A schedule is asked, also one of a class of the user's: it tells the rate of a step and no more.
    """
    optimizer = getattr(optimizer, "inner_optimizer", optimizer)
    rate: Any = getattr(optimizer, "_learning_rate", None)
    if rate is None:
        rate = getattr(optimizer, "learning_rate", None)  # a legacy optimizer of tf_keras
    if hasattr(rate, "from_config"):  # a schedule
        rate = rate(optimizer.iterations)
    elif callable(rate) and not hasattr(rate, "dtype"):
        return None
    return number(rate)


def _argument(call: Call, position: int, name: str) -> Any:
    return call.args[position] if len(call.args) > position else call.kwargs.get(name)
