"""Says whether two descriptions are of the same data: the one place that answers it.

A fingerprint of a sample tells data apart and never proves that it is the same; fingerprints of
different kinds of containers say nothing of each other.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Literal

__all__ = ["Likeness", "compare"]

Likeness = Literal["same", "different", "not told apart"]


def compare(one: Mapping[str, Any], other: Mapping[str, Any]) -> Likeness:
    """Compare two profiles of data (`DatasetInput.profile`).

    Returns:
        `same`: every value was hashed and nothing differs. `different`: shapes, dtypes, columns or
        values differ. `not told apart`: only a sample was hashed and it is equal, there is no
        fingerprint, or the containers are of different kinds.
    """
    digests = [str(profile.get("digest") or "") for profile in (one, other)]
    schemes = [digest.partition(":")[0] for digest in digests]
    if schemes[0] != schemes[1]:
        rows = {_rows(profile) for profile in (one, other)} - {None}
        return "different" if len(rows) > 1 else "not told apart"
    if any(_differ(one, other, key) for key in ("shape", "dtype", "columns")):
        return "different"
    if not all(digests):
        return "not told apart"
    if digests[0] != digests[1]:
        return "different"
    whole = one.get("covered") == 1 and other.get("covered") == 1
    return "same" if whole else "not told apart"


def _rows(profile: Mapping[str, Any]) -> Any:
    """Return the number of rows, which even a list of lists has; None if it is not known."""
    shape = profile.get("shape")
    return shape[0] if shape else None


def _differ(one: Mapping[str, Any], other: Mapping[str, Any], key: str) -> bool:
    return key in one and key in other and one[key] != other[key]
