"""What to install when a framework's version is outside of the supported range."""

from __future__ import annotations

import re
import sys
from collections.abc import Sequence
from typing import Final

from autolog.compat.data import FrameworkData
from autolog.compat.ranges import Release, contains, release_of

__all__ = ["begins", "distribution_of", "install_line", "why_outside"]

_LOWEST: Final = re.compile(r">=\s*([\d.]+)")


def distribution_of(found: FrameworkData, module: str, installed: Sequence[str] = ()) -> str:
    """Return the distribution that a module of a framework comes from, by the matrix.

    Where there are as many distributions as modules, as of Keras and Lightning, they are named in
    the same order; elsewhere it is the first one that is installed, else the first.
    """
    distributions, modules = found["distributions"], found["modules"]
    if len(distributions) == len(modules) > 1 and module in modules:
        return distributions[modules.index(module)]
    return next((name for name in distributions if name in installed), distributions[0])


def install_line(found: FrameworkData, distribution: str) -> str:
    """Return the command that installs a supported version.

    It is the newest that was tested with this Python or an older one and needs nothing beside it
    that pip does not know of. Where there is none pip chooses the newest inside of the range; so it
    does for a second package with versions of its own (tf-keras) that is in no row.
    """
    here = sys.version_info[:2]
    own_versions = len(found["modules"]) > 1
    tested: list[tuple[Release, str]] = []
    for row in found["tested"]:
        release = release_of(row["version"])
        if release is None or tuple(int(part) for part in row["python"].split(".")) > here:
            continue
        if own_versions and row.get("distribution", found["distributions"][0]) != distribution:
            continue
        if not any(contains(when, release) for when, _, _ in found["co_pins"]):
            tested.append((release, row["version"]))
    if not tested:
        return f"pip install '{distribution}{found['supported']}'"
    return f"pip install '{distribution}=={max(tested)[1]}'"


def why_outside(found: FrameworkData, base: Release, newest: str) -> str:
    """Say why a release is outside of the range: too old, for the reason given, or too new."""
    first = begins(found)
    if first is not None and base < first:
        return found["because"]
    return f"releases after {newest} were never tried"


def begins(found: FrameworkData) -> Release | None:
    """Return the release that the supported range begins with; None if it has no lower end."""
    lowest = _LOWEST.search(found["supported"])
    return release_of(lowest[1].rstrip(".")) if lowest is not None else None
