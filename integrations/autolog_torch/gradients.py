"""Which optimizers a backward gave gradients to, seen from a few of their parameters.

A gradient that a backward adds to is another tensor afterwards, or has another version. Looking at
all parameters of a large model would cost more than a small step: up to three are probed, spread
over the optimizer's parameters so that the parts of a model (encoder, heads) are told apart.
"""

from __future__ import annotations

import weakref
from typing import Any, Final

__all__ = ["Mark", "Probes"]

_PROBES: Final = 3

Mark = tuple[Any, ...]
"""The state of the probed gradients; equal marks mean that nothing was added in between."""


class Probes:
    """The probed parameters of one optimizer, referred to weakly."""

    __slots__ = ("_references",)

    def __init__(self, optimizer: Any) -> None:
        self._references: tuple[weakref.ref[Any], ...] = ()
        self.choose(optimizer.param_groups)

    def choose(self, groups: list[dict[str, Any]]) -> None:
        """Choose among the parameters that are trained now."""
        parameters = [one for group in groups for one in group["params"] if one.requires_grad]
        last = len(parameters) - 1
        chosen = sorted({round(last * at / (_PROBES - 1)) for at in range(_PROBES)})
        self._references = tuple(weakref.ref(parameters[at]) for at in chosen if at <= last >= 0)

    def parameters(self) -> list[Any]:
        """Return the probed parameters that are still there."""
        return [one for reference in self._references if (one := reference()) is not None]

    def moved_since(self, mark: Mark) -> bool:
        """Whether anything was added since a mark was taken."""
        for reference, before in zip(self._references, mark, strict=False):
            parameter = reference()
            gradient = parameter.grad if parameter is not None else None
            if gradient is not None and before != (id(gradient), gradient._version):  # noqa: SLF001
                return True
        return False

    def mark(self) -> Mark:
        """Return the state of the gradients: None, or which tensor it is in which version."""
        found: list[Any] = []
        for reference in self._references:
            parameter = reference()
            gradient = parameter.grad if parameter is not None else None
            version = None if gradient is None else gradient._version  # noqa: SLF001
            found.append(None if gradient is None else (id(gradient), version))
        return tuple(found)
