"""Looks over an installation: settings, the store, and every integration. Imports no framework."""

from __future__ import annotations

import importlib.util
import platform
import tempfile
from collections import Counter
from typing import TYPE_CHECKING, Any, Final

import msgspec

import autolog
from autolog import settings
from autolog.compat import view as compat
from autolog.discovery import discover, resolve
from autolog.errors import AutologError, SettingsError
from autolog.tracking.provenance import redact

if TYPE_CHECKING:
    from autolog.integration import Attach, Integration, Patch
    from autolog.store.location import Location

__all__ = ["Checkup", "Framework", "Guard", "StoreCheck", "examine"]


class Guard(msgspec.Struct, frozen=True, kw_only=True):
    """A quirk of the installed version, and what answers it."""

    quirk: str
    symptom: str
    guard: str
    active: bool


class Framework(msgspec.Struct, frozen=True, kw_only=True):
    """An integration and its framework.

    `state` is `not installed`, `tested` (the suite runs with this version), `supported`,
    `newer than known` or `unsupported`. `disabled`: the setting of that name leaves it out.
    `sites` wait for these modules to be imported; `limits` say what is not recorded.
    """

    integration: str
    distribution: str
    version: str | None
    state: str
    disabled: bool
    note: str | None
    guards: list[Guard]
    sites: list[str]
    bridges: list[str]
    limits: list[str]


class StoreCheck(msgspec.Struct, frozen=True, kw_only=True):
    """The store that a program started here would use.

    `pending` are writers by state; `helper` says what the process that ships to a server is at, and
    `system_metrics` of which runs it is measured what they use, or why of none.
    """

    uri: str | None = None
    exists: bool = False
    writable: bool = False
    pending: dict[str, int] = {}
    notice: str | None = None
    helper: str | None = None
    system_metrics: str | None = None


class Checkup(msgspec.Struct, frozen=True, kw_only=True):
    """All that `doctor` looked at; `problems` says what is wrong and what to do."""

    autolog: str
    python: str
    platform: str
    settings: list[settings.Setting]
    store: StoreCheck
    frameworks: list[Framework]
    problems: list[str]


def examine(uri: str | None) -> Checkup:
    """Look over the installation, as it is seen from the working directory."""
    problems: list[str] = []
    found = _settings(problems)
    store = _store(uri, problems)
    discovered = discover()
    problems += [f"integration {name}: {why}" for name, why in discovered.problems.items()]
    frameworks: list[Framework] = []
    for integration in discovered.integrations.values():
        try:
            frameworks.append(_framework(integration, {one.name for one in found}, problems))
        except Exception as error:  # a third party's declaration may be anything
            said = f"{type(error).__name__}: {error}"
            problems.append(f"integration {integration.name} is broken: {said}")
    return Checkup(
        autolog=autolog.__version__,
        python=platform.python_version(),
        platform=platform.platform(),
        settings=found,
        store=store,
        frameworks=frameworks,
        problems=problems,
    )


def _settings(problems: list[str]) -> list[settings.Setting]:
    found: list[settings.Setting] = []
    for name in settings.KNOWN:
        try:
            setting = settings.lookup(name)
        except SettingsError as error:
            if str(error) not in problems:  # a file that cannot be read concerns each of them
                problems.append(str(error))
            continue
        if isinstance(setting.value, str):  # a URI may hold a password
            (shown,) = redact([setting.value])
            setting = settings.Setting(setting.name, shown, setting.origin)
        found.append(setting)
    return found


def _store(uri: str | None, problems: list[str]) -> StoreCheck:
    from autolog.store.location import locate

    try:
        location = locate(uri)
    except AutologError as error:
        problems.append(str(error))
        return StoreCheck()
    problem = _cannot_write(location)
    # What is journalled is in the store for whoever looks, also before the first look.
    exists = location.remote or location.journal.is_dir()
    exists = exists or (location.database is not None and location.database.exists())
    pending: dict[str, int] = {}
    if exists:
        try:
            pending = _open(location)
        except AutologError as error:
            problem, exists = str(error), not location.remote
    if problem is not None:
        problems.append(problem)
    helper, failure = _helper(location)
    if failure is not None:
        problems.append(failure)
    return StoreCheck(
        uri=location.uri,
        exists=exists,
        writable=problem is None,
        pending=pending,
        notice=location.notice,
        helper=helper,
        system_metrics=_system_metrics(location),
    )


