"""When the use of a run's processes is measured, and how often."""

from __future__ import annotations

import os
from typing import Final

__all__ = ["first_age", "interval"]

_FIRST: Final = 10.0
_SHORTEST: Final = 5.0
_LONGEST: Final = 30.0
_SHARE: Final = 120
_VARIABLE: Final = "_AUTOLOG_SYSTEM_PACE"
"""For tests: `<age of a run>,<interval>` in seconds."""


def first_age() -> float:
    """Return how old a run is, in seconds, when measuring begins."""
    return _given()[0] or _FIRST


def interval(age: float) -> float:
    """Return the seconds between two samples of a run that is `age` seconds old.

    That is 5 s for the first ten minutes, then 1/120 of the age, and 30 s from an hour on.
    """
    return _given()[1] or min(max(age / _SHARE, _SHORTEST), _LONGEST)


def _given() -> tuple[float, float]:
    first, _, every = os.environ.get(_VARIABLE, "").partition(",")
    return float(first or 0), float(every or 0)
