"""One integration while it is on: its sites wait for their modules and are undone together.

Nothing here imports what records runs: a program that activates autolog and never trains does
not wait for it.
"""

from __future__ import annotations

import sys
from collections.abc import Callable
from typing import TYPE_CHECKING, Any

from autolog.discovery import resolve
from autolog.errors import CompatError, IntegrationError, SettingsError
from autolog.integration import Attach, Hook, Integration, Patch
from autolog.interruption import comes_from_outside
from autolog.patching import Engine, ModuleWatch, SiteStatus
from autolog.tracking import notices

if TYPE_CHECKING:
    from autolog.capture.options import Options
    from autolog.capture.port import Port
    from autolog.compat.view import CompatView

__all__ = ["Attachment"]


class Attachment:
    """Applies an integration's sites once their modules are there, and undoes them.

    Args:
        integration: the declaration.
        own_options: an instance of its options class, or None.
        options: returns the options that hold for all integrations now.
        watched: returns the packages that integrations which are on watch.
        bridges_only: apply only its bridges, for the sake of other integrations.
    """

    def __init__(
        self,
        integration: Integration,
        engine: Engine,
        watch: ModuleWatch,
        *,
        own_options: Any,
        options: Callable[[], Options],
        watched: Callable[[], frozenset[str]],
        bridges_only: bool,
    ) -> None:
        self.integration = integration
        self.bridges_only = bridges_only
        self._engine = engine
        self._watch = watch
        self._own_options = own_options
        self._options = options
        self._watched = watched
        self._ports: dict[str, Port] = {}
        self._views: dict[str, CompatView] = {}
        self._undo: list[Callable[[], None]] = []
        self._states: dict[int, SiteStatus] = {}
        self._on = False

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
        for port in self._ports.values():
            port.close()
        self._engine.remove_all(self.integration.name)  # what an `attach` left that broke off
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
        """Return what the matrix says of the version that is installed for `module`.

        A matrix that cannot be read must not end a training: a notice says so, and instead of the
        one that the user gave ours counts.
        """
        top = module.partition(".")[0]
        known = self._views.get(top)
        if known is None:
            try:
                known = self._judge(top)
            except SettingsError as error:
                self._tell(f"{error}; autolog's own matrix is used")
                known = self._judge_without(top, override=False)
            except IntegrationError as error:
                self._tell(f"{error}; its versions are not judged")
                known = self._judge_without(top)
            self._views[top] = known
            if known.note:
                refused = self._engine.strict and not known.supported
                self._tell(f"strict: {known.refusal}" if refused else known.note)
        return known

    def _tell(self, message: str) -> None:
        if not self.bridges_only:
            notices.tell("compat", message)

    def require_supported(self, *, imported: bool = False) -> None:
        """Refuse a framework that is outside of the supported range.

        Args:
            imported: judge only what is imported already.

        Raises:
            CompatError: the message names the range, why it is that, and what to install.
            IntegrationError: the matrix of a third party cannot be loaded.
            SettingsError: the matrix given by the user cannot be read.
        """
        loaded = [name for name in self.integration.modules if sys.modules.get(name) is not None]
        for name in loaded if imported or loaded else self.integration.modules[:1]:
            view = self._judge(name.partition(".")[0])
            if not view.supported:
                raise CompatError(view.refusal or f"{self.integration.name} is not supported")

    def _judge(self, top: str, *, override: bool = True) -> CompatView:
        from autolog.compat.view import resolve as resolve_version

        integration = self.integration
        named = next(
            (name for name in integration.modules if name.partition(".")[0] == top),
            integration.modules[0],
        )
        try:
            return resolve_version(
                integration.name,
                sys.modules.get(named),
                data=resolve(integration.compat) if integration.compat else None,
                distributions=integration.distributions,
                override=override,
            )
        except SettingsError:
            raise
        except BaseException as exc:  # a third party's matrix may be anything
            if comes_from_outside(exc):
                raise
            raise IntegrationError(
                f"the matrix of {integration.name}, {integration.compat}, cannot be used:"
                f" {type(exc).__name__}: {exc}"
            ) from exc

    def _judge_without(self, top: str, *, override: bool = True) -> CompatView:
        """Judge without the user's matrix, or, where that cannot be used, without any."""
        from autolog.compat.view import CompatView, installed_version

        try:
            if not override:
                return self._judge(top, override=False)
        except IntegrationError as error:
            self._tell(f"{error}; its versions are not judged")
        version = installed_version(sys.modules.get(top), self.integration.distributions)
        return CompatView(self.integration.name, version)

    # -- applying ----------------------------------------------------------------------------

    def _applier(self, site: Patch | Attach) -> Callable[[Any], None]:
        def apply(module: Any) -> None:
            if self._on:
                self._apply(site, module)

        return apply

    def _apply(self, site: Patch | Attach, module: Any) -> None:
        view = self.view(site.module)
        if not view.supported and (view.on_unsupported == "skip" or self._engine.strict):
            self._note(site, "skipped", view.refusal or "unsupported version")
            return
        if not view.matches(site.when):
            self._note(site, "skipped", f"version {view.version} is not {site.when}")
            return
        if site.requires_guard is not None and site.requires_guard not in view.guards:
            self._note(site, "skipped", f"guard {site.requires_guard} is not needed here")
            return
        try:
            undo = self._attach(site, module)
        except BaseException as exc:
            if comes_from_outside(exc):
                raise
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
            return resolve(site.attach)(self._capture(site.module))
        owner = module
        *path, attribute = site.target.split(".")
        for part in path:
            owner = getattr(owner, part)
        hook: Any = resolve(site.hook) if site.hook is not None else None
        if hook is not None and not isinstance(hook, Hook):
            hook = hook(self._capture(site.module))
        return self._capture(site.module).patch(
            owner, attribute, hook, role=site.role, kind=site.kind, name=site.name
        )

    def _capture(self, module: str) -> Port:
        """Make what the integration's hooks get, now that their framework is there.

        Modules of one integration may have different versions, and so different guards.
        """
        top = module.partition(".")[0]
        port = self._ports.get(top)
        if port is None:
            from autolog.capture.port import Port

            port = self._ports[top] = Port(
                self.integration,
                self._engine,
                own_options=self._own_options,
                options=self._options,
                guards=lambda: self.view(top).guards,
                bridging=self.bridges_only,
                strategies=lambda: self.view(top).strategies,
                watched=self._watched,
            )
        return port

    def _note(self, site: Patch | Attach, state: Any, reason: str | None) -> None:
        self._states[id(site)] = SiteStatus(
            integration=self.integration.name,
            owner=site.module,
            attribute=_target(site),
            state=state,
            reason=reason,
        )


def _target(site: Patch | Attach) -> str:
    return site.target if isinstance(site, Patch) else site.attach
