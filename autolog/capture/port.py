"""What autolog offers an integration's hooks while it is on: the `Capture` of the contract."""

from __future__ import annotations

import functools
import sys
from collections.abc import Callable, Iterable, Mapping, Sequence
from contextlib import AbstractContextManager
from typing import Any, Final

from autolog.capture import (
    cells,
    given,
    kept,
    loops,
    optimizers,
    resumption,
    spans,
    suspension,
)
from autolog.capture.attribution import Attribution
from autolog.capture.elsewhere import EvaluationSpan
from autolog.capture.options import Options
from autolog.capture.ownership import Decision
from autolog.capture.watching import WatchedCall, begin, decide, going_on, open_span
from autolog.discovery import discover
from autolog.errors import IntegrationError
from autolog.integration import (
    Detach,
    Hook,
    Integration,
    NameOf,
    Origin,
    Produced,
    Role,
    RoleOf,
    Span,
    Tap,
)
from autolog.interruption import comes_from_outside
from autolog.patching import Engine
from autolog.tracking import context, lifecycle, lineage, notices, ranks, recorder

__all__ = ["Port"]

_STRIKES: Final = 3
"""A callback that has failed this often is left alone."""

_attribution = Attribution()
"""Shared by all integrations: a metric of one may be computed on predictions of another."""


