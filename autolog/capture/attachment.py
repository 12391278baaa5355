"""One integration while it is on: its sites wait for their modules and are undone together."""

from __future__ import annotations

import sys
from collections.abc import Callable
from contextlib import AbstractContextManager
from typing import TYPE_CHECKING, Any

from autolog.capture import notices, ownership, spans, suspension, workers
from autolog.capture.attribution import Attribution
from autolog.capture.watching import WatchedCall, open_span
from autolog.discovery import resolve
from autolog.errors import CompatError
from autolog.integration import (
    Attach,
    Detach,
    Hook,
    Integration,
    Patch,
    Produced,
    Role,
    RoleOf,
    Span,
)
from autolog.patching import Engine, ModuleWatch, SiteStatus
from autolog.tracking import context

if TYPE_CHECKING:
    from autolog.capture.activation import Options
    from autolog.compat.view import CompatView

__all__ = ["Attachment"]


class Attachment:
    """Applies an integration's sites, and is the `Capture` that its hooks get.

    Args:
        integration: the declaration.
        own_options: an instance of its options class, or None.
        options: returns the options that hold for all integrations now.
        bridges_only: apply only its bridges, for the sake of other integrations.
    """

    def __init__(
        self,
        integration: Integration,
        engine: Engine,
        watch: ModuleWatch,
        attribution: Attribution,
        *,
        own_options: Any,
        options: Callable[[], Options],
        bridges_only: bool,
    ) -> None:
        self.integration = integration
        self.bridges_only = bridges_only
        self._engine = engine
        self._watch = watch
        self._attribution = attribution
        self._own_options = own_options
        self._options = options
        self._views: dict[str, CompatView] = {}
        self._undo: list[Callable[[], None]] = []
        self._states: dict[int, SiteStatus] = {}
        self._on = False

    @property
    def options(self) -> Any:
        """The integration's own options."""
        return self._own_options

    def start(self) -> None:
        """Wait for the modules of all sites, or apply them at once if they are imported."""
        self._on = True
        sites = self.integration.bridges
        if not self.bridges_only:
            sites = (*self.integration.sites, *sites)
        for site in sites:
            self._note(site, "waiting", f"{site.module} is not imported")
            self._undo.append(self._watch.watch(site.module, self._applier(site)))

    def stop(self) -> None:
        """Undo everything, last first; one failure does not stop the others."""
        self._on = False
        while self._undo:
            try:
                self._undo.pop()()
            except Exception as exc:
                notices.fault(f"detaching {self.integration.name}", exc)
        self._states.clear()

    def statuses(self) -> tuple[SiteStatus, ...]:
        """Return the sites that the engine does not know: waiting, skipped, missing, attached."""
        return tuple(self._states.values())

    def installed_version(self) -> str | None:
        """Return the version of the framework, if it is imported."""
        for name in self.integration.modules:
            if name in sys.modules:
                return self.view(name).version
        return None

    def view(self, module: str) -> CompatView:
        """Return what the matrix says of the version that is installed for `module`."""
        top = module.partition(".")[0]
        known = self._views.get(top)
        if known is None:
            from autolog.compat.view import resolve as resolve_version

            data = resolve(self.integration.compat) if self.integration.compat else None
            named = next(
                (name for name in self.integration.modules if name.partition(".")[0] == top),
                self.integration.modules[0],
            )
            known = resolve_version(
                self.integration.name,
                sys.modules.get(named),
                data=data,
                distributions=self.integration.distributions,
            )
            self._views[top] = known
            if known.note and not self.bridges_only:
                notices.tell("compat", known.note)
        return known

    # -- the contract ------------------------------------------------------------------------

    def patch(
        self,
        owner: Any,
        attribute: str,
        hook: Hook | None,
        *,
        role: Role | RoleOf = "watch",
        kind: str = "fit",
    ) -> Detach:
        """Watch one attribute of a class or module."""
        watched = WatchedCall(
            self.integration.name,
            hook,
            role=role,
            kind=kind,
            options=self._options,
            attribution=self._attribution,
        )
        handle = self._engine.apply(owner, attribute, self.integration.name, watched)
        return lambda: self._engine.remove(handle)

    def open(self, role: Role, kind: str, owner: Any, name: str) -> Span | None:
        """Open a span by the ownership rules; None if the call must pass through."""
        if suspension.suspended():
            return None
        stack = spans.stack()
        user_run = context.current() if not stack else None
        decision = ownership.decide(
            role, owner, stack, user_run, worker=workers.is_framework_worker()
        )
        if decision in (ownership.Decision.PASS, ownership.Decision.WATCH):
            return None
        span = open_span(
            decision,
            role=role,
            kind=kind,
            owner=owner,
            name=name,
            integration=self.integration.name,
            options=self._options(),
        )
        spans.enter(span)
        if span.owns_run:
            span.announce()
        return span

    def current(self) -> Span | None:
        """Return the innermost open span of this context."""
        return spans.current()

    def enclosed(self, span: Span | None) -> AbstractContextManager[None]:
        """Make `span` the innermost one inside the block."""
        return spans.enclosed(span if isinstance(span, spans.CaptureSpan) else None)

    def guard(self, name: str) -> bool:
        """Whether the matrix activates this guard for the installed version."""
        return name in self.view(self.integration.modules[0]).guards

    def produced(self, thing: Any, span: Span, *, data: str | None = None) -> None:
        """Remember, by weak reference, that `thing` came from `span`."""
        self._attribution.remember(thing, Produced(span, data))

    def producer(self, thing: Any) -> Produced | None:
        """Return who produced `thing`, or the array that it is a view of."""
        return self._attribution.find(thing)

    def notice(self, key: str, text: str) -> None:
        """Tell the user something once."""
        notices.tell(key, text, context.current() or context.last_trained())

    # -- applying ----------------------------------------------------------------------------

    def _applier(self, site: Patch | Attach) -> Callable[[Any], None]:
        def apply(module: Any) -> None:
            if self._on:
                self._apply(site, module)

        return apply

    def _apply(self, site: Patch | Attach, module: Any) -> None:
        view = self.view(site.module)
        if not view.supported and view.on_unsupported == "skip":
            self._note(site, "skipped", view.note or "unsupported version")
            return
        if not view.matches(site.when):
            self._note(site, "skipped", f"version {view.version} is not {site.when}")
            return
        if site.requires_guard is not None and site.requires_guard not in view.guards:
            self._note(site, "skipped", f"guard {site.requires_guard} is not needed here")
            return
        try:
            undo = self._attach(site, module)
        except Exception as exc:
            self._note(site, "missing", f"{type(exc).__name__}: {exc}")
            notices.fault(f"attaching {self.integration.name} to {site.module}", exc)
            return
        if isinstance(site, Patch):
            self._states.pop(id(site), None)  # the engine knows it from here on
        else:
            self._note(site, "applied", None)
        self._undo.append(undo)

    def _attach(self, site: Patch | Attach, module: Any) -> Callable[[], None]:
        if isinstance(site, Attach):
            return resolve(site.attach)(self)
        owner = module
        *path, attribute = site.target.split(".")
        for part in path:
            owner = getattr(owner, part)
        hook = resolve(site.hook) if site.hook is not None else None
        return self.patch(owner, attribute, hook, role=site.role, kind=site.kind)

    def _note(self, site: Patch | Attach, state: Any, reason: str | None) -> None:
        self._states[id(site)] = SiteStatus(
            integration=self.integration.name,
            owner=site.module,
            attribute=_target(site),
            state=state,
            reason=reason,
        )


def require_supported(integration: Integration, attachment: Attachment) -> None:
    """Refuse a framework that the user named and that is outside of the supported range.

    Raises:
        CompatError: the message names the range and what to install.
    """
    view = attachment.view(integration.modules[0])
    if not view.supported:
        raise CompatError(view.note or f"{integration.name} {view.version} is not supported")


def _target(site: Patch | Attach) -> str:
    return site.target if isinstance(site, Patch) else site.attach
