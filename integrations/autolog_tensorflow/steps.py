"""Optimizer steps: where a training loop of the user's own shows itself.

An optimizer that applies gradients inside of another one's step (the one that a loss scale is
wrapped around) is a part of that one. Done eagerly, one call is one step; what is traced into the
graph of a `tf.function` is noted there, and `functions` sees the calls.
"""

from __future__ import annotations

import weakref
from collections.abc import Callable, Mapping, Sequence
from typing import Any, Final

from autolog.integration import Capture, EpochOf, Loop, Tap
from autolog_tensorflow import models, rates, traced
from autolog_tensorflow.current import here, loop_seen, step_listeners
from autolog_tensorflow.framework import graph_now, is_eager, replica
from autolog_tensorflow.gradients import take
from autolog_tensorflow.problems import DISTRIBUTED, NO_SCALAR, Problem
from autolog_tensorflow.readings import Held
from autolog_tensorflow.tracked import Tracked

__all__ = ["Tracking", "stepping", "tracking"]

_LOSS: Final = "train/loss/*"
_RATE: Final = "lr/*"


class Tracking:
    """All optimizers of the process, and their steps."""

    def __init__(self) -> None:
        self._capture: Capture | None = None
        self._tracked: dict[int, Tracked] = {}
        self.held = Held()

    def switch_on(self, capture: Capture) -> None:
        """Begin to record."""
        self._capture = capture

    def switch_off(self) -> None:
        """Forget everything."""
        self._capture = None
        self._tracked.clear()
        traced.forget()

    @property
    def capture(self) -> Capture | None:
        """What is recorded with, while this is on."""
        return self._capture

    def of(self, optimizer: Any, *, package: str | None = None) -> Tracked:
        """Return what is known of an optimizer; one that is being built tells its package."""
        key = id(optimizer)
        known = self._tracked.get(key)
        if known is not None and known.reference() is optimizer:
            return known
        capture = self._capture
        name = capture.assigned_name(package) if package and capture is not None else None
        known = Tracked(optimizer, name or "")
        weakref.finalize(optimizer, self._forget, key, known.reference).atexit = False
        self._tracked[key] = known
        if capture is not None:
            reference = weakref.ref(known)
            known.known = capture.optimizer(
                optimizer,
                _parameters_of(reference),
                _model_of(reference),
                name=known.name,
                built=package is not None,
            )
        return known

    def loops_over(self, ids: frozenset[int]) -> list[Loop]:
        """Return the loops that train any of these variables, given by their ids."""
        found: list[Loop] = []
        for tracked in list(self._tracked.values()):
            loop = tracked.known.loop if tracked.known is not None else None
            if loop is not None and loop not in found and ids & tracked.ids:
                found.append(loop)
        return found

    def _forget(self, key: int, reference: Any) -> None:
        known = self._tracked.get(key)
        if known is not None and known.reference is reference:
            del self._tracked[key]

    def rates_are_due(self) -> None:
        """A pass over data begins: the next step of each optimizer tells its learning rate."""
        for one in list(self._tracked.values()):
            one.rate_due = one.steps

    def left_out(self) -> bool:
        """Whether steps that are made here now are nobody's, or recorded by somebody else."""
        capture = self._capture
        return capture is None or bool(here.in_trainer) or capture.suspended or capture.covered

    # -- an optimizer applies gradients ------------------------------------------------------

    def applied(self, optimizer: Any, variables: Sequence[Any], gradients: Sequence[Any]) -> None:
        """It has done so, now or in the graph that is being built."""
        tracked = self.of(optimizer)
        ids = tracked.trains(variables)
        skips = hasattr(optimizer, "inner_optimizer")
        number = replica()
        if number:
            return  # the first one stands for all
        tracked.distributed = number is not None
        if not is_eager():
            graph = graph_now()
            if graph is not None:
                notes, inside = traced.of_graph(graph)
                taken = take(notes.gradients, tracked, ids, gradients)
                parts = [] if tracked.distributed else taken
                notes.applied.append(traced.Applied(tracked, parts, inside=inside, skips=skips))
                traced.tell_outer(notes, tracked)
                self._ally([one for gradient in taken for one in gradient.users])
            return
        taken = take(here.gradients, tracked, ids, gradients)
        if tracked.distributed:
            taken = []
        if self.left_out():
            if tracked.known is not None:
                tracked.known.left_out()
            return
        if skips and not here.inner_applied:
            self._skipped(tracked)
            return
        users = [one for gradient in taken for one in gradient.users]
        if len(users) > len(taken):
            self._ally(users)
        losses = [one.loss for one in taken]
        loss = None if None in losses else [part for one in losses for part in one or ()]
        self.made(tracked, loss or None, None if loss or not taken else NO_SCALAR)

    @staticmethod
    def _ally(users: list[Tracked]) -> None:
        """Gradients of one loss were applied by several optimizers: they belong together."""
        together = {id(one): one.known for one in users if one.known is not None}
        if len(together) > 1:
            for one in together.values():
                one.applied_with(list(together.values()))

    @staticmethod
    def take_turns(trackeds: list[Tracked]) -> None:
        """Note that optimizers step in one function, and so in one loop."""
        together = {id(one): one.known for one in trackeds if one.known is not None}
        if len(together) > 1:
            for one in together.values():
                one.steps_with(list(together.values()))

    @staticmethod
    def _skipped(tracked: Tracked) -> None:
        """Gradients were not finite: the optimizer lowers the scale of its loss instead."""
        loop = tracked.known.loop if tracked.known is not None else None
        if loop is not None:
            loop.span.event("step_skipped", {"step": loop.step + 1})

    # -- recording ---------------------------------------------------------------------------

    def made(
        self, tracked: Tracked, loss: list[Any] | None, problem: Problem | None = None
    ) -> None:
        """Record a step.

        Args:
            tracked: the optimizer that made it.
            loss: tensors whose sum its loss is, if that is known.
            problem: why it is not, to be said once.
        """
        for listener in step_listeners:
            listener()
        keys: tuple[str, ...] = ()
        values: list[Any] = []
        if tracked.steps >= tracked.rate_due:
            tracked.rate_due = tracked.steps + rates.EVERY
            optimizer = tracked.reference()
            rate = rates.rate_of(optimizer) if optimizer is not None else None
            if rate is not None:
                keys, values = (_RATE,), [rate]
        if loss is not None:
            keys = (*keys, _LOSS)
            values.append(loss[0] if len(loss) == 1 else tuple(loss))
        tracked.steps += 1
        epoch = here.epoch_of
        self.held.give(values, lambda read: self._write(tracked, keys, read, epoch))
        if loss is None and tracked.distributed:
            problem = DISTRIBUTED
        if problem is not None and problem.key not in tracked.told:
            self._tell(tracked, problem)

    def _tell(self, tracked: Tracked, problem: Problem) -> None:
        if self._capture is None or tracked.known is None or tracked.known.loop is None:
            return  # it has no run so far
        tracked.told.add(problem.key)
        self._capture.notice(problem.key, problem.text)

    @staticmethod
    def _write(
        tracked: Tracked, keys: tuple[str, ...], values: list[float], epoch: EpochOf | None
    ) -> None:
        if tracked.known is None:
            return
        loop = tracked.known.step(keys, values, epoch=epoch)
        if loop is not None and tracked.described_in is not loop:
            tracked.described_in = loop
            tracked.told.clear()
            optimizer = tracked.reference()
            if optimizer is not None:
                loop_seen(loop, optimizer)


