"""What the matrix says of the framework version at hand: supported or not, and which guards.

Imported once a framework is (its own import dwarfs this one), never by `import autolog`.
Versions are compared by their base version without the local part, so that `2.13.0+cpu` is
2.13.0 and `2.15.0rc1` counts as 2.15.0: PEP 440 specifiers alone let pre-releases fall through
`>=2.15` and `<2.15` alike.
"""

from __future__ import annotations

import contextlib
import os
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from functools import lru_cache
from importlib import metadata
from pathlib import Path
from typing import Any, Literal

from autolog import settings
from autolog.compat.data import FrameworkData, MatrixData
from autolog.compat.known import latest_known
from autolog.compat.ranges import Release, contains, release_of
from autolog.compat.remedy import begins, distribution_of, install_line, why_outside

__all__ = [
    "CompatView",
    "installed_distributions",
    "installed_version",
    "matches",
    "matrix_data",
    "resolve",
]

ENGINE = "engine"
"""The guard of quirks that the engine's own structure answers; never switched."""

UNGUARD = "AUTOLOG_UNGUARD"
"""Names quirks, comma-separated, whose guards are off: for the proof that each is needed."""


@dataclass(frozen=True, slots=True)
class CompatView:
    """What the matrix says of one framework as it is installed here.

    Args:
        framework: its key in the matrix.
        version: as the framework spells it; None if it has none.
        supported: inside the supported range, or no range is known.
        known: not newer than the newest release that was looked at.
        on_unsupported: what to do outside the range: `warn` and go on, or `skip`.
        guards: names of the guards that are on, without the engine's own.
        quirks: ids of the quirks that affect this version.
        strategies: for each named choice, the code path of this version.
        note: one line for the user, or None: newer than known, outside the range, unreadable.
        refusal: what an error says of a version outside the range: the range, why it is the range,
            and the command that installs a supported version; else None.
    """

    framework: str
    version: str | None
    supported: bool = True
    known: bool = True
    on_unsupported: Literal["warn", "skip"] = "warn"
    guards: frozenset[str] = frozenset()
    quirks: tuple[str, ...] = ()
    strategies: Mapping[str, str] = field(default_factory=dict[str, str])
    note: str | None = None
    refusal: str | None = None

    def matches(self, when: str | None) -> bool:
        """Whether a site declared `when` (a PEP 440 specifier, None is always) applies here."""
        return when is None or self.version is None or matches(self.version, when)


def resolve(
    framework: str,
    module: Any = None,
    *,
    data: MatrixData | None = None,
    distributions: Iterable[str] = (),
    override: bool = True,
) -> CompatView:
    """Judge the version of a framework.

    Args:
        framework: its key in the matrix; one that is not in it is supported, without guards.
        module: the imported module whose `__version__` counts first; None if not imported.
        data: a third party's compiled matrix instead of ours.
        distributions: where the version is read from when the matrix does not say.
        override: whether `AUTOLOG_COMPAT_MATRIX` counts.

    Raises:
        SettingsError: `AUTOLOG_COMPAT_MATRIX` names a file that cannot be used.
    """
    found = matrix_data(data, override=override).get(framework)
    names = tuple(distributions) if found is None else found["distributions"]
    version = installed_version(module, names)
    if found is None:
        return CompatView(framework, version)
    return _judge(framework, found, version, getattr(module, "__name__", ""))


def installed_version(module: Any, distributions: Iterable[str] = ()) -> str | None:
    """Return `module.__version__` as text, else the first installed distribution's version.

    Distribution names alone mislead: the module `xgboost` may come from `xgboost-cpu`. What
    cannot be read, an attribute that raises or metadata that is broken, counts as missing.
    """
    with contextlib.suppress(Exception):  # a module's __getattr__ may raise anything
        version: Any = getattr(module, "__version__", None)
        if version is not None:
            return str(version)
    for name in distributions:
        with contextlib.suppress(Exception):  # not there, or without a version
            found: Any = metadata.version(name)
            if found:
                return str(found)
    return None


