"""What happens around one watched call: the ownership table is asked, spans open and close.

The engine calls `enter`, then the framework's own function, then `exit` or `error`. An error of
the integration's hook is kept with the run and then given to the engine, which counts it.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from typing import TYPE_CHECKING, Any, cast

from autolog.capture import callers, kept, ownership, preparation, spans, suspension, workers
from autolog.capture.attribution import Attribution
from autolog.capture.ownership import Decision
from autolog.capture.spans import CaptureSpan
from autolog.integration import Hook, NameOf, Produced, Role, RoleOf
from autolog.interruption import comes_from_outside
from autolog.tracking import context, notices, opening
from autolog.tracking.run import LiveRun

if TYPE_CHECKING:
    from autolog.capture.options import Options
    from autolog.patching.call import EngineCall

__all__ = ["WatchedCall", "begin", "decide", "going_on", "open_span"]

_TRAININGS = frozenset(
    {"training", "continuation", "step", "container", "search", "study", "trial"}
)

_AFTERWARDS = frozenset({"preparation", "evaluation", "part"})

_WATCHED = "autolog.watched"
"""Key in the call's state: the call is looked at."""


class WatchedCall:
    """The engine's hook for one site: opens and closes spans around the integration's hook."""

    def __init__(
        self,
        integration: str,
        hook: Hook | None,
        *,
        role: Role | RoleOf,
        kind: str,
        name: str | NameOf | None = None,
        options: Callable[[], Options],
        attribution: Attribution,
        bridge: bool = False,
    ) -> None:
        self._integration = integration
        self._hook = hook or Hook()
        self._role: Role | RoleOf = role
        self._kind = kind
        self._name = name
        self._options = options
        self._attribution = attribution
        self._bridge = bridge

    def enter(self, call: EngineCall) -> None:
        """Decide what the call is, open its span and tell the integration."""
        if suspension.suspended():
            return
        if self._role != "watch" and spans.in_part():  # the table says so too, but a fold is hot
            if not self._bridge and self._role not in _AFTERWARDS:
                spans.settle()
            return
        role = cast("Role", self._role) if isinstance(self._role, str) else self._role(call)
        if role != "watch":
            if callers.is_denied(call.caller_file, alone=_alone):
                self._keep_out(call, role)
                return
            if role == "step":
                call.span = going_on(call.instance)
        if role != "watch" and call.span is None:
            decision = decide(role, _owner(call), self._attribution, bridge=self._bridge)
            if not self._bridge and role in _TRAININGS:
                spans.settle()
            if decision is Decision.PASS:
                return
            if decision is not Decision.WATCH:
                self._open(call, role, decision)
                if decision is Decision.FOLD and _folds_into_own(call.span, self._integration):
                    return
        call.state[_WATCHED] = True
        if self._hook.enter is not None:
            self._guarded(call, "enter", self._hook.enter, call)

    def exit(self, call: EngineCall, result: Any) -> None:
        """Tell the integration, and close the span."""
        span = cast("CaptureSpan | None", call.span)
        try:
            if _WATCHED in call.state and self._hook.exit is not None:
                self._guarded(call, "exit", self._hook.exit, call, result)
        finally:
            if span is not None:
                if span.step is not None:
                    self._keep_step(call, span, result)
                spans.close(span)

    def error(self, call: EngineCall, exception: BaseException) -> None:
        """Tell the integration, and close the span with the exception."""
        span = cast("CaptureSpan | None", call.span)
        try:
            if _WATCHED in call.state and self._hook.error is not None:
                self._guarded(call, "error", self._hook.error, call, exception)
        finally:
            if span is not None:
                spans.close(span, exception)

    def _keep_out(self, call: EngineCall, role: Role) -> None:
        """Record nothing of a call that a package of the deny-list makes for itself."""
        if role == "evaluation":
            return
        if not spans.open_anywhere():
            callers.tell(call.caller_file)
        self._open(call, "part", Decision.SILENT)

    def _open(self, call: EngineCall, role: Role, decision: Decision) -> None:
        name = type(call.instance).__name__ if call.instance is not None else call.name
        if self._name is not None:
            name = self._name if isinstance(self._name, str) else self._name(call)
        span = open_span(
            decision,
            role=role,
            kind="search" if role == "search" and self._kind == "fit" else self._kind,
            owner=_owner(call),
            name=name,
            integration=self._integration,
            options=self._options(),
            bridge=self._bridge,
        )
        call.span = span
        begin(span, self._sources(call))

    def _keep_step(self, call: EngineCall, span: CaptureSpan, result: Any) -> None:
        if span.step is None:
            return
        sources = tuple(self._sources(call))
        preparation.add(preparation.Step(span.step, span, sources), call.instance)
        if result is not call.instance:
            self._attribution.remember(result, Produced(span, None))

    def _sources(self, call: EngineCall) -> Iterable[object]:
        """Find the spans whose results are among the arguments."""
        for argument in (*call.args, *call.kwargs.values()):
            produced = self._attribution.find(argument)
            if produced is not None:
                yield produced.span

    def _guarded(
        self, call: EngineCall, phase: str, function: Callable[..., None], *arguments: Any
    ) -> None:
        try:
            function(*arguments)
        except BaseException as exc:
            if comes_from_outside(exc):
                raise
            span = cast("CaptureSpan | None", call.span)
            where = f"{self._integration}, {phase} of {call.name}"
            # What is only watched, a callback of a training, has no span of its own.
            notices.keep_with(span.run if span is not None else context.current(), where, exc)
            raise


