"""Which optimizer steps make one loop.

The steps over one set of parameters do, and those of optimizers that work on one model. An
optimizer over parameters that no loop knows

* belongs to the loop before it if one backward gave gradients to both, or if it was built before
  that loop's first step and no new pass over data has begun in between: a GAN;
* else trains something else. Where an optimizer of the older loop steps after it, that was inner
  work: its run becomes a child of kind `inner`, and all such work from then on belongs to it.

Some of this shows with the next steps only. Until then, for at most `_PATIENCE` steps, those of an
optimizer are held in memory:

* at the beginning, where another optimizer is there that has not stepped: it may be the other half
  of a GAN, or the outer optimizer of MAML, whose inner ones train copies with the same shapes;
* a newcomer's that was built before the first step, where no loader tells one pass from the next;
* a newcomer's in a loop: it replaces the optimizer before it, or they step by turns.
"""

from __future__ import annotations

import itertools
import os
import threading
import weakref
from collections.abc import Callable, Iterable, Sequence
from typing import TYPE_CHECKING, Any, Final, NamedTuple

from autolog.capture import loops, resumption, spans, suspension, workers
from autolog.capture.loops import Loop, here
from autolog.tracking import context, notices

if TYPE_CHECKING:
    from autolog.capture.spans import CaptureSpan
    from autolog.integration import EpochOf

__all__ = [
    "MAX_LOOP_RUNS",
    "LoopOptimizer",
    "OpenSpan",
    "end_all",
    "find",
    "replaced",
    "settle",
    "undecided",
]

MAX_LOOP_RUNS: Final = 50
"""More unrelated loops than this in one process fold into the last one."""

_PATIENCE: Final = 8
"""So many steps in a row are held at most."""

OpenSpan = Callable[[Loop, str, "Loop | None"], "CaptureSpan | None"]
"""Opens the span of a loop by the ownership rules: the loop, a name, what it goes on from."""

_lock = threading.RLock()
_known: weakref.WeakKeyDictionary[Any, LoopOptimizer] = weakref.WeakKeyDictionary()
_holding: list[LoopOptimizer] = []
_unrelated = itertools.count(1)


class _Step(NamedTuple):
    """A step that is held."""

    keys: tuple[str, ...]
    values: list[float]
    epoch: EpochOf | int | None


