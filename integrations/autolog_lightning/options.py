"""The options of this integration: `autolog(lightning={"every_step": True})`."""

from __future__ import annotations

from dataclasses import dataclass

__all__ = ["Options"]


@dataclass(frozen=True, slots=True)
class Options:
    """What is recorded beyond, or left out of, what a training gives anyway.

    Args:
        every_step: record what is logged on each step, not only on those that the trainer's
            `log_every_n_steps` gives to its loggers.
        checkpoints: store a copy of the best checkpoint that the training wrote, within
            `max_model_mb`; without it the file is only named.
        learning_rates: record the learning rate of every optimizer step.
        summary: store a table of the module's layers as text.
    """

    every_step: bool = False
    checkpoints: bool = True
    learning_rates: bool = True
    summary: bool = True