tracking = Tracking()


def stepping(arguments: Callable[..., tuple[Sequence[Any], Sequence[Any]] | None]) -> Tap:
    """Return a tap for a method with which optimizers apply gradients.

    Args:
        arguments: gives `(gradients, variables)` of a call, without using up an iterator; None if
            that cannot be: what the method calls may tell then.
    """

    def begin(args: tuple[Any, ...], kwargs: Mapping[str, Any]) -> bool:
        if not here.applying:
            here.variables = arguments(*args, **kwargs)
            here.inner_applied = False
        here.applying.append(args[0])
        return True

    def leave(state: bool | None) -> bool:
        if state is not None and here.applying:
            here.applying.pop()
        return not here.applying

    def end(state: bool | None, args: tuple[Any, ...], _: Mapping[str, Any], __: Any) -> None:
        if leave(state):
            told, here.variables = here.variables, None
            gradients, variables = told or ((), ())
            tracking.applied(args[0], variables, gradients)
        elif here.applying[0] is not args[0] and not here.inner_applied:
            here.inner_applied = True
            inner = tracking.of(args[0])
            if inner.known is not None:
                inner.known.left_out()

    def fail(
        state: bool | None, _: tuple[Any, ...], __: Mapping[str, Any], ___: BaseException
    ) -> None:
        leave(state)

    return Tap(enter=begin, exit=end, error=fail)


def _parameters_of(reference: weakref.ref[Tracked]) -> Callable[[], list[Any]]:
    def parameters() -> list[Any]:
        tracked = reference()
        return [] if tracked is None else tracked.parameters()

    return parameters


def _model_of(reference: weakref.ref[Tracked]) -> Callable[[], Any]:
    def model() -> Any:
        tracked = reference()
        return None if tracked is None else models.of_variables(tracked.parameters())

    return model
