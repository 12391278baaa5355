"""Finds integrations through the entry-point group `autolog.integrations`, ours and others' alike.

Loading a declaration imports no framework. A plugin that cannot be loaded, or that was written
for a newer contract, is left out and reported; it never stops the others.
"""

from __future__ import annotations

import difflib
import importlib
import importlib.metadata
from collections.abc import Iterable
from dataclasses import dataclass, field
from functools import lru_cache
from importlib.metadata import EntryPoint
from typing import Any, Final

from autolog import settings
from autolog.errors import IntegrationError, SettingsError
from autolog.integration import API, Integration
from autolog.interruption import comes_from_outside

__all__ = ["DISTRIBUTION", "GROUP", "Discovered", "by_name", "disabled", "discover", "resolve"]

DISTRIBUTION: Final = "autolog-ml"
"""What we are called by pip; integrations from elsewhere are a third party's."""

GROUP: Final = "autolog.integrations"


@dataclass(frozen=True, slots=True)
class Discovered:
    """The integrations found, by name, and why others were left out.

    `third_party` says of those that autolog did not bring which distribution did, `name version`.
    """

    integrations: dict[str, Integration]
    problems: dict[str, str] = field(default_factory=dict[str, str])
    third_party: dict[str, str] = field(default_factory=dict[str, str])


@lru_cache(maxsize=1)
def discover() -> Discovered:
    """Load every declaration once per process."""
    found: dict[str, Integration] = {}
    problems: dict[str, str] = {}
    third_party: dict[str, str] = {}
    # Asking for the name of a distribution reads its metadata: once for each.
    points = [(not _ours(point), point.name, point) for point in _entry_points(problems)]
    for foreign, _, point in sorted(points, key=lambda one: one[:2]):
        try:
            declared = point.load()
        except BaseException as exc:  # a plugin may end the process, and must not end ours
            if comes_from_outside(exc):
                raise
            problems[point.name] = f"{point.value} cannot be loaded: {type(exc).__name__}: {exc}"
            continue
        if not isinstance(declared, Integration):
            problems[point.name] = f"{point.value} is no autolog.integration.Integration"
        elif not (declared.modules and declared.distributions):
            problems[point.name] = f"{point.value} names no modules or no distributions"
        elif declared.api > API:
            problems[point.name] = (
                f"{point.value} was written for contract {declared.api}, this autolog knows {API}:"
                f" pip install -U {DISTRIBUTION}"
            )
        elif declared.name in found:
            problems[point.name] = f"{point.value} is skipped: {declared.name} is already provided"
        else:
            found[declared.name] = declared
            if declared.compat is not None or foreign:
                third_party[declared.name] = " ".join(filter(None, _distribution(point)))
    return Discovered(found, problems, third_party)


def by_name(name: str) -> Integration:
    """Return the integration that a user calls `name`, aliases included.

    Raises:
        IntegrationError: there is none; the message names the nearest and lists all.
    """
    found = discover()
    for integration in found.integrations.values():
        if name == integration.name or name in integration.aliases:
            return integration
    if name in found.problems:
        raise IntegrationError(f"integration {name!r} is not usable: {found.problems[name]}")
    names = sorted(found.integrations)
    near = difflib.get_close_matches(name, _spellings(found.integrations.values()), 1)
    hint = f" Did you mean {near[0]!r}?" if near else ""
    raise IntegrationError(f"unknown framework {name!r}.{hint} Known: {', '.join(names)}.")


def disabled() -> set[str]:
    """Return the integrations that the setting `disabled` leaves out; `1` stands for all.

    Raises:
        SettingsError: it names a framework that is unknown.
    """
    setting = settings.lookup("disabled")
    if setting.value in (("1",), ("true",), ("all",)):
        return set(discover().integrations)
    try:
        return {by_name(name).name for name in setting.value}
    except IntegrationError as exc:
        raise SettingsError(f"{setting.origin} leaves out: {exc}") from None


def resolve(reference: str) -> Any:
    """Import what `"package.module:name"` names."""
    module, _, path = reference.partition(":")
    thing: Any = importlib.import_module(module)
    for part in path.split("."):
        thing = getattr(thing, part)
    return thing


def _entry_points(problems: dict[str, str]) -> Iterable[EntryPoint]:
    try:
        return importlib.metadata.entry_points(group=GROUP)
    except Exception:  # one distribution whose files are broken hides those of all others
        return _of_each_distribution(problems)


def _of_each_distribution(problems: dict[str, str]) -> list[EntryPoint]:
    """Read the entry points one distribution at a time, without those that cannot be read."""
    found: dict[str, list[EntryPoint]] = {}
    for distribution in importlib.metadata.distributions():
        folder: Any = getattr(distribution, "_path", None)
        shown = folder.name if folder is not None else repr(distribution)
        name = shown.partition("-")[0]
        if name in found:  # hidden by the one before it on the path
            continue
        try:
            found[name] = [point for point in distribution.entry_points if point.group == GROUP]
        except Exception as exc:
            problems[shown] = f"its entry points cannot be read: {type(exc).__name__}: {exc}"
    return [point for points in found.values() for point in points]


def _ours(point: EntryPoint) -> bool:
    return _distribution(point)[0] == DISTRIBUTION


def _distribution(point: EntryPoint) -> tuple[str, str]:
    """Return the name and the version of where an entry point is from, as far as they are known."""
    try:
        return (point.dist.name, point.dist.version) if point.dist else (point.value, "")
    except Exception:  # its metadata is broken
        return point.value, ""


def _spellings(integrations: Iterable[Integration]) -> list[str]:
    return [word for one in integrations for word in (one.name, *one.aliases)]
