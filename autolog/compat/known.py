"""The newest release of a framework that was looked at: one for all of its distributions, or each.

Packages that are numbered each in their own way (keras, tf-keras) have each their own.
"""

from __future__ import annotations

from collections.abc import Mapping

__all__ = ["in_words", "latest_known"]


def latest_known(known: str | Mapping[str, str], distribution: str) -> str:
    """Return the newest release of a distribution that was looked at."""
    return known if isinstance(known, str) else known[distribution]


def in_words(known: str | Mapping[str, str]) -> str:
    """Return the text for a reader: `3.15.1`, or `keras 3.15.1, tf-keras 2.21.0`."""
    if isinstance(known, str):
        return known
    return ", ".join(f"{distribution} {version}" for distribution, version in known.items())