class LoopOptimizer:
    """One optimizer in the loops of this process.

    Args:
        optimizer: referred to weakly.
        parameters: what it trains, asked at its first step.
        model: what these are the parameters of, if that is known.
        name: what the code calls it, or empty.
        built: False if nobody saw it being built: it was there before autolog was on.
        open_span: how a run is opened for it.
    """

    def __init__(
        self,
        optimizer: object,
        parameters: Callable[[], Sequence[Any]],
        model: Callable[[], Any],
        name: str,
        *,
        built: bool,
        open_span: OpenSpan,
    ) -> None:
        self.reference = weakref.ref(optimizer)
        self._kind = type(optimizer).__name__
        self.parameters = parameters
        self.model = model
        self.name = name
        self.loop: Loop | None = None
        self.counter = itertools.count()
        self.birth = next(loops.births) if built else -1
        self.open_span = open_span
        self.held: list[_Step] = []
        self._shapes: list[Any] | None = None
        self.stepped = False
        self.passes = 0
        self.allies: weakref.WeakSet[LoopOptimizer] = weakref.WeakSet()
        self.partners: weakref.WeakSet[LoopOptimizer] = weakref.WeakSet()
        self._names: dict[tuple[str, ...], tuple[str, ...]] = {}
        self._named_in = False

    # -- the contract ------------------------------------------------------------------------

    @property
    def label(self) -> str:
        """What its series are called where there are several."""
        return self.name or (self.loop.number_of(self) if self.loop is not None else "")

    def step(
        self, keys: tuple[str, ...], values: list[float], *, epoch: EpochOf | int | None = None
    ) -> Loop | None:
        """Record one step; return its loop, None while that is undecided."""
        loop = self.loop
        if (
            loop is None
            or here.holding
            or here.loop is not loop
            or not (loop.several or loop.alone is self)
            or not loop.goes_on()
        ):
            loop = self._place(keys, values, epoch)
        if loop is not None:
            self._write(loop, keys, values, epoch)
        return loop

    def left_out(self) -> None:
        """Say that it made a step that somebody else records: no loop need wait for its first."""
        self.stepped = True

    def applied_with(self, others: Iterable[LoopOptimizer]) -> None:
        """Say that one backward gave gradients to this optimizer and to these."""
        for one in others:
            if one is not self and one not in self.allies:
                self.allies.add(one)
                one.allies.add(self)

    def learn(self, name: str, model: Callable[[], Any]) -> None:
        """Take what was not known before: its name, unless series have another, and its model."""
        if self.loop is None:
            self.name = self.name or name
        if self.model() is None:
            self.model = model

    def steps_with(self, others: Iterable[LoopOptimizer]) -> None:
        """Say that this optimizer and these step by turns in one loop."""
        for one in others:
            if one is not self:
                self.partners.add(one)
                one.partners.add(self)
        self.applied_with(tuple(self.partners))

    # -- where a step belongs ----------------------------------------------------------------

    def _place(
        self, keys: tuple[str, ...], values: list[float], epoch: EpochOf | int | None
    ) -> Loop | None:
        """Find the loop of this step; None if it is held, or is not recorded at all."""
        if suspension.suspended() or workers.is_framework_worker():
            return None
        with _lock:
            around = spans.current()
            if around is not None and around.role not in ("study", "trial"):
                return self._inside(around)
            if self.held:
                loop = self._return_of_one_held()
            else:
                loop = self._own_loop() or self._first_step()
            if loop is not None:
                return loop
            self._hold(_Step(keys, values, epoch))
            if len(self.held) > _PATIENCE:
                self.resolve()
            return None

    def _inside(self, around: CaptureSpan) -> Loop | None:
        """A loop inside a training of another integration gives its series to that run."""
        self.stepped = True
        if spans.covered():
            return None
        loop = self.loop
        if loop is None or loop.around is not around or not loop.folded:
            loop = Loop(around, None, folded=True)
            loop.take(self)
        here.loop = loop
        return loop

    def _own_loop(self) -> Loop | None:
        """Go on in the loop that these parameters, or this model, are trained in."""
        loop = self.loop
        if loop is None or not loop.belongs_here():
            loop = loops.over_parameters(self.parameters()) or self._loop_of_model()
            if loop is None:
                self.loop = None
                return None
            if not loop.belongs_here():
                loop.over()
                return self.open_loop(goes_on_from=loop)
            loop.take(self)
        self.stepped = True
        loop.resume()
        self._join_waiting(loop)
        return self._take_place(loop)

    def _loop_of_model(self) -> Loop | None:
        loop, model = here.loop, self.model()
        return loop if loop is not None and loop.trains(model) else None

    def _take_place(self, loop: Loop) -> Loop | None:
        """See whether it replaces the optimizer before it or steps by turns; None to wait."""
        if loop.several or loop.alone is self:
            return loop
        other = loop.alone
        if other is None or other.reference() is None:
            loop.replace(self)
            return loop
        if self in loop.before:
            loop.take_turns()
            return loop
        return None

    def _join_waiting(self, loop: Loop) -> None:
        """The loop steps on: who was waiting for that belongs to it."""
        waiting = [one for one in here.holding if one is not self]
        for one in waiting:
            loop.take(one)
        if waiting:
            loop.take_turns()
        for one in waiting:
            one.flush(loop)

    def _first_step(self) -> Loop | None:
        """Find the loop of an optimizer whose parameters none knows; None to wait."""
        before = _before()
        if before is None:
            return self._begin()
        self.stepped = True
        if any(ally.loop is before for ally in self.allies):
            before.take(self)
            return self._take_place(before)
        if self.birth < before.began:
            if not before.passes:
                return None
            if before.passes == here.passes:
                before.take(self)
                before.take_turns()
                return before
        elif before.inner is None and before.outer is None and self._may_have_partners(before):
            return self._begin()
        return self._elsewhere(before)

    def _may_have_partners(self, before: Loop) -> bool:
        """Whether others wait for it, or are there that were built since a loop began, too."""
        others = [one for one in _all_known() if not one.stepped and one.birth > before.began]
        if any(one.loop is None and self.waits_for(one) for one in others):
            return True
        return any(one.loop is None and one.waits_for(self) for one in here.holding)

    def _begin(self) -> Loop | None:
        """Begin the first loop of this place, alone or with those that wait for this optimizer."""
        waiting = [one for one in here.holding if one.waits_for(self)]
        self.stepped = True
        if waiting:
            return self._begin_behind(waiting)
        # One that was there when another loop began without it has nothing to do with this one.
        since = loops.newest_begin()
        others = [one for one in _all_known() if not one.stepped and one.birth > since]
        if any(self.waits_for(one) for one in others):
            return None
        return self.open_loop(after=_before())

    def _begin_behind(self, waiting: Sequence[LoopOptimizer]) -> Loop | None:
        """Begin with those that wait for this optimizer, if they belong together, or without."""
        for one in waiting:
            is_copy = one.shapes() == self.shapes()
            in_pass = here.passes and one.passes == here.passes
            if is_copy or in_pass or one in self.allies:
                return self._begin_with(waiting)
        if here.passes:  # a new pass has begun: they have nothing to do with this one
            waiting[-1].resolve()
            return self._first_step()
        return None

    def _return_of_one_held(self) -> Loop | None:
        """One that is held steps again: those that have stepped in between take turns with it."""
        others = [one for one in here.holding if one is not self]
        if here.newest_held not in others:
            return None
        if self.loop is None:
            return self._begin_with(others)
        self._join_waiting(self.loop)
        self.flush(self.loop)
        return self.loop

    def waits_for(self, other: LoopOptimizer) -> bool:
        """Whether what another one does will tell what this one is.

        One of other shapes may be its other half, an older one of the same shapes the outer one.
        """
        return other.shapes() != self.shapes() or other.birth < self.birth

    def _begin_with(self, waiting: Sequence[LoopOptimizer]) -> Loop | None:
        copies = [one for one in waiting if one.shapes() == self.shapes()]
        partners = [one for one in waiting if one not in copies]
        loop = (partners or [self])[0].open_loop(after=_before())
        if loop is None:
            return None
        for one in (*partners, self):
            loop.take(one)
        if partners:
            loop.take_turns()
        for one in (*partners, self):
            one.flush(loop)
        for one in copies:
            inner = loop.begin_inner(one.title())
            inner.replace(one)
            one.flush(inner)
        here.loop = loop
        return loop

    def _elsewhere(self, before: Loop) -> Loop | None:
        """Train something that has nothing to do with the loop before: inner work, or another."""
        outer = before if before.inner is not None else before.outer
        if outer is not None and outer.inner is not None:
            inner = outer.inner
            inner.replace(self)
            inner.resume()
            return inner
        return self.open_loop(after=before)

    def open_loop(
        self, *, after: Loop | None = None, goes_on_from: Loop | None = None
    ) -> Loop | None:
        """Open a loop with a run of its own."""
        if after is not None and next(_unrelated) >= MAX_LOOP_RUNS:
            notices.tell(
                "max_loop_runs",
                f"{MAX_LOOP_RUNS} trainings over parameters that have nothing in common: the"
                " further ones are recorded in the run of the last. Put start_run() around each"
                " that is to have its own",
                after.run,
            )
            after.replace(self)
            after.resume()
            return after
        loop = Loop(spans.current(), context.current())
        span = self.open_span(loop, self.title(), goes_on_from)
        if span is None:
            return None
        loop.begin(span, after)
        resumption.begin(loop, self.parameters())
        loop.take(self)
        self._take_partners(loop)
        here.loop = loop
        return loop

    def _take_partners(self, loop: Loop) -> None:
        """Take in those that are known to step by turns with it, before they do."""
        fresh = [one for one in self.partners if one.loop is None and not one.held]
        for one in fresh:
            one.stepped = True
            loop.take(one)
        if fresh:
            loop.take_turns()

    def title(self) -> str:
        """Return what its run is called after."""
        model = self.model()
        return type(model).__name__ if model is not None else self._kind

    def shapes(self) -> list[Any]:
        """Return the shapes of what it trains, as they were when first asked."""
        if not self._shapes:  # some frameworks tell an optimizer what it trains at its first step
            self._shapes = [tuple(getattr(one, "shape", ())) for one in self.parameters()]
        return self._shapes

    # -- waiting -----------------------------------------------------------------------------

    def _hold(self, step: _Step) -> None:
        self.held.append(step)
        self.passes, here.newest_held = here.passes, self
        if self not in here.holding:
            self.shapes()
            here.holding = (*here.holding, self)
            _holding.append(self)

    def resolve(self) -> None:
        """Stop waiting, with those that wait longer: what was held stands for itself."""
        for one in tuple(_holding):
            loop = one.loop
            if loop is None:
                loop = one.open_loop(after=_before())
            else:
                loop.replace(one)
            one.flush(loop)
            if one is self:
                break

    def flush(self, loop: Loop | None) -> None:
        """Write the steps that were held."""
        here.holding = tuple(one for one in here.holding if one is not self)
        _holding[:] = [one for one in _holding if one is not self]
        held, self.held = self.held, []
        if loop is not None:
            for one in held:
                self._write(loop, one.keys, one.values, one.epoch)

    # -- writing -----------------------------------------------------------------------------

    def _write(
        self, loop: Loop, keys: tuple[str, ...], values: list[float], epoch: EpochOf | int | None
    ) -> None:
        if self._named_in is not loop.several:
            self._names, self._named_in = {}, loop.several
        names = self._names.get(keys)
        if names is None:
            name = f"/{self.label}"
            alone = name if loop.several else ""
            names = tuple([key.replace("/**", name).replace("/*", alone) for key in keys])
            self._names[keys] = names
        if callable(epoch):
            epoch = _told(epoch, loop)
        loop.write(names, values, next(self.counter), epoch)


