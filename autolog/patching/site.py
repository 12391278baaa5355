"""One watched place: who watches it, what their hooks cost, and how a call passes through them."""

from __future__ import annotations

import sys
import threading
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from time import perf_counter_ns
from types import BuiltinMethodType, ModuleType, SimpleNamespace
from typing import TYPE_CHECKING, Any, Literal, Protocol

from autolog.interruption import comes_from_outside
from autolog.patching.call import EngineCall, Invocation

if TYPE_CHECKING:
    from autolog.patching.mount import Mount

State = Literal["waiting", "applied", "missing", "skipped", "buried", "replaced", "faulted"]
"""What has become of a place.

`waiting` for its module; `applied`; `missing` from the module or class; `skipped` because it
cannot or must not be patched; `buried`, removed but still, inert, beneath somebody else's
wrapper; `replaced` by somebody else; `faulted`, its hook failed three times and is switched off.
"""

Phase = Literal["enter", "exit", "error"]


class Hooks(Protocol):
    """An `autolog.integration.Hook`, or anything with the same three attributes."""

    @property
    def enter(self) -> Callable[[Any], None] | None:
        """Runs before the original; if it was begun, one of the others runs too."""
        ...

    @property
    def exit(self) -> Callable[[Any, Any], None] | None:
        """Runs after the original has returned."""
        ...

    @property
    def error(self) -> Callable[[Any, BaseException], None] | None:
        """Runs after the original has raised, or another hook was interrupted."""
        ...


class Taps(Protocol):
    """An `autolog.integration.Tap`, or anything with the same attributes."""

    @property
    def enter(self) -> Callable[..., Any] | None:
        """Runs before the original, with its arguments; what it gives is the state."""
        ...

    @property
    def exit(self) -> Callable[..., None] | None:
        """Runs after the original has returned, with state, arguments and result."""
        ...

    @property
    def error(self) -> Callable[..., None] | None:
        """Runs after the original has raised, with state, arguments and exception."""
        ...

    @property
    def unless(self) -> Callable[[], bool] | None:
        """Whether the call must pass as if nothing were there."""
        ...


_TIMED = 63
"""Of the calls of a tap, one in 64 is timed."""

STRIKES = 3
"""A hook that has failed in this many calls is switched off."""

FIRST = object()
"""Stands for "the instance is the first positional argument"."""

_get_frame = sys._getframe  # noqa: SLF001 # pyright: ignore[reportPrivateUsage]


class _Inside(threading.local):
    """Whether this thread is in a hook: what a hook calls itself is nobody's training."""

    hook: bool = False


_inside = _Inside()


@dataclass(frozen=True, slots=True)
class SiteStatus:
    """What one integration has at one place.

    Args:
        integration: whose hook it is.
        owner: the class or module, `"sklearn.pipeline:Pipeline"` or `"sklearn.metrics"`.
        attribute: the name of the function there.
        state: see `State`.
        calls: calls that reached the hook; lost updates between threads are not made up for.
        seconds: spent inside the hook, in all calls.
        faults: exceptions the hook has raised.
        unbound: calls whose arguments fit no signature; shared by the hooks of a place.
        reason: why the state is what it is, in words; None where it goes without saying.
    """

    integration: str
    owner: str
    attribute: str
    state: State
    calls: int = 0
    seconds: float = 0.0
    faults: int = 0
    unbound: int = 0
    reason: str | None = None

    @property
    def place(self) -> str:
        """Where it is, `"sklearn.pipeline:Pipeline.fit"`."""
        return place_of(self.owner, self.attribute)


def place_of(owner: str, attribute: str) -> str:
    """`"module:Class.attribute"` for a class, `"module:attribute"` for a module."""
    return f"{owner}{'.' if ':' in owner else ':'}{attribute}"


class Handle:
    """One integration's hook at one place; what `Engine.apply` gives and `Engine.remove` takes."""

    __slots__ = (
        "_state",
        "armed",
        "attribute",
        "calls",
        "enter",
        "error",
        "exit",
        "faults",
        "hook",
        "integration",
        "nanoseconds",
        "owner",
        "reason",
        "site",
        "strikes",
        "tap",
        "tap_enter",
        "tap_error",
        "tap_exit",
    )

    def __init__(
        self,
        integration: str,
        owner: str,
        attribute: str,
        hook: Hooks | None,
        *,
        tap: Taps | None = None,
        state: State = "applied",
        reason: str | None = None,
    ) -> None:
        self.integration = integration
        self.owner = owner
        self.attribute = attribute
        self.hook = hook
        self.enter = hook.enter if hook is not None else None
        self.exit = hook.exit if hook is not None else None
        self.error = hook.error if hook is not None else None
        self.tap = tap
        self.tap_enter = tap.enter if tap is not None else None
        self.tap_exit = tap.exit if tap is not None else None
        self.tap_error = tap.error if tap is not None else None
        self.site: Site | None = None
        self.armed = True
        self.calls = 0
        self.nanoseconds = 0
        self.faults = 0
        self.strikes = 0
        self.reason = reason
        self._state: State = state

    @property
    def state(self) -> State:
        """What has become of the place, or of this hook in particular."""
        if not self.armed:
            return "faulted"
        return self.site.state if self.site is not None else self._state

    def status(self) -> SiteStatus:
        """A snapshot."""
        site = self.site
        return SiteStatus(
            integration=self.integration,
            owner=self.owner,
            attribute=self.attribute,
            state=self.state,
            calls=self.calls,
            seconds=self.nanoseconds / 1e9,
            faults=self.faults,
            unbound=site.unbound if site is not None else 0,
            reason=self.reason or (site.reason if site is not None else None),
        )


