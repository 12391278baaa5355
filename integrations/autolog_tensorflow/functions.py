"""Calls of `tf.function`s in which optimizers step: each makes the steps that its graph notes.

The outermost call of a graph is watched, however it came about (`tf.function`, a method, a concrete
function); it costs a look at a dictionary where no optimizer steps in it.
"""

from __future__ import annotations

from collections.abc import Mapping
from importlib import import_module
from typing import Any

from autolog.integration import Capture, Detach, Tap
from autolog_tensorflow import rates, traced
from autolog_tensorflow.current import here
from autolog_tensorflow.framework import flatten, is_eager
from autolog_tensorflow.gradients import Gradient
from autolog_tensorflow.readings import is_here
from autolog_tensorflow.steps import Tracked, tracking
from autolog_tensorflow.traced import Applied, Traced

__all__ = ["attach"]

_Counts = dict[Tracked, int]


def attach(capture: Capture) -> Detach:
    """Watch the calls of graphs."""
    module: Any = import_module("tensorflow.python.eager.polymorphic_function.concrete_function")
    functions = _Functions(capture)
    return capture.tap(
        module.ConcreteFunction,
        "_call_flat",
        Tap(enter=_called, exit=functions.returned, error=functions.raised),
    )


def _called(
    args: tuple[Any, ...], kwargs: Mapping[str, Any]
) -> tuple[Traced, _Counts | None] | None:
    """A graph is called, now or by a graph that is being built."""
    del kwargs
    notes = traced.known(args[0].graph)
    if not notes:
        return None
    if not is_eager():
        return notes, None
    return notes, {} if tracking.left_out() else _counts(notes)


def _counts(notes: Traced) -> _Counts:
    """Ask those optimizers how many steps they have made of which it is not known otherwise."""
    found: _Counts = {}
    for tracked in notes.counted():
        counter = tracked.iterations()
        value = rates.read(counter)
        if value is None:
            continue
        repeated = any(one.inside for one in notes.applied if one.tracked is tracked)
        if is_here(value) or repeated or any(tracked in one for one in notes.below.values()):
            found[tracked] = int(value.numpy())
    return found


class _Functions:
    """What happens around the call of a graph."""

    def __init__(self, capture: Capture) -> None:
        self._capture = capture

    def returned(
        self,
        state: tuple[Traced, _Counts | None] | None,
        args: tuple[Any, ...],
        kwargs: Mapping[str, Any],
        result: Any,
    ) -> None:
        """The call has returned: its steps are made."""
        del args, kwargs
        if state is None:
            return
        notes, before = state
        if before is None:
            traced.called(notes, result)
        elif tracking.left_out():
            for one in notes.applied:
                if one.tracked.known is not None:
                    one.tracked.known.left_out()
        else:
            self._record(notes, before, flatten(result))

    def raised(
        self,
        state: tuple[Traced, _Counts | None] | None,
        args: tuple[Any, ...],
        kwargs: Mapping[str, Any],
        exception: BaseException,
    ) -> None:
        """The call has raised: a loop in it may have made steps before."""
        del args, kwargs, exception
        notes, before = state if state is not None else (None, None)
        if notes is None or not before or tracking.left_out():
            return
        after = _counts(notes)
        for tracked, count in before.items():
            for _ in range(after.get(tracked, count) - count):
                tracking.made(tracked, None)

    def _record(self, notes: Traced, before: _Counts, outputs: list[Any]) -> None:
        after = _counts(notes) if before else before
        if not notes.called:
            notes.called = True
            tracking.take_turns([*(one.tracked for one in notes.applied), *notes.counted()])
        done: set[Tracked] = set()
        for one in notes.applied:
            if one.tracked in before:
                if one.tracked not in done:
                    self._counted(notes, one.tracked, before, after, outputs)
                    done.add(one.tracked)
            elif not one.inside:
                tracking.made(one.tracked, self._loss(notes, one, outputs))
        for tracked in before:
            if tracked not in done:
                self._counted(notes, tracked, before, after, outputs)
        for gradient in notes.gradients:
            if not gradient.users:  # they are given to an optimizer outside of the function
                loss = notes.loss_from([gradient], outputs)
                here.gradients.append(Gradient(loss, gradient.left, None))

    def _counted(
        self, notes: Traced, tracked: Tracked, before: _Counts, after: _Counts, outputs: list[Any]
    ) -> None:
        """Record the steps of an optimizer that has counted them itself."""
        count = after.get(tracked, before[tracked]) - before[tracked]
        places = [one for one in notes.applied if one.tracked is tracked]
        if count == len(places) and not any(one.inside for one in places):
            for one in places:
                tracking.made(tracked, self._loss(notes, one, outputs))
            return
        if count and any(one.inside for one in places) | (not places):
            self._say_that_loops_hide_losses()
        for _ in range(count):
            tracking.made(tracked, None)

    def _loss(self, notes: Traced, one: Applied, outputs: list[Any]) -> list[Any] | None:
        loss = notes.loss_from(one.gradients, outputs)
        if loss is None:
            if one.gradients:
                self._say_that_it_is_not_returned()
            return None
        if any(part.shape.num_elements() != 1 for part in loss):
            tracking.say_that_there_is_none()
            return None
        return loss

    def _say_that_it_is_not_returned(self) -> None:
        self._capture.notice(
            "loss_is_not_returned",
            "a tf.function makes the training's steps and does not return the loss that it computes"
            " gradients of: so only the steps were recorded; return it (`return loss`, also inside"
            " of a tuple or a dictionary) and it is recorded for each step",
        )

    def _say_that_loops_hide_losses(self) -> None:
        self._capture.notice(
            "loss_inside_of_a_loop",
            "the steps of the training are made by a loop or a branch inside of a tf.function: no"
            " Python code sees their losses, so only the steps were recorded; a tf.function that"
            " makes one step and returns its loss gives a point for each",
        )
