"""Raw training loops: a set of parameters, the optimizers that step over them, and their run.

A loop has no call that begins and ends it. Its run opens at the first step; a step of the same
parameters goes on in it; it ends when they are collected, at `end_run()` and with the process (see
`capture.kept`). What its optimizers have to do with each other is decided by `capture.optimizers`.
"""

from __future__ import annotations

import contextlib
import itertools
import threading
import weakref
from collections.abc import Callable, Iterator, Sequence
from typing import TYPE_CHECKING, Any

from autolog.capture import epochs, health, spans, suspension
from autolog.entities import Kind
from autolog.tracking import context, notices

if TYPE_CHECKING:
    from autolog.capture.optimizers import LoopOptimizer
    from autolog.capture.spans import CaptureSpan
    from autolog.tracking.run import LiveRun

__all__ = [
    "Loop",
    "begin_pass",
    "end_here",
    "end_passes",
    "latest",
    "on_begin",
    "over_parameters",
]


class Here(threading.local):
    """What trains in this thread."""

    loop: Loop | None = None
    """The loop that stepped last."""
    holding: tuple[LoopOptimizer, ...] = ()
    """Optimizers whose steps are held until it is clear what they belong to."""
    newest_held: LoopOptimizer | None = None
    """The one of these that stepped last."""
    passes: int = 0
    """The number of the pass over data that has begun last; 0 outside of any."""


here = Here()
births = itertools.count()
"""Numbers the optimizers and the first steps of loops: what came before what."""

_passes = itertools.count(1)
_loops: list[Loop] = []
"""Those that may go on. No lock: a parameter that is collected anywhere may end one."""
_beginnings: list[Callable[[LiveRun | None], None]] = []


