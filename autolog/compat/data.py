"""The shape of a compiled matrix: plain dictionaries and tuples, cheap to import.

`autolog/_compat_data.py` holds one as `DATA`; a third-party integration may ship its own.
"""

from __future__ import annotations

from typing import Literal, TypedDict

__all__ = ["FrameworkData", "MatrixData", "QuirkData", "TestedData"]


class QuirkData(TypedDict):
    """A behaviour of some framework versions that a guard answers."""

    id: str
    when: str
    symptom: str
    guard: str
    fails_with: str
    test: str
    upstream: str | None
    """A link, if it was reported."""


class TestedData(TypedDict):
    """One environment in which the suite runs."""

    version: str
    python: str
    tier: Literal["commit", "full"]
    distribution: str
    """What is installed: one of the framework's distributions."""
    pins: tuple[str, ...]
    """Requirements beside it."""
    env: dict[str, str]


class FrameworkData(TypedDict):
    """What is known of one framework."""

    distributions: tuple[str, ...]
    modules: tuple[str, ...]
    supported: str
    because: str
    on_unsupported: Literal["warn", "skip"]
    latest_known: str | dict[str, str]
    """Of all distributions, or of each by its name."""
    tested: tuple[TestedData, ...]
    strategies: dict[str, tuple[tuple[str, str], ...]]
    co_pins: tuple[tuple[str, str, str], ...]
    """When, the requirement, and why."""
    quirks: tuple[QuirkData, ...]
    logs: dict[str, str]
    """What is logged by default: params, series, evaluations, data, model, more."""


MatrixData = dict[str, FrameworkData]
"""Framework name to what is known of it."""
