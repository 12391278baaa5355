"""Epochs of a loop: passes over the data that it is trained on, numbered from 0.

A pass that no step follows (an evaluation, a look at the first batch) is no epoch. While one pass
is going on, other loaders that give batches too (a second domain, the tasks' own loaders inside of
a loop over tasks) do not begin another one; of several loaders in one `zip` the first counts. A
loop that is given no batches has no epochs.

At the end of each epoch one point of `epoch` and of what its data cost is recorded, at its last
step.
"""

from __future__ import annotations

import functools
import weakref
from typing import Any, Final

from autolog.integration import EpochOf, Loop
from autolog_torch.current import epoch_ended, here
from autolog_torch.datasets import describe_data
from autolog_torch.passes import AHEAD, Pass

__all__ = ["Epochs", "ended", "epoch_of", "epochs_of", "finish", "going_on"]

_STATE: Final = "torch.epochs"

_Fed = tuple[tuple[Pass, bool], ...]
"""Passes that gave batches before a step, and whether each was going on when it was made."""


class Epochs:
    """The epochs of one loop."""

    def __init__(self, first: int = 0) -> None:
        self.number = first - 1
        self.primary: Pass | None = None
        """The pass that is the current epoch."""
        self.first = 0
        """The number of its first step."""
        self.finished = True
        self.after = 0
        """Steps since it was over."""
        self.sources: set[str | int] = set()
        """The loaders it was trained from: by name, or by the identity of what is known of them."""
        self.labels: dict[str, str] = {}
        """What evaluations on the data of a loader are called, by the loader's name."""
        self.optimizers: list[weakref.ref[Any]] = []
        self.criterion_known = False

    @property
    def current(self) -> int | None:
        """The newest epoch; None if the loop was given no batches."""
        return self.number if self.primary is not None else None

    def take(self, fed: _Fed, loop: Loop) -> int | None:
        """Return the epoch of a step that was made with batches of these passes."""
        primary = self.primary
        if primary is not None and any(one is primary for one, _ in fed):
            return self.number
        if not fed:
            if primary is None:
                return None
            if primary.open:
                return self.number
            self.after += 1
            return self.number if self.after <= AHEAD else None
        chosen = self._choose(fed)
        if chosen is None:
            return self.take((), loop)
        if primary is not None and primary.open and primary.source is not chosen.source:
            return self.number
        self.finish(loop)
        self._begin(chosen, loop)
        return self.number

    def _choose(self, fed: _Fed) -> Pass | None:
        """Of the passes that gave batches before a step, find the one that trains.

        A batch that was taken and kept, or all of them, make no pass; one that was over counts only
        if no more than what may be fetched ahead was left of it.
        """
        for candidates in (
            [one for one, was_open in fed if was_open and self.knows(one)],
            [one for one, was_open in fed if was_open and one.evaluation is None],
            [one for one, was_open in fed if was_open or (one.whole and one.batches <= AHEAD)],
        ):
            if candidates:
                return candidates[0]
        return None

    def knows(self, one: Pass) -> bool:
        """Whether a pass is over data that was trained on before."""
        return (one.source.name or id(one.source)) in self.sources

    def _begin(self, one: Pass, loop: Loop) -> None:
        self.number += 1
        self.primary = one
        self.first = loop.step + 1
        self.finished = False
        self.after = 0
        one.loops = (*one.loops, weakref.ref(loop))
        if not self.knows(one):
            self.sources.add(one.source.name or id(one.source))
            if len(self.sources) == 1:
                describe_data(loop, one.source, "train")

    def ended(self, loop: Loop) -> None:
        """Its data is exhausted: record the epoch, unless its last batch is still to be used."""
        one = self.primary
        if one is not None and loop.step - self.first + 1 != one.batches - 1:
            self.finish(loop)

    def finish(self, loop: Loop) -> None:
        """Record the end of the current epoch, once."""
        one = self.primary
        steps = loop.step - self.first + 1
        if one is None or self.finished or steps < 1:
            return
        self.finished = True
        seconds, waited = one.seconds, one.waited / 1e9
        values = {
            "epoch": float(self.number),
            "train/data_seconds": waited / steps,
            "train/step_seconds": max(seconds - waited, 0.0) / steps,
        }
        if one.samples:
            values["train/samples_per_second"] = one.samples / seconds
        loop.span.metrics(values, step=loop.step, epoch=self.number)
        epoch_ended(loop, self.number)


def epochs_of(loop: Loop) -> Epochs:
    """Return the epochs of a loop."""
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


def _known_epochs(one: Pass) -> list[tuple[Loop, Epochs]]:
    """Return the loops whose epoch a pass was the last to be."""
    found = [(loop, epochs_of(loop)) for reference in one.loops if (loop := reference())]
    return [(loop, epochs) for loop, epochs in found if epochs.primary is one]


def ended(one: Pass) -> None:
    """A pass is over."""
    for loop, epochs in _known_epochs(one):
        epochs.ended(loop)


def finish(one: Pass) -> None:
    """A pass is over, and what it gave was used."""
    for loop, epochs in _known_epochs(one):
        epochs.finish(loop)


def _take(fed: _Fed, loop: Loop) -> int | None:
    epoch = here.epoch = epochs_of(loop).take(fed, loop)
    return epoch


def going_on(loop: Loop) -> int | None:
    """Tell the epoch of a step that no new batch came before."""
    return _take((), loop)


def epoch_of(fed: tuple[Pass, ...]) -> EpochOf:
    """Return what tells the epoch of a step that is made now, with batches of these passes.

    It is asked when it is known whose step that was: the passes may be over by then.
    """
    return functools.partial(_take, tuple([(one, one.open) for one in fed]))