class Loop:
    """One raw loop.

    Args:
        around: the span that it trains in, which must be there when it goes on.
        user_run: the run of the user that it trains in, likewise.
        folded: `around` is a training of another integration: the series go to its run.
    """

    def __init__(
        self, around: CaptureSpan | None, user_run: LiveRun | None, *, folded: bool = False
    ) -> None:
        self.around = around
        self.user_run = user_run
        self.folded = folded
        self._span = around if folded else None
        self.several = False
        self.alone: LoopOptimizer | None = None
        """The only optimizer that steps, or the one that has replaced the others."""
        self.before: weakref.WeakSet[LoopOptimizer] = weakref.WeakSet()
        """Those that it has replaced, as long as they are there: tasks have thousands."""
        self.inner: Loop | None = None
        self.outer: Loop | None = None
        self.step = -1
        self.first_step = 0
        """The number of its first step: a run that is continued goes on counting."""
        self.first_epoch = 0
        """The number of its first epoch, likewise."""
        self.passes = 0
        """The pass over data of its last step."""
        self.model: weakref.ref[Any] | None = None
        self.began = next(births)
        self._nameless: list[weakref.ref[LoopOptimizer]] = []
        self._parameters: dict[int, weakref.ref[Any]] = {}
        self.newer: list[Loop] = []
        self._health: tuple[LiveRun, health.Health] | None = None

    def __repr__(self) -> str:
        return f"<loop of run {self.run.run_id if self.run is not None else None}>"

    @property
    def span(self) -> CaptureSpan:
        """What is recorded of it."""
        assert self._span is not None
        return self._span

    @property
    def run(self) -> LiveRun | None:
        """The run that it is recorded in."""
        return self._span.run if self._span is not None else None

    @property
    def epochs(self) -> epochs.Epochs:
        """Its epochs."""
        return epochs.of(self)

    # -- its run -----------------------------------------------------------------------------

    def begin(self, span: CaptureSpan, outer: Loop | None) -> None:
        """Take the span that was opened for it; between the steps it stands on no stack."""
        self._span = span
        span.keep(self)
        if outer is not None:
            outer.newer.append(self)
        _loops.append(self)
        for callback in _beginnings:
            callback(span.run)

    def begin_inner(self, name: str) -> Loop:
        """Return the loop below this one that inner work belongs to; open it if need be."""
        if self.inner is None:
            inner = Loop(self.around, self.user_run)
            inner._span = self.span.child(Kind.INNER.value, name)
            inner.lies_below(self)
            _loops.append(inner)
        assert self.inner is not None
        return self.inner

    def resume(self) -> None:
        """Go on: a run that has ended is reopened; loops begun since the last step were inner."""
        if self.newer:
            self._adopt()
        run = self.run
        if self.outer is not None and run is not None and not run.active:
            self.outer.resume()
            run.reopen()
            self._end_with(self.outer)
        elif not self.folded and self._span is not None and self._span.kept is not None:
            self._span.kept.enter()
            self._span.kept.leave()
        here.loop = self

    def over(self) -> None:
        """End the run: its parameters are gone, or are trained elsewhere from here on."""
        with contextlib.suppress(ValueError):
            _loops.remove(self)
        if here.loop is self:
            here.loop = None
        if self._span is not None and self._span.kept is not None:
            self._span.kept.end()

    def end_here(self, exception: BaseException | None) -> None:
        """End the run, if it was opened for this loop and this thread is training in it."""
        self.newer.clear()
        span, run = self._span, self.run
        if span is None or run is None or not run.active or not span.opened_run:
            return
        if span.kept is not None and span.kept.thread == threading.get_ident():
            run.end_by(exception)

    def write(
        self, keys: tuple[str, ...], values: list[float], number: int, epoch: int | None
    ) -> None:
        """Record a step of one of its optimizers."""
        run = self.run
        if run is None:
            return
        if number > self.step or not self.several:
            self.step = number
        self.passes = here.passes
        if self.folded:
            run.log_metrics(dict(zip(keys, values, strict=True)), number, epoch=epoch)
        else:
            run.log_step(keys, values, number, epoch)
        known = self._health
        if known is None or known[0] is not run:
            known = self._health = (run, health.of(run))
        known[1].observe(run, keys, values, number)
        if not self.folded and context.last_trained() is not run:
            context.remember_trained(run)

    def _adopt(self) -> None:
        """Put the loops that began since the last step below this one: they were inner work."""
        mine = self.run
        for loop in self.all_newer():
            theirs = loop.run
            if mine is None or theirs is None or theirs is mine or loop.outer is not None:
                continue
            theirs.become(Kind.INNER.value, below=mine)
            loop.lies_below(self)

    def all_newer(self) -> Iterator[Loop]:
        """Give the loops that began since the last step, and forget them."""
        newer, self.newer = self.newer, []
        for loop in newer:
            yield loop
            yield from loop.all_newer()

    def lies_below(self, outer: Loop) -> None:
        """Note that it is inner work of another loop, with which it ends."""
        self.outer = outer
        if outer.inner is None:
            outer.inner = self
        self._end_with(outer)

    def _end_with(self, outer: Loop) -> None:
        mine, theirs = self.run, outer.run
        if mine is not None and theirs is not None:
            theirs.before_end(mine.end)

    # -- where it goes on --------------------------------------------------------------------

    def goes_on(self) -> bool:
        """Whether a step of it is a plain continuation: the same place, a run that is open."""
        run = self.run
        return run is not None and run.active and not self.newer and self.belongs_here()

    def belongs_here(self) -> bool:
        """Whether what is around is what was around its first step."""
        if suspension.suspended():
            return False
        if self.around is not None or not spans.nothing_open():
            return spans.current() is self.around
        return context.current() is self.user_run

    # -- parameters and optimizers -----------------------------------------------------------

    @property
    def alive(self) -> bool:
        """Whether its parameters are still there; inner work goes on with others."""
        return bool(self._parameters) or (self.outer is not None and self.outer.alive)

    def take(self, one: LoopOptimizer) -> None:
        """Take in an optimizer and its parameters."""
        if one.loop is not self:
            one.loop = self
            one.counter = itertools.count(self.first_step)
            if not one.name:
                known = [known for known in self._nameless if known() is not None]
                self._nameless = [*known, weakref.ref(one)]
        if self.alone is None and not self.several:
            self.alone = one
        if self.model is None and (model := one.model()) is not None:
            self.model = weakref.ref(model)
        for parameter in one.parameters():
            self._watch(parameter)

    def number_of(self, one: LoopOptimizer) -> str:
        """Name an optimizer that the code keeps under no name of its own: `opt0`, `opt1`."""
        known = [other for reference in self._nameless if (other := reference()) is not None]
        return f"opt{sorted(known, key=lambda other: other.birth).index(one)}"

    def replace(self, one: LoopOptimizer) -> None:
        """Let an optimizer follow the one before it: its steps go on where the others' ended."""
        self.take(one)
        if self.alone is not None and self.alone is not one:
            self.before.add(self.alone)
            one.counter = itertools.count(self.step + 1)
        self.alone = one

    def take_turns(self) -> None:
        """From here on its optimizers have series of their own."""
        self.several = True
        self.alone = None

    def trains(self, model: object) -> bool:
        """Whether this very model is what it trains."""
        return self.model is not None and model is not None and self.model() is model

    def knows(self, parameters: Sequence[Any]) -> bool:
        """Whether any of these is trained here."""
        for one in parameters:
            reference = self._parameters.get(id(one))
            if reference is not None and reference() is one:
                return True
        return False

    def _watch(self, parameter: Any) -> None:
        key = id(parameter)
        known = self._parameters.get(key)
        if known is None or known() is not parameter:
            self._parameters[key] = weakref.ref(parameter, _forgetting(weakref.ref(self), key))

    def let_go(self) -> None:
        """Watch its parameters no more."""
        self._parameters.clear()

    def forget(self, key: int, reference: weakref.ref[Any]) -> None:
        """A parameter was collected; with the last one the training is over."""
        if self._parameters.get(key) is reference:
            del self._parameters[key]
        if not self._parameters and self.outer is None:
            self.over()


