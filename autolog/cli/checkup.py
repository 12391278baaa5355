"""Looks over an installation: settings, the store, and every integration. Imports no framework."""

from __future__ import annotations

import platform
from collections.abc import Sequence
from typing import Any, cast

import msgspec

import autolog
from autolog import settings
from autolog.cli import advice, frameworks, scrub, storecheck
from autolog.cli.advice import Advice
from autolog.cli.frameworks import Framework
from autolog.cli.storecheck import StoreCheck
from autolog.compat import view as compat
from autolog.discovery import disabled, discover
from autolog.errors import SettingsError

__all__ = ["Checkup", "examine"]


class Checkup(msgspec.Struct, frozen=True, kw_only=True):
    """All that `doctor` looked at.

    `problems` say what is wrong and what to do; `advice` is what works, and could be better.
    """

    autolog: str
    python: str
    platform: str
    settings: list[settings.Setting]
    store: StoreCheck
    frameworks: list[Framework]
    problems: list[str]
    advice: list[Advice] = []


def examine(uri: str | None, names: Sequence[str] = ()) -> Checkup:
    """Look over the installation, as it is seen from the working directory.

    Args:
        uri: the store; None for the one that a program started here would use.
        names: only these integrations; none means all.
    """
    problems: list[str] = [*_interpreter()]
    found = _settings(problems)
    store = storecheck.look_at(uri, problems)
    override = _matrix(problems)
    discovered = discover()
    problems += [
        f"integration {name}: {why}"
        for name, why in discovered.problems.items()
        if not names or name in names
    ]
    off = _disabled(problems)
    strict = any(one.name == "strict" and one.value for one in found)
    looked_at: list[Framework] = []
    for name, integration in discovered.integrations.items():
        if names and name not in names:
            continue
        try:
            one = frameworks.look_at(
                integration,
                disabled=name in off,
                third_party=discovered.third_party.get(name),
                override=override,
                strict=strict,
            )
        except (Exception, SystemExit) as error:  # a third party's declaration may be anything
            said = f"{type(error).__name__}: {error}"
            problems.append(f"integration {integration.name} is broken: {said}")
        else:
            looked_at.append(one)
            problems += [] if one.disabled else one.problems
    return Checkup(
        autolog=autolog.__version__,
        python=platform.python_version(),
        platform=platform.platform(),
        settings=found,
        store=store,
        frameworks=looked_at,
        problems=problems,
        advice=advice.give(looked_at, uri),
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
        found.append(settings.Setting(setting.name, _shown(setting.value), setting.origin))
    return found


def _shown(value: Any) -> Any:
    """Return the value of a setting without the secrets in it: a URI may hold a password."""
    if isinstance(value, str):
        return scrub.address(value)
    if isinstance(value, dict):
        tags = cast("dict[str, str]", value)
        pairs = {name: f"{name}={text}" for name, text in tags.items()}
        kept = {name: pair == scrub.without_secrets(pair) for name, pair in pairs.items()}
        return {name: text if kept[name] else "***" for name, text in tags.items()}
    return value


def _interpreter() -> list[str]:
    """Say whether wrapt, which every patch needs, is the one that autolog was made for."""
    version = compat.installed_version(None, ("wrapt",))
    if version is None or compat.matches(version, ">=2.4,<3"):
        return []
    reason = (
        f"wrapt {version} is installed and autolog needs 2.4 or newer, below 3 (older ones cannot"
        " remove a patch exactly; TensorFlow up to 2.15 pins wrapt below 1.15, so it begins at"
        " 2.16 here): pip install 'wrapt>=2.4,<3'"
    )
    return [reason]


def _matrix(problems: list[str]) -> bool:
    """Whether the matrix in `AUTOLOG_COMPAT_MATRIX`, if any, can be read."""
    try:
        compat.matrix_data()
    except SettingsError as error:
        problems.append(f"{error}; without it autolog's own matrix is used")
        return False
    return True


def _disabled(problems: list[str]) -> set[str]:
    try:
        return disabled()
    except SettingsError as error:
        if str(error) not in problems:
            problems.append(str(error))
        return set()
