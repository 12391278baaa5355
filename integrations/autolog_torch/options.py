"""The options of this integration: `autolog(torch={...})`."""

from __future__ import annotations

from dataclasses import dataclass

__all__ = ["Options"]


@dataclass(frozen=True)
class Options:
    """What is recorded beside the defaults.

    Args:
        grad_norm: compute the norm of the gradients of every step. It reads each gradient once
            (about what zeroing them costs); where the user clips, the norm is recorded anyway.
    """

    grad_norm: bool = False