def open_span(
    decision: Decision,
    *,
    role: Role,
    kind: str,
    owner: object,
    name: str,
    integration: str,
    options: Options,
    bridge: bool = False,
) -> CaptureSpan:
    """Make the span that a decision asks for, with the run it writes to."""
    around = spans.current()
    alone = decision in (Decision.SILENT, Decision.FOLD, Decision.EVALUATE)
    user_run = None if alone else context.current()
    span = CaptureSpan(
        role=role,
        owner=owner,
        name=name,
        kind=kind,
        integration=integration,
        options=options,
        owns_run=decision is Decision.SILENT and role != "part",
        above=around if decision is Decision.FOLD else None,
        bridge=bridge,
        deferred=_later(around, user_run) if decision is Decision.DEFER else None,
    )
    if not alone:
        _give_run(span, decision, around, user_run)
    if role == "step" and span.owns_run and span.run is not None:
        kept.keep(span, owner, around, user_run if around is None else None)
    return span


def _give_run(
    span: CaptureSpan, decision: Decision, around: CaptureSpan | None, user_run: LiveRun | None
) -> None:
    """Open, or find, the run of a span; most decisions give it none."""
    if around is not None:
        user_run = around.run
    if decision in (Decision.OWN, Decision.CHILD):
        parent = user_run if decision is Decision.CHILD else None
        experiment = parent.experiment if parent is not None else None
        run = opening.open_run(
            base=span.name,
            kind=span.kind,
            parent=parent,
            experiment=experiment,
            start_us=span.started_us if span.bridge else None,
        )
        span.take(run, ends_run=True)
    elif decision is Decision.JOIN and user_run is not None:
        span.take(user_run, ends_run=False)
        if around is not None:
            around.owner.joined_by = span.integration
    elif decision is Decision.CONTINUE and user_run is not None:
        prefix = f"fit.{user_run.next_training_number()}."
        span.take(user_run, ends_run=False, prefix=prefix)


def going_on(owner: object) -> CaptureSpan | None:
    """Enter the span that a step of `owner` goes on in, if one was kept open here."""
    stack = spans.stack()
    if workers.is_framework_worker() or any(span.is_of(owner) for span in stack):
        return None
    around = stack[-1] if stack else None
    if around is not None and around.role not in ("study", "trial"):
        return None
    span = kept.find(owner, around, context.current() if around is None else None)
    if span is not None:
        span.resume(owner)
        spans.enter(span)
        _take_steps(span, ())
    return span


def _later(around: CaptureSpan | None, user_run: LiveRun | None) -> Callable[[CaptureSpan], None]:
    """Return what gives a bridge its run, by the rules that held where it began.

    That may happen in another thread, which has no run around it.
    """

    def settle(span: CaptureSpan) -> None:
        if around is not None:
            around.settle()
        role = cast("Role", span.role)
        stack = () if around is None else (around,)
        decision = ownership.decide(role, None, stack, user_run)
        _give_run(span, decision, around, user_run)
        spans.activate(span)
        span.announce()

    return settle


def decide(
    role: Role, owner: object, attribution: Attribution, *, bridge: bool = False
) -> Decision:
    """Ask the ownership table what a call is, here and now.

    The first of several steps goes on from present weights if its object was trained before.
    """
    if role == "step":
        role = "continuation" if attribution.find(owner) is not None else "training"
    stack = spans.stack()
    user_run = context.current() if not stack else None
    worker = workers.is_framework_worker()
    return ownership.decide(role, owner, stack, user_run, worker=worker, bridge=bridge)


def begin(span: CaptureSpan, sources: Iterable[object] = ()) -> None:
    """Put a span on the stack; a training takes the preparation steps that wait for it.

    Args:
        span: what was opened.
        sources: the spans whose results it was given.
    """
    spans.enter(span)
    if not span.owns_run or span.run is None:
        return
    kept.settle(span)
    if span.kept is None:
        kept.drop(span.subject)
        span.announce()
    _take_steps(span, sources)


def _take_steps(span: CaptureSpan, sources: Iterable[object]) -> None:
    """Record the preparation since the last training; what each step repeats, once."""
    if span.run is None:
        return
    for report in preparation.take(sources):
        if span.kept is None or span.kept.is_news(report):
            span.run.log_event("preparation", report)


def _alone() -> bool:
    return spans.current() is None


def _owner(call: EngineCall) -> object:
    return call.instance if call.instance is not None else call


def _folds_into_own(span: Any, integration: str) -> bool:
    """Whether the training around is of the same integration, which speaks for all inside it."""
    stack = spans.stack()
    return len(stack) > 1 and stack[-2].integration == integration and span is stack[-1]
