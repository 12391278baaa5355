"""The options of this integration: `autolog(keras={"every_n_batches": 10})`."""

from __future__ import annotations

from dataclasses import dataclass

__all__ = ["Options"]


@dataclass(frozen=True, slots=True)
class Options:
    """What is recorded beyond, or left out of, what a training gives anyway.

    Args:
        every_n_batches: record the running metrics after every n-th batch as `batch/<metric>`, by
            the number of the batch; 0 records epochs alone.
        checkpoints: store a copy of the checkpoints that the training wrote, the last one and the
            best one, within `max_model_mb`; without it the files are only named.
        learning_rate: record the learning rate of every epoch.
        summary: store the table of the model's layers as text, and its configuration as JSON.
        saved_model: store a SavedModel beside the `.keras` file (TensorFlow only).
    """

    every_n_batches: int = 0
    checkpoints: bool = True
    learning_rate: bool = True
    summary: bool = True
    saved_model: bool = False