def _forgetting(loop: weakref.ref[Loop], key: int) -> Callable[[weakref.ref[Any]], None]:
    def collected(reference: weakref.ref[Any]) -> None:
        one = loop()
        if one is not None:
            try:
                one.forget(key, reference)
            except Exception as exc:
                notices.fault("autolog's end of a loop", exc)

    return collected


def over_parameters(parameters: Sequence[Any]) -> Loop | None:
    """Find the loop that trains any of these parameters, wherever that was."""
    return next((loop for loop in reversed(tuple(_loops)) if loop.knows(parameters)), None)


def newest_begin() -> int:
    """Return when the newest loop began, in the numbers of `births`; -1 before the first."""
    return max((loop.began for loop in tuple(_loops)), default=-1)


def begin_pass() -> None:
    """Note that a pass over data begins in this thread."""
    here.passes = next(_passes)


def end_passes() -> None:
    """Note that the steps of this thread are not made in a pass any more."""
    here.passes = 0


def on_begin(callback: Callable[[LiveRun | None], None]) -> None:
    """Have `callback(run)` called when a loop begins, before its first step is recorded."""
    _beginnings.append(callback)


def end_here(exception: BaseException | None) -> None:
    """End the loops of this thread, as the cell of a notebook does that trained in them.

    What comes next is no part of them: their own next steps reopen their runs.
    """
    for loop in tuple(_loops):
        loop.end_here(exception)
    here.loop = None


def latest() -> Loop | None:
    """Return the loop that stepped last in this thread."""
    return here.loop


def after_fork() -> None:
    """In a forked child: the loops of the parent are not ours, nor ours to end."""
    for loop in _loops:
        loop.let_go()
    _loops.clear()
    here.loop, here.newest_held, here.holding, here.passes = None, None, (), 0
