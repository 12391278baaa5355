"""Looks at the framework of one integration: its version, its guards, what breaks it here.

Everything is read from the metadata of distributions; no framework is imported.
"""

from __future__ import annotations

import importlib.util
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
    """One distribution of a framework."""

    distribution: str
    version: str


class Framework(msgspec.Struct, frozen=True, kw_only=True):
    """An integration and its framework.

    `state` is `not installed`, `tested` (the suite runs with this version), `supported`,
    `newer than known` or `unsupported`. `disabled`: the setting of that name leaves it out.
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
        skipped = self.state == "unsupported" and self.on_unsupported == "skip"
        return self.state != "not installed" and not self.disabled and not skipped


def look_at(
    integration: Integration,
    *,
    disabled: bool = False,
    third_party: str | None = None,
    override: bool = True,
) -> Framework:
    """Look at the framework of an integration, as it is installed here.

    Args:
        integration: the declaration.
        disabled: whether the setting of that name leaves it out.
        third_party: the distribution it is from, if that is not ours.
        override: whether `AUTOLOG_COMPAT_MATRIX` counts.
    """
    data = resolve(integration.compat) if integration.compat else None
    name = integration.name
    seen = compat.resolve(
        name, data=data, distributions=integration.distributions, override=override
    )
    row = compat.matrix_data(data, override=override).get(name)
    distributions = row["distributions"] if row else integration.distributions
    installed = compat.installed_distributions(distributions)
    there = bool(installed) or _importable(integration.modules)
    main = next(iter(installed), distributions[0])
    quirks = row["quirks"] if row is not None and there else ()
    co_pins = _co_pins(row, seen.version) if row is not None and there else []
    problems = [
        *_out_of_range(name, row, installed),
        *_both(row, installed),
        *(_broken(f"{main} {seen.version}", pin) for pin in co_pins if pin.broken),
    ]
    return Framework(
        integration=name,
        distribution=main,
        version=seen.version,
        state=_state(seen, row, there),
        disabled=disabled,
        note=seen.note if there else None,
        guards=[
            Guard(
                quirk=quirk["id"],
                symptom=quirk["symptom"],
                guard=quirk["guard"],
                active=quirk["guard"] in seen.guards or quirk["guard"] == compat.ENGINE,
                upstream=quirk.get("upstream"),
            )
            for quirk in quirks
            if quirk["id"] in seen.quirks
        ],
        sites=list(dict.fromkeys(_place(site) for site in integration.sites)),
        bridges=list(dict.fromkeys(_place(site) for site in integration.bridges)),
        limits=list(integration.limits),
        installed=[Installed(distribution=one, version=at) for one, at in installed.items()],
        third_party=third_party,
        supported=row["supported"] if row else None,
        because=row["because"] if row else None,
        on_unsupported=row["on_unsupported"] if row else None,
        latest_known=in_words(row["latest_known"]) if row else None,
        tested=list(dict.fromkeys(one["version"] for one in row["tested"])) if row else [],
        co_pins=co_pins,
        strategies=dict(seen.strategies) if there else {},
        logs=dict(row["logs"]) if row else {},
        install=f"pip install '{main}{row['supported'] if row else ''}'",
        problems=problems,
    )


def _state(seen: compat.CompatView, row: FrameworkData | None, there: bool) -> str:
    if not there:
        return "not installed"
    if not seen.supported:
        return "unsupported"
    if not seen.known:
        return "newer than known"
    public = (seen.version or "").partition("+")[0]  # 2.13.0+cpu is a build of 2.13.0
    tested = row is not None and any(one["version"] == public for one in row["tested"])
    return "tested" if tested else "supported"


def _out_of_range(name: str, row: FrameworkData | None, installed: dict[str, str]) -> list[str]:
    """Say of each distribution that is out of range why it is, and what to install."""
    problems: list[str] = []
    for distribution, version in installed.items() if row is not None else ():
        base = release_of(version)
        if row is None or base is None or compat.matches(version, row["supported"]):
            continue
        newest = latest_known(row["latest_known"], distribution)
        skipped = row["on_unsupported"] == "skip"
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
