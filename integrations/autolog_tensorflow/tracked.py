"""One optimizer, as far as it is known between its steps."""

from __future__ import annotations

import weakref
from collections.abc import Sequence
from typing import Any

from autolog.integration import LoopOptimizer

__all__ = ["Tracked"]


class Tracked:
    """What is known of one optimizer between its steps."""

    __slots__ = (
        "__weakref__",
        "described_in",
        "distributed",
        "ids",
        "known",
        "name",
        "rate_due",
        "reference",
        "steps",
        "told",
        "variables",
    )

    def __init__(self, optimizer: Any, name: str) -> None:
        self.reference = weakref.ref(optimizer)
        self.name = name
        self.known: LoopOptimizer | None = None
        self.described_in: Any = None
        self.variables: list[weakref.ref[Any]] = []
        self.ids: frozenset[int] = frozenset()
        """The ids of these."""
        self.steps = 0
        self.distributed = False
        """Whether several replicas make its steps together."""
        self.told: set[str] = set()
        """What was said of its steps in this loop."""
        self.rate_due = 0
        """The number of the step that the learning rate is read at next."""

    def trains(self, variables: Sequence[Any]) -> frozenset[int]:
        """Note what it was given; return the ids of that."""
        ids = frozenset(map(id, variables))
        if not ids <= self.ids:
            self.variables = [one for one in self.variables if one() is not None]
            known = {id(one()) for one in self.variables}
            self.variables += [weakref.ref(one) for one in variables if id(one) not in known]
            self.ids = frozenset(id(one()) for one in self.variables)
        return ids

    def parameters(self) -> list[Any]:
        """Return what it trains, as far as that is known and still there."""
        return [one for reference in self.variables if (one := reference()) is not None]

    def iterations(self) -> Any:
        """Return the variable in which it counts its own steps; None if it has none."""
        optimizer = self.reference()
        optimizer = getattr(optimizer, "inner_optimizer", optimizer)
        counter = getattr(optimizer, "_iterations", None)  # without what accumulation makes of it
        return counter if counter is not None else getattr(optimizer, "iterations", None)
