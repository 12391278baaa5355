"""Which integrations are on, with which options: the one piece of state that `autolog()` changes.

`autolog("a")` then `autolog("b")` is the union, the newest options win. Leaving a
`with autolog(...)` restores what was before it, exactly.
"""

from __future__ import annotations

import dataclasses
import difflib
import importlib.util
import sys
import threading
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from types import TracebackType
from typing import Any, Final, Literal

from autolog import settings
from autolog.capture.attachment import Attachment
from autolog.capture.options import MEGABYTE, Options
from autolog.discovery import by_name, disabled, discover, resolve
from autolog.errors import IntegrationError, UsageError
from autolog.integration import Integration
from autolog.patching import Engine, ModuleWatch, Site, SiteStatus
from autolog.store.location import locate
from autolog.tracking import notices
from autolog.tracking.values import as_texts

__all__ = ["Activation", "activate", "attachments", "disable", "engine", "site_statuses"]

_ELSEWHERE: Final = {
    "disable": "use autolog.disable(), or autolog(exclude=(...)) for some frameworks",
    "exclusive": 'use start_run(fits="children") to keep trainings out of your own run',
    "extra_tags": "use tags={...}",
    "max_tuning_runs": "use the framework's own option, for example sklearn={...}",
    "log_input_examples": "examples of the data are not stored; log_datasets describes it",
    "log_model_signatures": "signatures are always stored with the model",
}
"""Keywords of MLflow's autolog, and what to write here."""

LogModels = Literal["auto", "always", "never"]


@dataclass(frozen=True, slots=True)
class _State:
    """What is on: the integrations with their own options, and the common ones."""

    chosen: dict[str, Any] = field(default_factory=dict[str, Any])
    options: Options = field(default_factory=Options)


_lock = threading.RLock()
_state: _State | None = None
_attachments: dict[str, Attachment] = {}


def _on_fault(site: Site, integration: str, phase: str, exception: BaseException) -> None:
    notices.fault(f"autolog's {integration} hook ({phase} of {site.place})", exception)


engine = Engine(on_fault=_on_fault)
_watch = ModuleWatch(
    on_fault=lambda module, exc: notices.fault(f"watching the import of {module}", exc)
)


class Activation:
    """What `autolog()` returns: a handle, and a context manager that restores what was before."""

    def __init__(self, before: _State | None, settings_before: dict[str, Any]) -> None:
        self._before = before
        self._settings_before = settings_before
        self._open = True

    def __repr__(self) -> str:
        return f"<autolog on for {', '.join(self.frameworks) or 'nothing'}>"

    @property
    def frameworks(self) -> tuple[str, ...]:
        """Names of the integrations that are on now."""
        return tuple(sorted(_state.chosen)) if _state is not None else ()

    def restore(self) -> None:
        """Go back to what was on before this activation; only the first call does anything."""
        if self._open:
            self._open = False
            with _lock:
                settings.reassign(self._settings_before)
                _switch(self._before)

    def __enter__(self) -> Activation:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        exception: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        self.restore()


def activate(
    *frameworks: str,
    exclude: Iterable[str] = (),
    log_models: str | bool = "auto",
    max_model_mb: float = 100,
    log_datasets: bool = True,
    store: str | None = None,
    experiment: str | None = None,
    tags: Mapping[str, Any] | None = None,
    silent: bool = False,
    strict: bool = False,
    **by_framework: Any,
) -> Activation:
    """Switch integrations on; see `autolog.autolog`."""
    options = _common(log_models, max_model_mb, log_datasets)
    asked = [by_name(name) for name in frameworks]
    own = _own_options(by_framework)
    left_out = {by_name(name).name for name in _names(exclude, "exclude")}
    left_out |= disabled()
    chosen = asked or list(discover().integrations.values())
    named = [integration for integration in asked if integration.name not in left_out]
    with _lock:
        before = _state
        settings_before = settings.assigned()
        try:
            _assign(store, experiment, tags, silent=silent, strict=strict)
            wanted = dict(before.chosen) if before is not None else {}
            for integration in chosen:
                if integration.name in left_out:
                    continue
                wanted[integration.name] = own.get(integration.name) or _defaults(integration)
            for name in left_out:
                wanted.pop(name, None)
            for integration in named:
                _require_installed(integration)
            if settings.value("strict"):
                _require_matrix()
            _switch(_State(wanted, options))
            for name, attachment in _attachments.items():
                if name in {one.name for one in named}:
                    attachment.require_supported()
                elif engine.strict and not attachment.bridges_only:
                    attachment.require_supported(imported=True)
        except BaseException:
            settings.reassign(settings_before)
            _switch(before)
            raise
        return Activation(before, settings_before)


def disable() -> None:
    """Switch everything off: no attribute stays patched, no import is watched."""
    with _lock:
        settings.reassign({})
        _switch(None)


def attachments() -> tuple[Attachment, ...]:
    """Return the integrations that are on, bridges of others included."""
    with _lock:
        return tuple(_attachments.values())


def site_statuses() -> tuple[SiteStatus, ...]:
    """Return every site with its state, after looking whether each is still in place."""
    _watch.flush()
    with _lock:
        engine.recheck()
        waiting = [status for one in _attachments.values() for status in one.statuses()]
        return (*engine.sites(), *waiting)


