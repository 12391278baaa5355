"""Epochs of a loop: passes over loaders, and what this integration keeps with them."""

from __future__ import annotations

import functools
import weakref
from typing import Any, Final

from autolog.integration import DataPass, EpochOf, Loop
from autolog_torch.current import epoch_ended, here
from autolog_torch.datasets import describe_data
from autolog_torch.passes import Pass

__all__ = ["Epochs", "ended", "epoch_of", "epochs_of", "finish", "going_on"]

_STATE: Final = "torch.epochs"

_Fed = tuple[tuple[Pass, bool], ...]
"""Passes that gave batches before a step, and whether each was going on when it was made."""


class Epochs:
    """What is known of the epochs of one loop."""

    def __init__(self, loop: Loop) -> None:
        self.labels: dict[str, str] = {}
        """What evaluations on the data of a loader are called, by the loader's name."""
        self.optimizers: list[weakref.ref[Any]] = []
        self.criterion_known = False
        self.of_loop = loop.epochs
        self.of_loop.on_begin = self._begun
        self.of_loop.on_end = self._over

    @property
    def current(self) -> int | None:
        """The newest epoch; None if the loop was given no batches."""
        return self.of_loop.current

    def was_trained_on(self, name: str | None) -> bool:
        """Whether the loop was trained from a loader of this name."""
        return name is not None and name in self.of_loop.data

    def _begun(self, one: DataPass, loop: Loop) -> None:
        if not isinstance(one, Pass):
            return
        one.loops = (*one.loops, weakref.ref(loop))
        if not self.of_loop.data:
            describe_data(loop, one.source, "train")

    @staticmethod
    def _over(number: int, loop: Loop) -> None:
        epoch_ended(loop, number)


def epochs_of(loop: Loop) -> Epochs:
    """Return the epochs of a loop."""
    state = loop.span.state
    try:
        return state[_STATE]
    except KeyError:
        found = state[_STATE] = Epochs(loop)
        return found


def _last_of(one: Pass) -> list[Loop]:
    """Return the loops whose epoch a pass was the last to be."""
    found = [loop for reference in one.loops if (loop := reference())]
    return [loop for loop in found if loop.epochs.primary is one]


def ended(one: Pass) -> None:
    """A pass is over."""
    for loop in _last_of(one):
        loop.epochs.ended(loop)


def finish(one: Pass) -> None:
    """A pass is over, and what it gave was used."""
    for loop in _last_of(one):
        loop.epochs.finish(loop)


def _take(fed: _Fed, loop: Loop) -> int | None:
    epoch = here.epoch = epochs_of(loop).of_loop.take(fed, loop)
    return epoch


def going_on(loop: Loop) -> int | None:
    """Tell the epoch of a step that no new batch came before."""
    return _take((), loop)


def epoch_of(fed: tuple[Pass, ...]) -> EpochOf:
    """Return what tells the epoch of a step that is made now, with batches of these passes.

    It is asked when it is known whose step that was: the passes may be over by then.
    """
    return functools.partial(_take, tuple([(one, one.open) for one in fed]))
