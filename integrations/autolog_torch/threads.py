"""Which thread trains what: the gradients of another thread's optimizers are not looked at.

torch's engine adds to gradients without Python's lock, and one that is read at that moment ends the
process. So as soon as several threads run backward, each looks only at the optimizers that it has
stepped itself. Those that nobody has stepped are found in the graph of a loss, which is its own.
"""

from __future__ import annotations

import os
import threading
import weakref
from collections.abc import Sequence
from typing import Any, Final, cast

from autolog_torch.steps import Tracked

__all__ = ["Threads"]

_WALKS: Final = 64
"""So often a thread looks through graphs for optimizers at most."""
_NODES: Final = 100_000
"""So many nodes of a graph are looked at at most."""


class Threads:
    """The threads that run backward."""

    def __init__(self) -> None:
        self.looking = threading.RLock()
        """Held while gradients are looked at: no thread runs its first backward meanwhile."""
        self._training: set[int] = set()
        self._walks: dict[int, int] = {}
        _all.add(self)

    def mine(self, known: Sequence[Tracked], given: Any) -> Sequence[Tracked]:
        """Return the optimizers whose gradients may be looked at before a backward of this thread.

        Args:
            known: all optimizers.
            given: what the backward begins at.
        """
        me = threading.get_ident()
        self._training.add(me)
        if len(self._training) == 1:
            return known
        alive = {one.ident for one in threading.enumerate()}
        self._training &= alive
        if len(self._training) == 1:
            return known
        for one in known:
            if one.thread not in alive:
                one.thread = None
        mine = [one for one in known if one.thread == me]
        free = [one for one in known if one.thread is None]
        if free or not mine:
            walks = self._walks[me] = self._walks.get(me, 0) + 1
            if walks <= _WALKS:
                reached = _reached(given)
                for one in free if mine else known:
                    if any(id(parameter) in reached for parameter in one.probes.parameters()):
                        one.thread = me
                        mine.append(one)
        return mine

    def still_mine(self, tracked: Tracked) -> bool:
        """Whether no other thread has begun to train it since this one's backward began."""
        return len(self._training) == 1 or tracked.thread in (None, threading.get_ident())

    def after_fork(self) -> None:
        """In a forked child: who held the lock is not there."""
        self.looking = threading.RLock()
        self._training.clear()


_all: weakref.WeakSet[Threads] = weakref.WeakSet()


def _after_fork() -> None:
    for one in _all:
        one.after_fork()


if hasattr(os, "register_at_fork"):
    os.register_at_fork(after_in_child=_after_fork)


def _reached(given: Any) -> set[int]:
    """Return the ids of the parameters that a backward will give gradients to."""
    several = cast("Sequence[Any]", given if isinstance(given, (list, tuple)) else (given,))
    nodes: list[Any] = [getattr(one, "grad_fn", None) for one in several]
    waiting = [node for node in nodes if node is not None]
    seen: set[Any] = set(waiting)
    found: set[int] = set()
    while waiting and len(seen) < _NODES:
        node = waiting.pop()
        variable = getattr(node, "variable", None)
        if variable is not None:
            found.add(id(variable))
        for further, _ in node.next_functions:
            if further is not None and further not in seen:
                seen.add(further)
                waiting.append(further)
    return found
