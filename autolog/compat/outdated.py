"""Compares the newest release that the matrix knows with a package index.

A release counts once its first file has an age, two days by default: what breaks something is
withdrawn in its first days. Pre-releases and yanked files do not count.
"""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from datetime import datetime, timedelta, timezone

from packaging.specifiers import SpecifierSet
from packaging.version import Version

from autolog.compat.data import FrameworkData, TestedData
from autolog.compat.index import Index, NotOnIndexError, Release
from autolog.compat.known import in_words, latest_known

__all__ = ["Judged", "Row", "judge", "paste"]


@dataclass(frozen=True, slots=True)
class Row:
    """A row to add to `tested`: the newest release of a minor version that is not known yet."""

    version: str
    python: str
    tier: str
    distribution: str
    first: bool
    """Whether it is the framework's first distribution, which a row need not name."""
    pins: tuple[str, ...]
    env: dict[str, str]
    uploaded: datetime | None
    """None if the index does not say; then the cooldown could not be applied."""
    instead_of: str | None
    """The newest tested release of the same minor version, which this one replaces."""

    @property
    def is_newer(self) -> bool:
        """Whether its minor version is not tested, or an earlier release of it."""
        return self.instead_of is None or Version(self.version) > Version(self.instead_of)


@dataclass(slots=True)
class Judged:
    """What the index has that the matrix does not know.

    `newest` is the newest release that counts, None if there is none; it and `latest_known` are by
    distribution where the matrix knows each of them by itself. `waiting` are newer ones,
    younger than the cooldown; `outside` are newer ones outside the supported range.
    """

    framework: str
    latest_known: str | dict[str, str]
    newest: str | dict[str, str] | None = None
    rows: list[Row] = field(default_factory=list[Row])
    outside: list[str] = field(default_factory=list[str])
    waiting: dict[str, datetime] = field(default_factory=dict[str, datetime])
    absent: list[str] = field(default_factory=list[str])
    """Distributions that the index does not have."""
    unknown: bool = False
    """Whether none of the distributions is on the index: nothing can be said."""

    @property
    def outdated(self) -> bool:
        """Whether there is a release that counts and is newer than the latest known."""
        return bool(self.news)

    @property
    def news(self) -> dict[str, str]:
        """The newest release by distribution (by "" of all) where it is newer than known."""
        known, newest = _by_name(self.latest_known), _by_name(self.newest or {})
        return {
            name: version
            for name, version in newest.items()
            if Version(version) > Version(known[name])
        }

    @property
    def in_words(self) -> str:
        """What is newer, for a reader."""
        return in_words(self.news.get("") or self.news)


def judge(
    framework: str,
    data: FrameworkData,
    index: Index,
    *,
    pythons: Iterable[str],
    cooldown: float,
    now: datetime | None = None,
) -> Judged:
    """Ask the index for all distributions of a framework, and compare.

    Args:
        framework: its name in the matrix.
        data: what the matrix says of it.
        index: whom to ask.
        pythons: those that rows may be for, `"3.12"`; one that no wheel is for is not proposed
            as long as another one fits.
        cooldown: days that a release has to be old to count.
        now: the time that ages are taken at, by default this moment.

    Raises:
        IndexUnreachableError: the index does not answer, or not as an index does.
    """
    found = Judged(framework, data["latest_known"])
    apart = not isinstance(data["latest_known"], str)
    settled = (now or datetime.now(timezone.utc)) - timedelta(days=cooldown)
    candidates: dict[Version, dict[str, Release]] = {}
    newest: dict[str, Version] = {}
    for distribution in data["distributions"]:
        known = Version(latest_known(data["latest_known"], distribution))
        line = distribution if apart else ""
        try:
            releases = index.releases(distribution)
        except NotOnIndexError:
            found.absent.append(distribution)
            continue
        for release in releases:
            if release.uploaded is not None and release.uploaded > settled:
                if release.version > known:
                    found.waiting[str(release.version)] = release.uploaded
                continue
            newest[line] = max(release.version, newest.get(line, release.version))
            if release.version > known:
                candidates.setdefault(release.version, {})[distribution] = release
    found.unknown = len(found.absent) == len(data["distributions"])
    newer = {name: str(version) for name, version in newest.items()}
    found.newest = newer if apart else newer.get("")
    # Two distributions of one framework are not always uploaded on one day.
    for version in candidates:
        found.waiting.pop(str(version), None)
    supported = SpecifierSet(data["supported"])
    found.outside = [str(version) for version in sorted(candidates) if version not in supported]
    inside = sorted(version for version in candidates if version in supported)
    minors = {version.release[:2]: version for version in inside}
    usable = sorted(set(pythons), key=Version, reverse=True)
    rows = (_row(data, candidates[version], usable) for version in minors.values())
    found.rows = [row for row in rows if row.is_newer]
    return found