@dataclass(slots=True)
class FaultPolicy:
    """What happens when a hook raises: an engine's sites share one.

    Args:
        strict: raise it in the user's call (tests).
        on_fault: told of each fault; it should format the exception, not keep it: an `error`
            hook's exception has the user's as its context, and with it the user's frames.
    """

    strict: bool = False
    on_fault: Callable[[Site, str, Phase, BaseException], None] | None = None


def _never() -> bool:
    return False


class TappedCall:
    """A call that only taps watch: its arguments, and what each tap keeps of it.

    What a tap calls itself is seen by other taps: to keep it from them would cost as much as a
    call. Of many calls one is timed.
    """

    __slots__ = ("_states", "_taps", "keywords", "positional")

    def __init__(
        self, taps: tuple[Handle, ...], positional: tuple[Any, ...], keywords: Mapping[str, Any]
    ) -> None:
        self._taps = taps
        self._states: tuple[Any, ...] = ()
        self.positional = positional
        self.keywords = keywords
        try:
            for handle in taps:
                handle.calls += 1
                state = None
                if handle.tap_enter is not None and handle.armed:
                    if not handle.calls & _TIMED:
                        state = _run_tap(handle, "enter", handle.tap_enter, positional, keywords)
                    else:
                        try:
                            state = handle.tap_enter(positional, keywords)
                        except BaseException as exception:
                            _tap_failed(handle, "enter", exception)
                self._states += (state,)
        except BaseException as exception:
            self.fail(exception)  # Ctrl-C: the call is not made, and those that entered leave it
            raise

    def finish(self, result: Any) -> None:
        """Run what the taps do after the call."""
        for handle, state in zip(self._taps, self._states, strict=False):
            if handle.tap_exit is not None and handle.armed:
                given = (state, self.positional, self.keywords, result)
                if not handle.calls & _TIMED:
                    _run_tap(handle, "exit", handle.tap_exit, *given)
                else:
                    try:
                        handle.tap_exit(*given)
                    except BaseException as exception:
                        _tap_failed(handle, "exit", exception)

    def fail(self, exception: BaseException) -> None:
        """Run what the taps do after a call that raised."""
        for handle, state in zip(self._taps, self._states, strict=False):
            if handle.tap_error is not None and handle.armed:
                given = (state, self.positional, self.keywords, exception)
                _run_tap(handle, "error", handle.tap_error, *given)


def _run_tap(handle: Handle, phase: Phase, function: Callable[..., Any], *given: Any) -> Any:
    started = perf_counter_ns()
    try:
        return function(*given)
    except BaseException as exception:
        _tap_failed(handle, phase, exception)
    finally:
        handle.nanoseconds += (_TIMED + 1) * (perf_counter_ns() - started)
    return None


def _tap_failed(handle: Handle, phase: Phase, exception: BaseException) -> None:
    """Count what a tap has raised; called while it is being handled."""
    site = handle.site
    if comes_from_outside(exception) or site is None:
        raise exception
    site.fault(handle, phase, exception)
    if site.policy.strict:
        raise exception


