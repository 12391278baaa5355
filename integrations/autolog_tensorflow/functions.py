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
from autolog_tensorflow.problems import INSIDE, NO_SCALAR, NOT_RETURNED
from autolog_tensorflow.readings import is_here
from autolog_tensorflow.steps import tracking
from autolog_tensorflow.traced import Applied, Traced
from autolog_tensorflow.tracked import Tracked

__all__ = ["attach"]

_Counts = dict[Tracked, int]


def attach(capture: Capture) -> Detach:
    """Watch the calls of graphs."""
    module: Any = import_module("tensorflow.python.eager.polymorphic_function.concrete_function")
    return capture.tap(
        module.ConcreteFunction,
        "_call_flat",
        Tap(enter=_called, exit=_returned, error=_raised),
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


def _returned(
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
        _record(notes, before, flatten(result))


def _raised(
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


def _record(notes: Traced, before: _Counts, outputs: list[Any]) -> None:
    after = _counts(notes) if before else before
    if not notes.called:
        notes.called = True
        tracking.take_turns([*(one.tracked for one in notes.applied), *notes.counted()])
    done: set[Tracked] = set()
    for one in notes.applied:
        if one.tracked in before:
            if one.tracked not in done:
                _record_counted(
                    notes, one.tracked, after[one.tracked] - before[one.tracked], outputs
                )
                done.add(one.tracked)
        elif not one.inside:
            _record_one(notes, one, outputs)
    for tracked in before:
        if tracked not in done:
            _record_counted(notes, tracked, after[tracked] - before[tracked], outputs)
    for gradient in notes.gradients:
        if not gradient.users:  # they are given to an optimizer outside of the function
            loss = notes.loss_from([gradient], outputs)
            here.gradients.append(Gradient(loss, gradient.left, None))


def _record_counted(notes: Traced, tracked: Tracked, count: int, outputs: list[Any]) -> None:
    """Record the steps of an optimizer that has counted them itself."""
    places = [one for one in notes.applied if one.tracked is tracked]
    hidden = not places or any(one.inside for one in places)
    if count == len(places) and not hidden:
        for one in places:
            _record_one(notes, one, outputs)
        return
    for _ in range(count):
        tracking.made(tracked, None, INSIDE if hidden else None)


def _record_one(notes: Traced, one: Applied, outputs: list[Any]) -> None:
    """Record a step of an optimizer, with its loss if the call has returned that."""
    loss = notes.loss_from(one.gradients, outputs)
    if loss is None:
        tracking.made(one.tracked, None, NOT_RETURNED if one.gradients else None)
    elif any(part.shape.num_elements() != 1 for part in loss):
        tracking.made(one.tracked, None, NO_SCALAR)
    else:
        tracking.made(one.tracked, loss)
