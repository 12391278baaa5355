"""The options of this integration: `autolog(torch={...})`."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

__all__ = ["Options"]


@dataclass(frozen=True)
class Options:
    """What is recorded beside the defaults.

    Args:
        checkpoint_every: weights are stored after so many steps, or after each "epoch", while the
            program waits; the last and the best are kept. By default those at the end alone, of a
            program that saves none itself.
        grad_norm: compute the norm of the gradients of every step. It reads each gradient once
            (about what zeroing them costs); where the user clips, the norm is recorded anyway.
    """

    checkpoint_every: int | Literal["epoch"] | None = None
    grad_norm: bool = False

    def __post_init__(self) -> None:
        """Refuse what is no interval.

        Raises:
            ValueError: it is neither a number of steps nor "epoch".
        """
        every: object = self.checkpoint_every
        is_number = isinstance(every, int) and not isinstance(every, bool) and every > 0
        if every is not None and every != "epoch" and not is_number:
            raise ValueError('checkpoint_every is a number of steps, or "epoch"')
