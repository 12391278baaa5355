"""Passes over datasets, and what a thread has been given since its last step.

A pass begins with `iter(dataset)` and ends when the iterator is exhausted or dropped (a `break`).
Iterators and datasets are referred to weakly; nothing is iterated and no batch is kept.
"""

from __future__ import annotations

import threading
import weakref
from collections.abc import Callable
from time import perf_counter_ns
from typing import Any, Final

from autolog.integration import Loop

__all__ = ["AHEAD", "Feed", "Pass", "begin", "forget", "local", "passes", "source_of"]

AHEAD: Final = 2
"""So many batches may have been fetched before they are used, and belong to a pass that is over."""


class Source:
    """What is known of one dataset."""

    __slots__ = ("__weakref__", "reference")

    def __init__(self, reference: weakref.ref[Any]) -> None:
        self.reference = reference


class Pass:
    """One pass over a dataset."""

    __slots__ = (
        "__weakref__",
        "batches",
        "fed",
        "feed",
        "last",
        "loops",
        "open",
        "paused",
        "reference",
        "samples",
        "source",
        "started",
        "steps",
        "waited",
        "whole",
    )

    evaluates = False

    def __init__(self, source: Source, started: int, feed: Feed) -> None:
        self.source = source
        self.feed = feed
        self.reference: weakref.ref[Any] | None = None
        self.open = True
        self.whole = False
        self.fed = False
        """Whether it has given a batch since the last step."""
        self.steps = 0
        self.batches = 0
        self.samples = 0
        self.started = self.last = started
        self.waited = 0
        self.paused = 0
        """Nanoseconds that went into other passes inside of it."""
        self.loops: tuple[weakref.ref[Loop], ...] = ()
        """The loops whose epoch it is."""

    @property
    def data(self) -> Source:
        """What is known of its dataset: not its identity, which another one may get."""
        return self.source

    @property
    def seconds(self) -> float:
        """How long it has taken, without other passes inside of it."""
        return max(self.last - self.started - self.paused, 1) / 1e9


class Feed:
    """What a thread has been given since its last step."""

    def __init__(self) -> None:
        self.fed: list[Pass] = []
        """All passes that have given a batch since the last step, in order."""
        self.unfed = AHEAD
        """How many steps were made since the last batch; before the first one none is expected."""

    def gave(self, one: Pass) -> None:
        """Note the first batch of a pass since the last step."""
        one.fed = True
        self.fed.append(one)

    def passes(self) -> list[Pass]:
        """Return its passes whose iterators are still there."""
        return [one for one in list(passes.values()) if one.feed is self]

    def forget_closed(self) -> None:
        """Another pass begins: what closed ones have given is used by now."""
        self.fed = [one for one in self.fed if one.open]

    def take(self) -> tuple[Pass, ...]:
        """Return what gave batches since the last step, which is now made."""
        fed, self.fed = tuple(self.fed), []
        for one in fed:
            one.fed = False
            one.steps += 1
        return fed


class _Local(threading.local):
    def __init__(self) -> None:
        self.feed = Feed()


local = _Local()

passes: Final[dict[int, Pass]] = {}
"""By the id of the iterator, for as long as it lives."""
_sources: Final[dict[int, Source]] = {}


def source_of(dataset: Any) -> Source:
    """Return what is known of a dataset."""
    key = id(dataset)
    known = _sources.get(key)
    if known is not None and known.reference() is dataset:
        return known

    def gone(reference: weakref.ref[Any]) -> None:
        held = _sources.get(key)
        if held is not None and held.reference is reference:
            del _sources[key]

    known = _sources[key] = Source(weakref.ref(dataset, gone))
    return known


def begin(iterator: Any, source: Source, started: int, left: Callable[[Pass], None]) -> None:
    """Begin a pass; `left` is called when its iterator is dropped before it was exhausted."""
    key = id(iterator)
    one = Pass(source, started, local.feed)

    def gone(reference: weakref.ref[Any]) -> None:
        held = passes.get(key)
        if held is not None and held.reference is reference:
            del passes[key]
            if held.open:
                held.last = perf_counter_ns()
                left(held)

    one.reference = weakref.ref(iterator, gone)
    passes[key] = one


def forget() -> None:
    """Forget everything: autolog is switched off."""
    passes.clear()
    _sources.clear()
    local.feed = Feed()