_MEASURED: Final = {
    "auto": "of runs that last longer than 10 s",
    "always": "of all runs",
    "never": "none, by the setting",
}


def _system_metrics(location: Location) -> str | None:
    """Say of which runs it is measured what they use of the machine, or why of none."""
    from autolog.sink.launch import available
    from autolog.sink.state import read_state

    try:
        wanted = settings.value("system_metrics")
    except SettingsError:  # told among the settings
        return None
    why = available()
    if why is None and importlib.util.find_spec("psutil") is None:
        why = "psutil is not installed"
    state = read_state(location)
    if why is None and state is not None:
        why = state.sampling
    if why is None or wanted == "never":
        return _MEASURED[wanted]
    return f"none: {why}"


def _helper(location: Location) -> tuple[str | None, str | None]:
    """Say what the helper process of a server is at, and what went wrong for it."""
    from autolog.cli.format import ago, count
    from autolog.journal.lease import locked
    from autolog.sink.state import lock_path, log_path, read_state

    state = read_state(location)
    if not location.remote or state is None:
        return None, None
    running = bool(locked(lock_path(location)))
    said = f"process {state.pid} ships" if running else "none runs; the next program starts one"
    if state.error is None or state.failing_since is None:
        return said, None
    since = ago(round(1000 * state.failing_since))
    return said, (
        f"the helper process failed {count(state.tries, 'time')} in a row, first {since}:"
        f" {state.error} (its output: {log_path(location)})"
    )


def _open(location: Location) -> dict[str, int]:
    """Open the store, changing nothing in it; return how many journals it has, by their state."""
    from autolog.journal.files import list_writers
    from autolog.store import open_store

    open_store(location, write=False).close()
    return dict(Counter(files.state() for files in list_writers(location.journal)))


def _cannot_write(location: Location) -> str | None:
    """Return why nothing can be recorded at `location`: a file is made there and removed."""
    for wanted in (location.root, location.journal):
        place = next(path for path in (wanted, *wanted.parents) if path.exists())
        try:
            with tempfile.TemporaryFile(dir=place):
                pass
        except OSError as error:
            return (
                f"the store cannot be written: {place}: {error.strerror or error}."
                " Name another place with --store or AUTOLOG_STORE."
            )
    database = location.database
    if database is not None and database.exists():
        try:
            with open(database, "r+b"):
                pass
        except OSError as error:
            return f"the store cannot be written: {database}: {error.strerror or error}"
    return None


def _framework(integration: Integration, readable: set[str], problems: list[str]) -> Framework:
    data = resolve(integration.compat) if integration.compat else None
    seen = compat.resolve(integration.name, data=data, distributions=integration.distributions)
    row = compat.matrix_data(data).get(integration.name)
    if seen.version is None and not _importable(integration.modules):
        state = "not installed"
    elif not seen.supported:
        state = "unsupported"
        problems.append(seen.note or f"{integration.name} {seen.version} is not supported")
    elif not seen.known:
        state = "newer than known"
    elif row and any(tested["version"] == seen.version for tested in row["tested"]):
        state = "tested"
    else:
        state = "supported"
    off = settings.value("disabled") if "disabled" in readable else ()
    installed = state != "not installed"
    quirks = row["quirks"] if row is not None and installed else ()
    return Framework(
        integration=integration.name,
        distribution=integration.distributions[0],
        version=seen.version,
        state=state,
        disabled=bool({integration.name, *integration.aliases} & set(off)),
        note=seen.note if installed else None,
        guards=[
            Guard(
                quirk=quirk["id"],
                symptom=quirk["symptom"],
                guard=quirk["guard"],
                active=quirk["guard"] in seen.guards or quirk["guard"] == compat.ENGINE,
            )
            for quirk in quirks
            if quirk["id"] in seen.quirks
        ],
        sites=list(dict.fromkeys(_place(site) for site in integration.sites)),
        bridges=list(dict.fromkeys(_place(site) for site in integration.bridges)),
        limits=list(integration.limits),
    )


def _importable(modules: tuple[str, ...]) -> bool:
    """Whether a framework is there without a distribution's metadata. Imports nothing."""
    try:
        return any(importlib.util.find_spec(name.partition(".")[0]) for name in modules)
    except (ImportError, ValueError):
        return False


def _place(site: Patch | Attach) -> str:
    target: Any = getattr(site, "target", None)
    return f"{site.module}:{target}" if target else site.module