def installed_distributions(names: Iterable[str]) -> dict[str, str]:
    """Return those of these distributions that are installed, with their versions."""
    found: dict[str, str] = {}
    for name in names:
        version = installed_version(None, (name,))
        if version is not None:
            found[name] = version
    return found


def matches(version: str, specifier: str) -> bool:
    """Whether a version's base is inside a PEP 440 specifier; unreadable ones count as newest."""
    base = release_of(version)
    return base is None or contains(specifier, base)


def matrix_data(data: MatrixData | None = None, *, override: bool = True) -> MatrixData:
    """Return the matrix in force: `AUTOLOG_COMPAT_MATRIX`, else `data`, else the built-in one.

    The override replaces whole frameworks, and leaves those it does not name.
    """
    if data is None:
        from autolog._compat_data import DATA

        data = DATA
    path = settings.value("compat_matrix") if override else None
    return {**data, **_override(path)} if path else data


@lru_cache(maxsize=4)
def _override(path: str) -> MatrixData:
    from autolog.compat import matrix

    # In full, so that a message says where a relative path was looked for.
    return matrix.to_data(matrix.load(Path(os.path.abspath(os.path.expanduser(path)))))  # noqa: PTH100, PTH111


def _judge(
    framework: str, found: FrameworkData, version: str | None, module: str = ""
) -> CompatView:
    newest = _newest_known(found, module)
    latest = release_of(newest)
    assert latest is not None  # the matrix is checked
    base = latest if version is None else release_of(version)
    note = None
    if base is None:
        base = latest
        note = f"{framework} version {version!r} cannot be read; it is treated as {newest}"
    supported = contains(found["supported"], base)
    known = contains(f"<={newest}", base)
    refusal = None
    if not supported:
        outside = (
            f"{framework} {version} is outside the supported range {found['supported']}"
            f" ({why_outside(found, base, newest)})"
        )
        note = f"{outside}: it is left alone"
        if found["on_unsupported"] == "warn":
            note = (
                f"{outside}: what is logged may be incomplete;"
                f" leave it alone with exclude={framework!r}"
            )
        installed = installed_distributions(found["distributions"])
        line = install_line(found, distribution_of(found, module, tuple(installed)))
        refusal = f"{outside}. A version that is supported: {line}"
    elif not known:
        note = f"{framework} {version} is newer than {newest}, the newest that autolog has seen"
    if not supported:  # what holds at the edge is nearer to the truth than no guard at all
        base = _edge(found, base, latest)
    affecting = [quirk for quirk in found["quirks"] if contains(quirk["when"], base)]
    off = set(os.environ.get(UNGUARD, "").split(","))
    unguarded = {quirk["guard"] for quirk in affecting if quirk["id"] in off}
    return CompatView(
        framework=framework,
        version=version,
        supported=supported,
        known=known,
        on_unsupported=found["on_unsupported"],
        guards=frozenset(quirk["guard"] for quirk in affecting) - unguarded - {ENGINE},
        quirks=tuple(quirk["id"] for quirk in affecting),
        strategies=_strategies(found, base),
        note=note,
        refusal=refusal,
    )


def _edge(found: FrameworkData, base: Release, latest: Release) -> Release:
    """Return the supported release that one outside of the range is nearest to."""
    first = begins(found)
    return first if first is not None and base < first else latest


def _newest_known(found: FrameworkData, module: str) -> str:
    known = found["latest_known"]
    if isinstance(known, str):
        return known
    installed = tuple(installed_distributions(found["distributions"]))
    return latest_known(known, distribution_of(found, module, installed))


def _strategies(found: FrameworkData, base: Release) -> dict[str, str]:
    chosen: dict[str, str] = {}
    for name, cases in found["strategies"].items():
        for when, use in cases:
            if contains(when, base):
                chosen[name] = use
                break
    return chosen
