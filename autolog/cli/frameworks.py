"""Looks at the framework of one integration: its version, its guards, what breaks it here.

Everything is read from the metadata of distributions; no framework is imported.
"""

from __future__ import annotations

import importlib.util
from types import SimpleNamespace
from typing import TYPE_CHECKING, Any

import msgspec

from autolog.compat import view as compat
from autolog.compat.known import in_words, latest_known
from autolog.compat.ranges import release_of
from autolog.compat.remedy import install_line, why_outside
from autolog.discovery import resolve

if TYPE_CHECKING:
    from autolog.compat.data import FrameworkData
    from autolog.integration import Attach, Integration, Patch

__all__ = ["CoPin", "Framework", "Guard", "Installed", "look_at"]


class Guard(msgspec.Struct, frozen=True, kw_only=True):
    """A quirk of the installed version, and what answers it."""

    quirk: str
    symptom: str
    guard: str
    active: bool
    upstream: str | None = None


class CoPin(msgspec.Struct, frozen=True, kw_only=True):
    """What the installed version needs beside it without saying so itself.

    `found` is the version of that which is installed; `broken` says whether it is a wrong one.
    """

    when: str
    needs: str
    because: str
    found: str | None
    broken: bool


class Installed(msgspec.Struct, frozen=True, kw_only=True):
    """One distribution of a framework; its state and guards are those of its own version."""

    distribution: str
    version: str
    state: str
    guards: list[Guard] = []


