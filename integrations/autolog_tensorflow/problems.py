"""Why a step has no loss: said once for each training."""

from __future__ import annotations

from typing import Final, NamedTuple

__all__ = ["DISTRIBUTED", "INSIDE", "NOT_RETURNED", "NO_SCALAR", "Problem"]


class Problem(NamedTuple):
    """A notice: its key and its text."""

    key: str
    text: str


NO_SCALAR: Final = Problem(
    "loss_is_no_scalar",
    "gradients were computed of a tensor of several elements: it has no single loss, so none was"
    " recorded; autolog.log_metric records what you mean by it",
)
NOT_RETURNED: Final = Problem(
    "loss_is_not_returned",
    "a tf.function makes the training's steps and does not return the loss that it computes"
    " gradients of: so only the steps were recorded; return it (`return loss`, also inside of a"
    " tuple or a dictionary) and it is recorded for each step",
)
INSIDE: Final = Problem(
    "loss_inside_of_a_loop",
    "the steps of the training are made by a loop or a branch inside of a tf.function: no Python"
    " code sees their losses, so only the steps were recorded; a tf.function that makes one step"
    " and returns its loss gives a point for each",
)
DISTRIBUTED: Final = Problem(
    "loss_of_replicas",
    "the steps of the training are made by several replicas of a tf.distribute strategy, each with"
    " the loss of its part of a batch: only the steps were recorded; autolog.log_metric records the"
    " loss that you reduce",
)