def _row(data: FrameworkData, found: Mapping[str, Release], pythons: list[str]) -> Row:
    alike = data["tested"]
    if not isinstance(data["latest_known"], str):  # what one needs says nothing of another
        alike = tuple(row for row in alike if row["distribution"] in found)
    model = max(
        alike, key=lambda row: (Version(row["version"]), Version(row["python"])), default=None
    )
    # What was tested last is what can be installed most cheaply: `xgboost-cpu`, not `xgboost`.
    names = (*([model["distribution"]] if model else []), *data["distributions"])
    distribution = next(name for name in names if name in found)
    release = found[distribution]
    minor = release.version.release[:2]
    tested = [row for row in alike if Version(row["version"]).release[:2] == minor]
    return Row(
        version=str(release.version),
        python=_python(release, pythons),
        tier="full",
        distribution=distribution,
        first=distribution == data["distributions"][0],
        pins=model["pins"] if model else (),
        env=model["env"] if model else {},
        uploaded=release.uploaded,
        instead_of=_newest(tested),
    )


def _python(release: Release, pythons: list[str]) -> str:
    """Return the newest Python of those in use that the release runs on, else its oldest one."""
    later = (f"3.{minor}" for minor in range(8, 100))
    fitting = (python for python in (*pythons, *later) if release.runs_on(python))
    return next(fitting, pythons[0])


def _by_name(known: str | Mapping[str, str]) -> Mapping[str, str]:
    return {"": known} if isinstance(known, str) else known


def _newest(rows: list[TestedData]) -> str | None:
    return max((row["version"] for row in rows), key=Version, default=None)


def paste(found: Judged, *, indent: str = "    ") -> str:
    """Return the lines that bring `compat_matrix.yaml` up to date, as they stand in the file."""
    lines: list[str] = []
    if found.outdated:
        known = {**_by_name(found.latest_known), **found.news}
        said = ", ".join(f'{name}: "{version}"' for name, version in known.items())
        said = f"{{{said}}}" if "" not in known else f'"{known[""]}"'
        lines.append(f"{indent}latest_known: {said}")
    if found.rows:
        lines.append(f"{indent}tested:")
    lines += [f"{indent}  - {_flow(row)}" for row in found.rows]
    return "".join(f"{line}\n" for line in lines)


def _flow(row: Row) -> str:
    parts = [f'version: "{row.version}"', f'python: "{row.python}"']
    if not row.first:
        parts.append(f"distribution: {row.distribution}")
    # JSON is YAML: texts that YAML would read as something else are quoted.
    if row.pins:
        parts.append(f"with: {json.dumps(list(row.pins))}")
    if row.env:
        parts.append(f"env: {json.dumps(row.env)}")
    parts.append(f"tier: {row.tier}")
    remarks: list[str] = []
    if row.uploaded is None:
        remarks.append("age unknown")
    if row.instead_of is not None:
        remarks.append(f"instead of {row.instead_of}")
    return f"{{{', '.join(parts)}}}" + (f"  # {'; '.join(remarks)}" if remarks else "")
