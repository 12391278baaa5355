"""Passes over `DataLoader`s: where a training gets its batches, and when it has seen them all.

Hooks stand at `DataLoader.__iter__` and at `__next__` of its iterators. They look at the iterator
and at the shape of what it gives; the dataset and its items are not touched. What a dataset
iterates in a worker process is left alone.
"""

from __future__ import annotations

import functools
import weakref
from collections import UserDict
from collections.abc import Mapping
from importlib import import_module
from time import perf_counter_ns
from typing import Any, Final

from autolog.integration import Capture, Detach, Loop, Tap
from autolog_torch import epochs, phases
from autolog_torch.compiling import compiling
from autolog_torch.current import here, on_loop, on_step
from autolog_torch.datasets import look_at
from autolog_torch.passes import AHEAD, Pass, begin, forget, local, passes, source_of

__all__ = ["attach"]

_DEPTH: Final = 8
"""So deep a batch is looked into for a tensor."""


_type: Any = type


class _Torch:
    Tensor: Any = None


_torch = _Torch()


def attach(capture: Capture) -> Detach:
    """Watch the loaders."""
    module: Any = import_module("torch.utils.data.dataloader")
    _torch.Tensor = import_module("torch").Tensor
    loaders = _Loaders(capture)
    taps = [
        capture.tap(module.DataLoader, "__init__", Tap(exit=loaders.built, unless=compiling())),
        capture.tap(module.DataLoader, "__iter__", Tap(enter=_now, exit=loaders.begun)),
        capture.tap(
            module._BaseDataLoaderIter,  # noqa: SLF001
            "__next__",
            Tap(enter=_now, exit=_gave, error=loaders.raised),
        ),
        on_step(capture.guarded(loaders.stepped)),
        on_loop(capture.guarded(_loop_seen)),
    ]

    def detach() -> None:
        for untap in taps:
            untap()
        forget()
        here.epoch = here.epoch_of = None
        here.opening = []

    return detach


def _now(args: tuple[Any, ...], kwargs: Mapping[str, Any]) -> int:
    del args, kwargs
    return perf_counter_ns()


def _gave(asked: int | None, args: tuple[Any, ...], kwargs: Mapping[str, Any], batch: Any) -> None:
    """A batch was given: the only hook that runs for each."""
    del kwargs
    one = passes.get(id(args[0]))
    if one is None or asked is None:
        return
    one.last = now = perf_counter_ns()
    one.waited += now - asked
    one.batches += 1
    kind = _type(batch)
    if (kind is list or kind is tuple) and batch and _type(batch[0]) is _torch.Tensor:
        one.samples += batch[0].shape[0]  # what most loaders give; no tensor is touched
    else:
        one.samples += _size(batch)
    feed = one.feed
    if not one.fed or feed.latest is not one:
        feed.gave(one)
    if one.evaluation is not None:
        one.evaluation.end_batch()


def _size(batch: Any) -> int:
    """Return how many samples a batch has: the length of the first tensor that is found in it."""
    part: Any = batch
    for _ in range(_DEPTH):
        kind = _type(part)
        if issubclass(kind, _torch.Tensor):
            return part.shape[0] if len(part.shape) else 1
        if issubclass(kind, (dict, UserDict)) and len(part):
            part = next(iter(part.values()))
        elif issubclass(kind, (list, tuple)) and len(part):
            part = part[0]
        else:
            break
    return 0


class _Loaders:
    def __init__(self, capture: Capture) -> None:
        self._capture = capture
        self._left = capture.guarded(self.left)

    def built(self, _: Any, args: tuple[Any, ...], __: Mapping[str, Any], ___: Any) -> None:
        """A loader was built: remember what the code calls it."""
        source_of(args[0], self._capture.assigned_name("torch"))

    def begun(
        self, began: int | None, args: tuple[Any, ...], _: Mapping[str, Any], iterator: Any
    ) -> None:
        """A pass begins."""
        if began is None or in_worker() or self._capture.covered:
            return
        before = passes.get(id(iterator))
        if before is not None and before.open:
            self.left(before)
        phases.read_on()
        for one in list(passes.values()):
            if one.feed is local.feed and not one.open:
                epochs.finish(one)
        local.feed.forget_closed()
        source = source_of(args[0])
        if source.setup is None:
            look_at(args[0], source)
        begin(iterator, source, began, self._left)
        local.feed.criterion_known = False
        self._capture.begin_pass()

    def raised(
        self, asked: int | None, args: tuple[Any, ...], _: Mapping[str, Any], exc: BaseException
    ) -> None:
        """A loader is exhausted; or the user's data has failed, which ends the pass as well."""
        one = passes.get(id(args[0]))
        if one is None or not one.open:
            return
        one.last = now = perf_counter_ns()
        if asked is not None and isinstance(exc, StopIteration):
            one.waited += now - asked
            one.whole = True
        self.left(one)

    def left(self, one: Pass) -> None:
        """A pass is over."""
        one.open = False
        if not one.steps:
            for other in list(passes.values()):
                if other.open and other.feed is one.feed:
                    other.paused += one.last - max(one.started, other.started)
        epochs.ended(one)
        phases.ended(one, self._capture)

    def stepped(self) -> None:
        """An optimizer makes a step with the batches that were given since the last one."""
        feed = local.feed
        phases.stepping(feed)
        feed.steps += 1
        if feed.fed:
            feed.unfed = 0
            here.epoch_of = epochs.epoch_of(feed.take())
            return
        here.epoch_of = epochs.going_on
        feed.unfed += 1
        if feed.unfed == AHEAD + 1 and not any(one.open for one in feed.passes()):
            self._capture.end_passes()


def _loop_seen(loop: Loop, optimizer: Any) -> None:
    """Keep in mind whose parameters a loop trains, and what is to be read at its end."""
    known = epochs.epochs_of(loop).optimizers
    if not known:
        loop.span.at_end(functools.partial(phases.read_on, to_the_end=True))
    known.append(weakref.ref(optimizer))


def in_worker() -> bool:
    """Whether this is a worker process of a loader."""
    return import_module("torch.utils.data").get_worker_info() is not None
