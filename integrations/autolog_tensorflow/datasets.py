"""Datasets that a training gets its batches from: its epochs.

Hooks stand at `iter(dataset)` and at `next` of its iterators, where they are used eagerly; what a
`tf.function` iterates itself passes no Python code. No batch is drawn, no length is counted.
"""

from __future__ import annotations

import functools
import weakref
from collections.abc import Mapping
from importlib import import_module
from time import perf_counter_ns
from typing import Any

from autolog.integration import Capture, DataPass, Detach, EpochOf, Loop, Tap
from autolog_tensorflow.current import here, on_step
from autolog_tensorflow.describe import describe_data
from autolog_tensorflow.framework import first_leaf, is_eager
from autolog_tensorflow.passes import AHEAD, Pass, begin, forget, local, passes, source_of
from autolog_tensorflow.steps import tracking

__all__ = ["attach"]

_Fed = tuple[tuple[Pass, bool], ...]


def attach(capture: Capture) -> Detach:
    """Watch the iterators of datasets."""
    dataset: Any = import_module("tensorflow").data.Dataset
    iterator: Any = import_module("tensorflow.python.data.ops.iterator_ops").OwnedIterator
    datasets = _Datasets(capture)
    undo = [
        capture.tap(dataset, "__iter__", Tap(enter=_now, exit=datasets.begun)),
        capture.tap(
            iterator, "_next_internal", Tap(enter=_asked, exit=_gave, error=datasets.raised)
        ),
        on_step(capture.guarded(datasets.stepped)),
    ]

    def detach() -> None:
        for one in undo:
            one()
        forget()
        here.epoch_of = None

    return detach


def _now(args: tuple[Any, ...], kwargs: Mapping[str, Any]) -> int | None:
    del args, kwargs
    return perf_counter_ns() if is_eager() and not here.in_trainer else None


def _asked(args: tuple[Any, ...], kwargs: Mapping[str, Any]) -> tuple[Pass, int] | None:
    del kwargs
    one = passes.get(id(args[0]))
    return (one, perf_counter_ns()) if one is not None else None


def _gave(
    asked: tuple[Pass, int] | None, args: tuple[Any, ...], kwargs: Mapping[str, Any], batch: Any
) -> None:
    """A batch was given: the only hook that runs for each."""
    del args, kwargs
    if asked is None:
        return
    one, began = asked
    one.last = now = perf_counter_ns()
    one.waited += now - began
    one.batches += 1
    one.samples += _size(batch)
    if not one.fed:
        one.feed.gave(one)


def _size(batch: Any) -> int:
    """Return how many samples a batch has: the length of the first tensor in it."""
    shape = getattr(first_leaf(batch), "shape", None)
    return int(shape[0] or 0) if shape else 0


class _Datasets:
    def __init__(self, capture: Capture) -> None:
        self._capture = capture
        self._left = capture.guarded(self.left)

    def begun(
        self, began: int | None, args: tuple[Any, ...], _: Mapping[str, Any], iterator: Any
    ) -> None:
        """A pass begins."""
        if began is None or self._capture.covered:
            return
        tracking.held.read()
        for one in list(passes.values()):
            if one.feed is local.feed and not one.open:
                for loop in _last_of(one):
                    loop.epochs.finish(loop)
        local.feed.forget_closed()
        begin(iterator, source_of(args[0]), began, self._left)
        tracking.rates_are_due()
        self._capture.begin_pass()

    def raised(
        self,
        asked: tuple[Pass, int] | None,
        args: tuple[Any, ...],
        _: Mapping[str, Any],
        exc: BaseException,
    ) -> None:
        """A dataset is exhausted; or the user's data has failed, which ends the pass as well."""
        del args
        if asked is None or not asked[0].open:
            return
        one, began = asked
        one.last = now = perf_counter_ns()
        if type(exc).__name__ in ("OutOfRangeError", "StopIteration"):
            one.waited += now - began
            one.whole = True
        self.left(one)

    @staticmethod
    def left(one: Pass) -> None:
        """A pass is over."""
        one.open = False
        if not one.steps:
            for other in list(passes.values()):
                if other.open and other.feed is one.feed:
                    other.paused += one.last - max(one.started, other.started)
        for loop in _last_of(one):
            tracking.held.read()
            loop.epochs.ended(loop)

    def stepped(self) -> None:
        """An optimizer makes a step with the batches that were given since the last one."""
        feed = local.feed
        if feed.fed:
            feed.unfed = 0
            here.epoch_of = _epoch_of(feed.take())
            return
        here.epoch_of = _going_on
        feed.unfed += 1
        if feed.unfed == AHEAD + 1 and not any(one.open for one in feed.passes()):
            self._capture.end_passes()


def _last_of(one: Pass) -> list[Loop]:
    """Return the loops whose epoch a pass was the last to be."""
    found = [loop for reference in one.loops if (loop := reference())]
    return [loop for loop in found if loop.epochs.primary is one]


def _begun(one: DataPass, loop: Loop) -> None:
    if isinstance(one, Pass):
        one.loops = (*one.loops, weakref.ref(loop))
        if not loop.epochs.data:
            describe_data(loop, one)


def _take(fed: _Fed, loop: Loop) -> int | None:
    epochs = loop.epochs
    if epochs.on_begin is not _begun:
        epochs.on_begin = _begun
    return epochs.take(fed, loop)


def _going_on(loop: Loop) -> int | None:
    """Tell the epoch of a step that no new batch came before."""
    return _take((), loop)


def _epoch_of(fed: tuple[Pass, ...]) -> EpochOf:
    """Return what tells the epoch of a step that is made now, with batches of these passes."""
    return functools.partial(_take, tuple([(one, one.open) for one in fed]))
