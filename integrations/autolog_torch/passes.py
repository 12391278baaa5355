"""Passes over loaders: what is noted of them, and what a thread has been given since its last step.

A pass begins with `iter(loader)` and ends when the loader is exhausted, when its iterator is
dropped (a `break`), or when the same iterator begins anew (persistent workers). Iterators and
loaders are referred to weakly.
"""

from __future__ import annotations

import threading
import weakref
from collections.abc import Callable
from time import perf_counter_ns
from typing import TYPE_CHECKING, Any, Final

from autolog.integration import Loop

if TYPE_CHECKING:
    from autolog_torch.evaluations import Evaluation

AHEAD: Final = 2
"""So many batches may have been fetched before they are used, and belong to a pass that is over."""

__all__ = ["AHEAD", "Feed", "Pass", "Source", "begin", "forget", "local", "passes", "source_of"]


class Source:
    """What is known of one loader."""

    __slots__ = ("__weakref__", "iterator", "name", "reference", "setup")

    def __init__(self, reference: weakref.ref[Any], name: str | None) -> None:
        self.reference = reference
        self.name = name
        """What the code stores it under."""
        self.setup: dict[str, Any] | None = None
        """How it was set up when its first pass began; it may be gone after that."""
        self.iterator: weakref.ref[Any] | None = None
        """Of the newest pass."""


class Pass:
    """One pass over a loader."""

    __slots__ = (
        "__weakref__",
        "batches",
        "evaluation",
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

    def __init__(self, source: Source, started: int, feed: Feed) -> None:
        self.source = source
        self.feed = feed
        self.reference: weakref.ref[Any] | None = None
        self.open = True
        self.whole = False
        """Whether it was over because the data was exhausted."""
        self.fed = False
        """Whether it has given a batch since the last step."""
        self.steps = 0
        """How many steps followed a batch of it; without any it is no training data."""
        self.batches = 0
        self.samples = 0
        self.started = self.last = started
        self.waited = 0
        """Nanoseconds in which its batches were waited for."""
        self.paused = 0
        """Nanoseconds that went into other passes inside of it."""
        self.evaluation: Evaluation | None = None
        self.loops: tuple[weakref.ref[Loop], ...] = ()
        """The loops whose epoch it is."""

    @property
    def data(self) -> str | Source:
        """The name of its loader, else what is known of it."""
        return self.source.name or self.source

    @property
    def evaluates(self) -> bool:
        """Whether losses without gradients were computed in it."""
        return self.evaluation is not None

    @property
    def seconds(self) -> float:
        """How long it has taken, without other passes inside of it."""
        return max(self.last - self.started - self.paused, 1) / 1e9


class Feed:
    """What a thread has been given since its last step."""

    def __init__(self) -> None:
        self.latest: Pass | None = None
        """The pass that gave a batch last."""
        self.fed: list[Pass] = []
        """All that have given one since the last step, in order."""
        self.steps = 0
        self.unfed = AHEAD
        """How many steps were made since the last batch; before the first one none is expected."""
        self.pending: Evaluation | None = None
        """Losses that were evaluated outside of any pass."""
        self.before: list[Evaluation] = []
        """Evaluations that were made before the first step."""
        self.teaches = False
        """Losses without gradients are evaluated on the way to a step."""
        self.evaluated: weakref.ref[Any] | None = None
        """The module that was last switched to evaluation."""
        self.criterion_known = False
        self.criteria: list[tuple[str, dict[str, Any]]] = []
        """The functions of the loss of the next step, and how they are set."""
        self.criteria_of_step: list[tuple[str, dict[str, Any]]] = []
        """Those of a step that was made."""
        self.precision: dict[str, Any] = {}
        """Mixed precision on the way to the next step, as parameters."""
        self.precision_of_step: dict[str, Any] = {}
        self.fresh = False
        """Whether that was the last one."""
        self.awaiting: weakref.ref[Loop] | None = None
        """A loop whose criterion is not known yet."""
        self.targets: list[weakref.ref[Any]] = []
        """What these were given to compare with."""
        self.depth = 0
        """How many loss functions are in progress, one inside another."""

    def gave(self, one: Pass) -> None:
        """Note a batch, the first of this pass since the last step or since another pass's."""
        self.latest = one
        if not one.fed:
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


def source_of(loader: Any, name: str | None = None) -> Source:
    """Return what is known of a loader."""
    key = id(loader)
    known = _sources.get(key)
    if known is not None and known.reference() is loader:
        known.name = known.name or name
        return known

    def gone(reference: weakref.ref[Any]) -> None:
        held = _sources.get(key)
        if held is not None and held.reference is reference:
            del _sources[key]

    known = _sources[key] = Source(weakref.ref(loader, gone), name)
    return known


def begin(iterator: Any, source: Source, started: int, left: Callable[[Pass], None]) -> Pass | None:
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

    try:
        one.reference = source.iterator = weakref.ref(iterator, gone)
    except TypeError:  # a subclass's own iterator without weak references
        return None
    passes[key] = one
    return one


def forget() -> None:
    """Forget everything: autolog is switched off."""
    passes.clear()
    _sources.clear()
    local.__dict__.clear()
    local.feed = Feed()
