"""Epochs of a loop: passes over the data that it is trained on, numbered from 0.

A pass that no step follows (an evaluation, a look at the first batch) is no epoch. While one pass
is going on, other data that gives batches too (a second domain, the tasks' own data inside of a
loop over tasks) does not begin another one; of several passes in one `zip` the first counts. A loop
that is given no batches has no epochs.

At the end of each epoch one point of `epoch` and of what its data cost is recorded, at its last
step.
"""

from __future__ import annotations

import weakref
from collections.abc import Callable, Hashable, Sequence
from typing import TYPE_CHECKING, Final

if TYPE_CHECKING:
    from autolog.capture.loops import Loop
    from autolog.integration import DataPass

__all__ = ["AHEAD", "Epochs", "of"]

AHEAD: Final = 2
"""So many batches may have been fetched before they are used, and belong to a pass that is over."""

_STATE: Final = "epochs"


class Epochs:
    """The epochs of one loop.

    Args:
        first: the number of the first one.
    """

    def __init__(self, first: int = 0) -> None:
        self.number = first - 1
        self.primary: DataPass | None = None
        """The pass that is the current epoch."""
        self.data: set[Hashable] = set()
        """What it was trained on."""
        self.on_begin: Callable[[DataPass, Loop], None] | None = None
        """Told of each pass that has become an epoch, before its data is among `data`."""
        self.on_end: Callable[[int, Loop], None] | None = None
        """Told the number of each epoch that is over."""
        self._first = 0
        """The number of its first step."""
        self._finished = True
        self._after = 0
        """Steps since it was over."""

    @property
    def current(self) -> int | None:
        """The newest epoch; None if the loop was given no batches."""
        return self.number if self.primary is not None else None

    def take(self, fed: Sequence[tuple[DataPass, bool]], loop: Loop) -> int | None:
        """Return the epoch of a step that was made with batches of these passes.

        Args:
            fed: the passes, and whether each was going on when the step was made.
            loop: whose step it was.
        """
        primary = self.primary
        if primary is not None and any(one is primary for one, _ in fed):
            return self.number
        if not fed:
            if primary is None:
                return None
            if primary.open:
                return self.number
            self._after += 1
            return self.number if self._after <= AHEAD else None
        chosen = self._choose(fed)
        if chosen is None:
            return self.take((), loop)
        if primary is not None and primary.open and primary.source is not chosen.source:
            return self.number
        self.finish(loop)
        self._begin(chosen, loop)
        return self.number

    def _choose(self, fed: Sequence[tuple[DataPass, bool]]) -> DataPass | None:
        """Of the passes that gave batches before a step, find the one that trains.

        A batch that was taken and kept, or all of them, make no pass; one that was over counts only
        if no more than what may be fetched ahead was left of it.
        """
        for candidates in (
            [one for one, was_open in fed if was_open and self.knows(one)],
            [one for one, was_open in fed if was_open and not one.evaluates],
            [one for one, was_open in fed if was_open or (one.whole and one.batches <= AHEAD)],
        ):
            if candidates:
                return candidates[0]
        return None

    def knows(self, one: DataPass) -> bool:
        """Whether a pass is over data that was trained on before."""
        return one.data in self.data

    def _begin(self, one: DataPass, loop: Loop) -> None:
        self.number += 1
        self.primary = one
        self._first = loop.step + 1
        self._finished = False
        self._after = 0
        if self.on_begin is not None:
            self.on_begin(one, loop)
        self.data.add(one.data)

    def ended(self, loop: Loop) -> None:
        """Its data is exhausted: record the epoch, unless its last batch is still to be used."""
        one = self.primary
        if one is not None and loop.step - self._first + 1 != one.batches - 1:
            self.finish(loop)

    def finish(self, loop: Loop) -> None:
        """Record the end of the current epoch, once."""
        one = self.primary
        steps = loop.step - self._first + 1
        if one is None or self._finished or steps < 1:
            return
        self._finished = True
        seconds, waited = one.seconds, one.waited / 1e9
        values = {
            "epoch": float(self.number),
            "train/data_seconds": waited / steps,
            "train/step_seconds": max(seconds - waited, 0.0) / steps,
        }
        if one.samples:
            values["train/samples_per_second"] = one.samples / seconds
        loop.span.metrics(values, step=loop.step, epoch=self.number)
        if self.on_end is not None:
            self.on_end(self.number, loop)


def of(loop: Loop) -> Epochs:
    """Return the epochs of a loop; the loops inside of one training share theirs."""
    state = loop.span.state
    try:
        return state[_STATE]
    except KeyError:
        found = state[_STATE] = Epochs(loop.first_epoch)
        reference = weakref.ref(loop)

        def finish() -> None:
            one = reference()
            if one is not None:
                found.finish(one)

        loop.span.at_end(finish)
        return found