class Site:
    """The hooks of one function, and the passage of calls through them.

    `hooks` is exchanged as a whole and read without a lock. Pickled or copied by value, as a
    class of `__main__` is when it is sent to a worker, a site becomes an inert stdlib object.
    """

    __slots__ = (
        "__weakref__",
        "armed",
        "attribute",
        "hooks",
        "mount",
        "owner",
        "policy",
        "reason",
        "state",
        "taps",
        "traced",
        "unbound",
        "unless",
    )

    first = FIRST

    def __init__(self, owner: str, attribute: str, policy: FaultPolicy) -> None:
        self.owner = owner
        self.attribute = attribute
        self.policy = policy
        self.hooks: tuple[Handle, ...] = ()
        self.taps: tuple[Handle, ...] = ()
        """The same hooks, if all of them are taps: then nothing else is made of a call."""
        self.unless: Callable[[], bool] = _never
        self.armed = False
        self.traced = False
        """Whether a compiler may read the function that is watched."""
        self.mount: Mount | None = None
        self.state: State = "applied"
        self.reason: str | None = None
        self.unbound = 0

    @property
    def place(self) -> str:
        """Where it is, `"sklearn.pipeline:Pipeline.fit"`."""
        return place_of(self.owner, self.attribute)

    def __reduce__(self) -> tuple[Any, ...]:
        return SimpleNamespace, (), {"armed": False}

    def set_hooks(self, hooks: tuple[Handle, ...]) -> None:
        """Exchange the hooks as a whole."""
        taps = tuple(handle for handle in hooks if handle.tap is not None)
        self.unless = next((tap.unless for h in taps if (tap := h.tap) and tap.unless), _never)
        self.taps = taps if len(taps) == len(hooks) else ()
        self.hooks = hooks

    def begin(
        self,
        original: Callable[..., Any],
        args: tuple[Any, ...],
        kwargs: Mapping[str, Any],
        instance: Any,
    ) -> Invocation | TappedCall | None:
        """Run the `enter` hooks; None if the call must pass untouched.

        Called by the engine's frame directly: the caller is two frames up.
        """
        if _inside.hook:
            return None
        if self.taps and (instance is FIRST or instance is None):
            return TappedCall(self.taps, args, kwargs)
        leading = 0
        if instance is FIRST:
            if not args:
                return None
            instance, leading = args[0], 1
        elif instance is not None and type(instance) is ModuleType:
            instance = None  # What a builtin calls its `__self__`.
        elif type(original) is BuiltinMethodType:
            owner: object = getattr(original, "__self__", None)
            if isinstance(owner, type):  # A class method in C, `object.__init_subclass__`.
                instance = owner
        try:
            frame = _get_frame(2)
        except ValueError:  # A thread may start in a watched function.
            caller, lasti = None, -1
        else:
            caller, lasti = frame.f_code, frame.f_lasti
            del frame
        invocation = Invocation(self, original, instance, leading, args, kwargs, caller, lasti)
        for handle in self.hooks:
            if not handle.armed:
                continue
            handle.calls += 1
            call = EngineCall(invocation)
            entered = len(invocation.entered)
            invocation.entered.append((handle, call, False))
            if handle.enter is None:
                continue
            faults = handle.faults
            problem = self._run(handle, "enter", True, handle.enter, call)
            if handle.faults != faults:
                invocation.entered[entered] = (handle, call, True)
            if problem is not None:
                self.fail(invocation, problem)
                raise problem
        return invocation

    def finish(self, invocation: Invocation | TappedCall, result: Any) -> None:
        """Run the `exit` hooks of all that entered, the last one first."""
        if isinstance(invocation, TappedCall):
            invocation.finish(result)
            return
        problem: BaseException | None = None
        for handle, call, failed in invocation.leave():
            if handle.exit is not None:
                raised = self._run(handle, "exit", not failed, handle.exit, call, result)
                problem = problem or raised
        if problem is not None:
            raise problem

    def fail(
        self, invocation: Invocation | TappedCall, exception: BaseException | None = None
    ) -> None:
        """Run the `error` hooks of all that entered, the last one first.

        Without an exception it is the one that is being handled.
        """
        if exception is None:
            exception = sys.exc_info()[1]
        if isinstance(invocation, TappedCall):
            assert exception is not None
            invocation.fail(exception)
            return
        problem: BaseException | None = None
        for handle, call, failed in invocation.leave():
            if handle.error is not None:
                raised = self._run(handle, "error", not failed, handle.error, call, exception)
                problem = problem or raised
        if problem is not None:
            raise problem

    def _run(
        self, handle: Handle, phase: Phase, counts: bool, function: Callable[..., None], *given: Any
    ) -> BaseException | None:
        """Run one hook; what comes back must be raised in the user's call."""
        started = perf_counter_ns()
        _inside.hook = True
        try:
            function(*given)
        except BaseException as exception:
            if comes_from_outside(exception):
                return exception  # raised once all hooks have run
            self.fault(
                handle, phase, exception, counts=counts
            )  # the user's program must not notice
            return exception if self.policy.strict else None
        finally:
            _inside.hook = False
            handle.nanoseconds += perf_counter_ns() - started
        return None

    def fault(
        self, handle: Handle, phase: Phase, exception: BaseException, *, counts: bool = True
    ) -> None:
        """Count what a hook has raised, and tell; `counts` towards switching it off."""
        handle.faults += 1
        handle.strikes += counts
        # A hook whose `enter` failed is likely to fail in `exit` too: that is one strike.
        if handle.strikes >= STRIKES:
            handle.armed = False
        handle.reason = f"{phase}: {type(exception).__name__}: {exception}"
        if self.policy.on_fault is not None:
            try:
                self.policy.on_fault(self, handle.integration, phase, exception)
            except Exception:  # whoever counts faults must not cause any
                handle.faults += 1