def _switch(target: _State | None) -> None:
    """Make `target` the state: stop what it leaves out, start what it adds."""
    global _state
    before = _state
    _state = target
    engine.strict = bool(settings.value("strict"))
    chosen = target.chosen if target is not None else {}
    known = discover().integrations if target is not None else {}
    for name in list(_attachments)[::-1]:
        attachment = _attachments[name]
        stays = chosen and (name in chosen) != attachment.bridges_only
        same = before is not None and before.chosen.get(name) == chosen.get(name)
        if not (stays and same):
            attachment.stop()
            del _attachments[name]
    for name, integration in known.items():
        if chosen and name not in _attachments:
            attachment = Attachment(
                integration,
                engine,
                _watch,
                own_options=chosen.get(name),
                options=_current_options,
                watched=_watched_packages,
                bridges_only=name not in chosen,
            )
            _attachments[name] = attachment
            attachment.start()


def _current_options() -> Options:
    return _state.options if _state is not None else Options()


def _watched_packages() -> frozenset[str]:
    """Return the packages that the integrations which are on watch."""
    return frozenset(
        module.partition(".")[0]
        for one in tuple(_attachments.values())
        if not one.bridges_only
        for module in one.integration.modules
    )


def _common(log_models: Any, max_model_mb: Any, log_datasets: Any) -> Options:
    words = {True: "always", False: "never"}
    mode = words[log_models] if isinstance(log_models, bool) else log_models
    if mode not in ("auto", "always", "never"):
        raise UsageError(f'log_models={log_models!r}: expected "auto", "always" or "never"')
    if not isinstance(max_model_mb, (int, float)) or not max_model_mb >= 0:
        raise UsageError(f"max_model_mb={max_model_mb!r}: expected megabytes, 0 or more")
    return Options(mode, int(min(max_model_mb, 1e12) * MEGABYTE), bool(log_datasets))


def _assign(
    store: str | None,
    experiment: str | None,
    tags: Mapping[str, Any] | None,
    *,
    silent: bool,
    strict: bool,
) -> None:
    if store is not None:
        settings.assign("store", str(store))
        locate(str(store))
    if experiment is not None:
        settings.assign("experiment", experiment)
    if tags is not None:
        settings.assign("tags", as_texts(tags))
    if silent:
        settings.assign("print", "never")
    if strict:
        settings.assign("strict", True)


def _own_options(given: Mapping[str, Any]) -> dict[str, Any]:
    """Validate `<framework>={...}`; other keywords are mistakes that the message explains."""
    found = discover().integrations
    validated: dict[str, Any] = {}
    for key, values in given.items():
        if key in _ELSEWHERE:
            raise UsageError(f"autolog() has no option {key!r}: {_ELSEWHERE[key]}")
        integration = next(
            (one for one in found.values() if key == one.name or key in one.aliases), None
        )
        if integration is None:
            legal = [*(activate.__kwdefaults__ or ()), *found]
            near = difflib.get_close_matches(key, legal, 1)
            hint = f" Did you mean {near[0]!r}?" if near else f" Known: {', '.join(legal)}."
            raise UsageError(f"autolog() has no option {key!r}.{hint}")
        if not isinstance(values, Mapping):
            raise UsageError(f"{key}={values!r}: expected a dictionary of options")
        validated[integration.name] = _build(integration, dict(values))  # type: ignore[reportUnknownArgumentType]
    return validated


def _build(integration: Integration, values: dict[str, Any]) -> Any:
    if integration.options is None:
        if values:
            raise UsageError(f"{integration.name} has no options, got {', '.join(values)}")
        return None
    kind = resolve(integration.options)
    legal = [one.name for one in dataclasses.fields(kind)]
    for name in values:
        if name not in legal:
            near = difflib.get_close_matches(name, legal, 1)
            hint = f" Did you mean {near[0]!r}?" if near else ""
            raise UsageError(
                f"{integration.name} has no option {name!r}.{hint} Known: {', '.join(legal)}."
            )
    try:
        return kind(**values)
    except (TypeError, ValueError) as exc:
        raise UsageError(f"{integration.name}={values!r}: {exc}") from exc


def _defaults(integration: Integration) -> Any:
    if _state is not None and integration.name in _state.chosen:
        return _state.chosen[integration.name]
    return resolve(integration.options)() if integration.options is not None else None


def _require_installed(integration: Integration) -> None:
    if not any(map(_is_installed, integration.modules)):
        raise IntegrationError(
            f"{integration.name} was asked for, but its framework is not installed:"
            f" pip install {integration.distributions[0]}"
        )


def _require_matrix() -> None:
    """Read the matrix, which is needed later, so that one that cannot be read is an error now."""
    from autolog.compat.view import matrix_data

    matrix_data()


def _is_installed(module: str) -> bool:
    top = module.partition(".")[0]
    if sys.modules.get(top) is not None:
        return True
    try:
        return importlib.util.find_spec(top) is not None
    except (ImportError, ValueError):
        return False


def _names(given: Iterable[str], what: str) -> tuple[str, ...]:
    names = (given,) if isinstance(given, str) else tuple(given)
    if not all(isinstance(name, str) for name in names):  # type: ignore[reportUnnecessaryIsInstance]
        raise UsageError(f"{what}={given!r}: expected names of frameworks")
    return names
