"""The options of this integration: `autolog(tensorflow={"summaries": False})`."""

from __future__ import annotations

from dataclasses import dataclass

__all__ = ["Options"]


@dataclass(frozen=True, slots=True)
class Options:
    """What is recorded of a training loop of the user's own.

    Args:
        summaries: record what is given to `tf.summary.scalar`.
        checkpoints: remember which run wrote a `tf.train.Checkpoint`.
    """

    summaries: bool = True
    checkpoints: bool = True