class Framework(msgspec.Struct, frozen=True, kw_only=True):
    """An integration and its framework.

    `state` is `not installed`, `tested` (the suite runs with this version), `supported`,
    `newer than known` or `unsupported`. `disabled`: the setting of that name leaves it out.
    `strict`: the setting of that name leaves unsupported versions alone. `version` and `state` are
    of the first distribution that is installed, `guards` of all that are.
    `sites` wait for these modules to be imported; `limits` say what is not recorded.
    `because` says why the range begins where it does, `logs` what is logged by default, by topic.
    `third_party` is the distribution, with its version, of an integration that is not ours.
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
    installed: list[Installed] = []
    third_party: str | None = None
    supported: str | None = None
    because: str | None = None
    on_unsupported: str | None = None
    strict: bool = False
    latest_known: str | None = None
    tested: list[str] = []
    co_pins: list[CoPin] = []
    strategies: dict[str, str] = {}
    logs: dict[str, str] = {}
    install: str | None = None
    problems: list[str] = []

    @property
    def records(self) -> bool:
        """Whether trainings of it are recorded here."""
        states = {one.state for one in self.installed} or {self.state}
        left_alone = self.on_unsupported == "skip" or self.strict
        skipped = left_alone and states == {"unsupported"}
        return self.state != "not installed" and not self.disabled and not skipped


def look_at(
    integration: Integration,
    *,
    disabled: bool = False,
    third_party: str | None = None,
    override: bool = True,
    strict: bool = False,
) -> Framework:
    """Look at the framework of an integration, as it is installed here.

    Args:
        integration: the declaration.
        disabled: whether the setting of that name leaves it out.
        third_party: the distribution it is from, if that is not ours.
        override: whether `AUTOLOG_COMPAT_MATRIX` counts.
        strict: whether the setting of that name leaves unsupported versions alone.
    """
    data = resolve(integration.compat) if integration.compat else None
    name = integration.name
    row = compat.matrix_data(data, override=override).get(name)

    def judge(module: Any = None) -> compat.CompatView:
        return compat.resolve(
            name, module, data=data, distributions=integration.distributions, override=override
        )

    seen = judge()
    distributions = row["distributions"] if row else integration.distributions
    versions = compat.installed_distributions(distributions)
    there = bool(versions) or _importable(integration.modules)
    main = next(iter(versions), distributions[0])
    views = dict.fromkeys(versions, seen)
    if row is not None and _own_versions(row):
        # What the engine does once the module is imported: it judges by that one's own version.
        modules = dict(zip(row["distributions"], row["modules"], strict=True))
        views = {
            one: judge(SimpleNamespace(__version__=version, __name__=modules[one]))
            for one, version in versions.items()
        }
    installed = [
        Installed(
            distribution=one,
            version=version,
            state=_state(views[one], row, one),
            guards=_guards(views[one], row),
        )
        for one, version in versions.items()
    ]
    pins = {
        f"{one} {view.version}": _co_pins(row, view.version)
        for one, view in (views or {main: seen}).items()
        if row is not None and there
    }
    co_pins = [pin for found in pins.values() for pin in found]
    guards = [guard for one in installed for guard in one.guards]
    if there and not installed:
        guards = _guards(seen, row)
    notes = [view.note for view in views.values() if view.note] or [seen.note or ""]
    problems = [
        *_out_of_range(name, row, versions, strict),
        *_both(row, versions),
        *dict.fromkeys(
            _broken(one, pin) for one, found in pins.items() for pin in found if pin.broken
        ),
    ]
    return Framework(
        integration=name,
        distribution=main,
        version=seen.version,
        state=_state(seen, row, main) if there else "not installed",
        disabled=disabled,
        note="; ".join(dict.fromkeys(notes)) or None if there else None,
        guards=list({guard.quirk: guard for guard in guards}.values()),
        sites=list(dict.fromkeys(_place(site) for site in integration.sites)),
        bridges=list(dict.fromkeys(_place(site) for site in integration.bridges)),
        limits=list(integration.limits),
        installed=installed,
        third_party=third_party,
        supported=row["supported"] if row else None,
        because=row["because"] if row else None,
        on_unsupported=row["on_unsupported"] if row else None,
        strict=strict,
        latest_known=in_words(row["latest_known"]) if row else None,
        tested=list(dict.fromkeys(one["version"] for one in row["tested"])) if row else [],
        co_pins=list({(pin.when, pin.needs): pin for pin in co_pins}.values()),
        strategies=dict(seen.strategies) if there else {},
        logs=dict(row["logs"]) if row else {},
        install=install_line(row, main) if row else f"pip install {main}",
        problems=problems,
    )


def _own_versions(row: FrameworkData) -> bool:
    """Whether each distribution is a module of its own, as of Keras, and not a build of one."""
    return len(row["modules"]) == len(row["distributions"]) > 1


def _guards(seen: compat.CompatView, row: FrameworkData | None) -> list[Guard]:
    """List the quirks of a version with their guards."""
    return [
        Guard(
            quirk=quirk["id"],
            symptom=quirk["symptom"],
            guard=quirk["guard"],
            active=quirk["guard"] in seen.guards or quirk["guard"] == compat.ENGINE,
            upstream=quirk.get("upstream"),
        )
        for quirk in (row["quirks"] if row is not None else ())
        if quirk["id"] in seen.quirks
    ]


def _state(seen: compat.CompatView, row: FrameworkData | None, distribution: str) -> str:
    """Judge a version; a distribution with versions of its own is tested by rows of its own."""
    if not seen.supported:
        return "unsupported"
    if not seen.known:
        return "newer than known"
    public = (seen.version or "").partition("+")[0]  # 2.13.0+cpu is a build of 2.13.0
    if row is None:
        return "supported"
    own = _own_versions(row)
    tested = any(
        f"{distribution}=={public}" in one.get("pins", ())
        if own and one.get("distribution", row["distributions"][0]) != distribution
        else one["version"] == public
        for one in row["tested"]
    )
    return "tested" if tested else "supported"


def _out_of_range(
    name: str, row: FrameworkData | None, installed: dict[str, str], strict: bool
) -> list[str]:
    """Say of each distribution that is out of range why it is, and what to install."""
    problems: list[str] = []
    for distribution, version in installed.items() if row is not None else ():
        base = release_of(version)
        if row is None or base is None or compat.matches(version, row["supported"]):
            continue
        newest = latest_known(row["latest_known"], distribution)
        skipped = row["on_unsupported"] == "skip" or strict
        happens = f"nothing of {name} is recorded" if skipped else f"runs of {name} may lack things"
        problems.append(
            f"{distribution} {version} is outside the supported range {row['supported']}"
            f" ({why_outside(row, base, newest)}); {happens}:"
            f" {install_line(row, distribution)}"
        )
    return problems


def _both(row: FrameworkData | None, installed: dict[str, str]) -> list[str]:
    """Say that two distributions of one module are installed, if they are."""
    if row is None or len(row["modules"]) > 1 or len(installed) <= 1:
        return []
    module = next(iter(row["modules"]))
    kept, *others = list(installed)
    names = " and ".join(f"{one} {version}" for one, version in installed.items())
    wanted = f"{kept}=={installed[kept].partition('+')[0]}"
    both = (
        f"{names} are both installed and overwrite each other's files in {module}: keep one,"
        f" pip uninstall -y {' '.join(installed)} && pip install '{wanted}'"
        f" (or {', '.join(others)})"
    )
    return [both]


def _co_pins(row: FrameworkData, version: str | None) -> list[CoPin]:
    """List what this version needs beside it."""
    if version is None:
        return []
    from packaging.requirements import Requirement

    found: list[CoPin] = []
    for when, needs, because in row["co_pins"]:
        if not compat.matches(version, when):
            continue
        requirement = Requirement(needs)
        beside = compat.installed_version(None, (requirement.name,))
        broken = beside is not None and not requirement.specifier.contains(beside, prereleases=True)
        found.append(CoPin(when=when, needs=needs, because=because, found=beside, broken=broken))
    return found


def _broken(framework: str, pin: CoPin) -> str:
    return (
        f"{framework} needs {pin.needs} ({pin.because}), and {pin.found} is installed:"
        f" pip install '{pin.needs}'"
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