class Port:
    """The `Capture` of one integration."""

    def __init__(
        self,
        integration: Integration,
        engine: Engine,
        *,
        own_options: Any,
        options: Callable[[], Options],
        guards: Callable[[], frozenset[str]],
        bridging: bool,
        strategies: Callable[[], Mapping[str, str]] = dict,
        watched: Callable[[], frozenset[str]] = frozenset,
    ) -> None:
        self._integration = integration
        self._engine = engine
        self._own_options = own_options
        self._options = options
        self._guards = guards
        self.bridging = bridging
        self._strategies = strategies
        self._watched = watched

    @property
    def options(self) -> Any:
        """The integration's own options."""
        return self._own_options

    @property
    def suspended(self) -> bool:
        """Whether nothing of this context is to be recorded for now."""
        return suspension.suspended()

    @property
    def covered(self) -> bool:
        """Whether raw loops of this context are recorded by another integration, or by none."""
        return spans.covered()

    def covering(self) -> AbstractContextManager[None]:
        """Have `covered` say yes inside the block."""
        return spans.covering()

    def watches(self, package: str) -> bool:
        """Whether an integration that is on watches this package."""
        return package in self._watched()

    def patch(
        self,
        owner: Any,
        attribute: str,
        hook: Hook | None,
        *,
        role: Role | RoleOf = "watch",
        kind: str = "fit",
        name: str | NameOf | None = None,
    ) -> Detach:
        """Watch one attribute of a class or module."""
        watched = WatchedCall(
            self._integration.name,
            hook,
            role=role,
            kind=kind,
            name=name,
            options=self._options,
            attribution=_attribution,
            bridge=self.bridging,
        )
        handle = self._engine.apply(owner, attribute, self._integration.name, watched)
        return lambda: self._engine.remove(handle)

    def renew(self, owner: type) -> None:
        """Put back what watches a class whose methods were set anew."""
        self._engine.renew(owner)

    def tap(self, owner: Any, attribute: str, tap: Tap) -> Detach:
        """Watch a function of a hot loop."""
        handle = self._engine.tap(owner, attribute, self._integration.name, tap)
        return lambda: self._engine.remove(handle)

    def optimizer(
        self,
        optimizer: Any,
        parameters: Callable[[], Sequence[Any]],
        model: Callable[[], Any],
        *,
        name: str,
        built: bool,
    ) -> optimizers.LoopOptimizer:
        """Return what is known of an optimizer in the loops of this process."""
        return optimizers.find(
            optimizer, parameters, model, name, built=built, open_span=self._open_loop
        )

    def _open_loop(
        self, loop: loops.Loop, name: str, goes_on_from: loops.Loop | None
    ) -> spans.CaptureSpan | None:
        if goes_on_from is not None:  # then the ownership rules know it as a continuation
            _attribution.remember(loop, Produced(goes_on_from.span, None))
        span = self.open("step", "loop", loop, name)
        return span if isinstance(span, spans.CaptureSpan) else None

    def assigned_name(self, package: str) -> str | None:
        """Return what the code around a constructor stores the new object under."""
        from autolog.patching.assignment import assigned_name

        return assigned_name(package)

    def data_named(self, package: str, position: int, count: int) -> str | None:
        """Return what the code around this package calls data that it gave to it."""
        from autolog.patching.assignment import argument_outside

        return argument_outside(package, position, count)

    def receiver_named(
        self, package: str, method: str, count: int, keywords: Iterable[str]
    ) -> str | None:
        """Return what the code around this package calls the object whose method it called."""
        from autolog.patching.assignment import receiver_outside

        return receiver_outside(package, method, count, keywords)

    def begin_pass(self) -> None:
        """Note that a pass over data begins in this thread."""
        optimizers.replaced()
        loops.begin_pass()

    def end_passes(self) -> None:
        """Note that the steps of this thread are not made in a pass any more."""
        loops.end_passes()

    def loop(self) -> loops.Loop | None:
        """Return the loop that stepped last in this thread."""
        return loops.latest()

    def on_settle(self, callback: Callable[[], None]) -> Detach:
        """Call back when what is still open must be recorded."""
        return lifecycle.on_settle(self.guarded(callback), first=True)

    def log(
        self,
        values: Mapping[str, float],
        *,
        source: str,
        step: int | None = None,
        opens: bool = True,
    ) -> None:
        """Record numbers that the user gave to somebody else."""
        given.log(values, step, source=source, opens=opens)

    def log_params(self, values: Mapping[str, Any]) -> None:
        """Record parameters that the user gave to somebody else."""
        given.log_params(values)

    def set_tag(self, key: str, value: str) -> None:
        """Set a tag of the run that `log` writes to."""
        given.set_tag(key, value)

    def open(self, role: Role, kind: str, owner: Any, name: str) -> Span | None:
        """Open a span by the ownership rules; None if the call must pass through."""
        if suspension.suspended():
            return None
        if role == "step":
            known = going_on(owner)
            if known is not None:
                return known
        decision = decide(role, owner, _attribution, bridge=self.bridging)
        if not self.bridging:
            spans.settle()
        if decision in (Decision.PASS, Decision.WATCH):
            return None
        span = open_span(
            decision,
            role=role,
            kind=kind,
            owner=owner,
            name=name,
            integration=self._integration.name,
            options=self._options(),
            bridge=self.bridging,
        )
        begin(span)
        return span

    def current(self) -> Span | None:
        """Return the innermost open span of this context."""
        return spans.current()

    def enclosed(self, span: Span | None) -> AbstractContextManager[None]:
        """Make `span` the innermost one inside the block."""
        return spans.enclosed(span if isinstance(span, spans.CaptureSpan) else None)

    def guard(self, name: str) -> bool:
        """Whether the matrix activates this guard for the installed version."""
        return name in self._guards()

    def strategy(self, name: str) -> str:
        """Return which code path the matrix names for the installed version."""
        known = self._strategies()
        if name not in known:
            raise IntegrationError(
                f"{self._integration.name} asks for the strategy {name!r}, and the compatibility"
                " matrix names none of it for the installed version"
                f" (it names: {', '.join(sorted(known)) or 'no strategy'})"
            )
        return known[name]

    def produced(self, thing: Any, span: Span, *, data: str | None = None) -> None:
        """Remember, by weak reference, that `thing` came from `span`."""
        _attribution.remember(thing, Produced(span, data))

    def loaded(self, model: Any, *, trained_by: str | None = None) -> None:
        """Remember, by weak reference, that a model came from elsewhere."""
        _come_from_elsewhere(model, self._integration.name, self._options(), trained_by)

    def wrote(self, path: str, span: Span, *, step: int | None = None) -> None:
        """Remember which run a checkpoint is of."""
        if span.run_id is not None:
            origin = Origin(run_id=span.run_id, step=step)
            lineage.mark(recorder.current_recorder().location, path, origin)

    def origin(self, path: str) -> Origin | None:
        """Return which run wrote a file as a checkpoint."""
        return lineage.find(recorder.current_recorder().location, path)

    def restored(self, parameters: Sequence[Any], origin: Origin) -> None:
        """Remember, by weak reference, that parameters have values that a run wrote."""
        resumption.remember(parameters, origin)

    def producer(self, thing: Any) -> Produced | None:
        """Return who produced `thing`, or the array that it is a view of."""
        return _attribution.find(thing)

    def guarded(self, function: Callable[..., None]) -> Callable[..., None]:
        """Wrap a callback given to a framework, so that its errors never reach the training."""
        strikes = 0

        @functools.wraps(function)
        def guarded(*arguments: Any, **named: Any) -> None:
            nonlocal strikes
            if strikes >= _STRIKES:
                return
            try:
                function(*arguments, **named)
            except BaseException as exc:
                if comes_from_outside(exc):
                    raise
                strikes += 1
                name = getattr(function, "__name__", type(function).__name__)
                where = f"{self._integration.name}, callback {name}"
                notices.fault(f"autolog's {where}", exc)
                notices.keep_with(context.current(), where, exc)
                if self._engine.strict:
                    raise

        return guarded

    def in_group(self, rank: int, size: int) -> None:
        """Note the rank that a framework gives this process."""
        ranks.tell(rank, size)

    def close(self) -> None:
        """End the trainings that are kept open: no step of them will be seen."""
        optimizers.end_all(self._open_loop)
        given.settle()
        cells.unwatch()
        kept.end_all(self._integration.name)

    def notice(self, key: str, text: str) -> None:
        """Tell the user something once."""
        notices.tell(key, text, context.current() or context.last_trained())


def _come_from_elsewhere(
    model: Any, integration: str, options: Options, trained_by: str | None = None
) -> None:
    span = EvaluationSpan(
        name=type(model).__name__, integration=integration, options=options, trained_by=trained_by
    )
    _attribution.remember(model, Produced(span, None))


def _model_loaded(model: Any, run_id: str) -> None:
    """Link a model that `load_model` gave to the run that trained it."""
    known = _attribution.find(model)
    if known is None or isinstance(known.span, EvaluationSpan):
        _come_from_elsewhere(model, "core", Options(), run_id)


def _versions() -> dict[str, str]:
    """Return the versions of the frameworks that are loaded."""
    found: dict[str, str] = {}
    for integration in discover().integrations.values():
        for name in integration.modules:
            module = sys.modules.get(name)
            if module is not None and hasattr(module, "__version__"):
                found[integration.distributions[0]] = str(module.__version__)
                break
    return found


recorder.report_versions(_versions)
lifecycle.on_settle(optimizers.settle)
lifecycle.on_settle(given.settle)
lifecycle.on_model_loaded(_model_loaded)