def _before() -> Loop | None:
    """Return the loop of this thread that may go on here."""
    before = here.loop
    return before if before is not None and before.alive and before.belongs_here() else None


def _told(epoch: EpochOf, loop: Loop) -> int | None:
    try:
        return epoch(loop)
    except Exception as exc:  # the step is worth it without
        notices.keep_with(loop.run, "epoch of a step", exc)
        notices.fault("autolog's epoch of a step", exc)
        return None


def find(
    optimizer: object,
    parameters: Callable[[], Sequence[Any]],
    model: Callable[[], Any],
    name: str,
    *,
    built: bool,
    open_span: OpenSpan,
) -> LoopOptimizer:
    """Return what is known of an optimizer in this process; it is made with the first call."""
    with _lock:
        known = _known.get(optimizer)
        if known is None:
            known = LoopOptimizer(
                optimizer, parameters, model, name, built=built, open_span=open_span
            )
            _known[optimizer] = known
        else:
            known.learn(name, model)
    return known


def _all_known() -> list[LoopOptimizer]:
    with _lock:  # another thread may be building an optimizer
        return list(_known.values())


def undecided() -> list[LoopOptimizer]:
    """Return the optimizers of which it is not known yet which loop they step in.

    One that was there when the loop of this thread began, and has not stepped in it, may never.
    """
    began = here.loop.began if here.loop is not None else -1
    fresh = [
        one
        for one in _all_known()
        if one.loop is None and not one.stepped and (one.birth > began or began < 0)
    ]
    return [*here.holding, *fresh]


def replaced() -> None:
    """A new pass over data begins: a newcomer that made the last one's steps has replaced another.

    Else an evaluation would be recorded before the steps that it comes after. If they do take turns
    all the same, that shows when the other one returns.
    """
    held = here.holding
    if held and held[-1].loop is not None and held[-1].passes == here.passes != 0:
        with _lock:
            held[-1].resolve()


def settle() -> None:
    """Record what is held: nothing will come any more that could tell what it belongs to."""
    with _lock:
        if _holding:
            _holding[-1].resolve()


def end_all(open_span: OpenSpan) -> None:
    """Forget the optimizers of an integration that is switched off: it sees no further step."""
    settle()
    for optimizer, one in list(_known.items()):
        if one.open_span == open_span:
            if one.loop is not None:
                one.loop.over()
            del _known[optimizer]


def _after_fork() -> None:
    """In a forked child: the optimizers of the parent's loops make no steps of ours."""
    global _lock
    _lock = threading.RLock()
    loops.after_fork()
    _holding.clear()
    for one in _all_known():
        one.loop, one.held = None, []


if hasattr(os, "register_at_fork"):
    os.register_at_fork(after_in_child=_after_fork)
