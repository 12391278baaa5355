"""Watches the steps of training loops that the user wrote."""

from __future__ import annotations

from autolog.integration import Capture, Detach

__all__ = ["attach"]


def attach(capture: Capture) -> Detach:  # noqa: ARG001
    """Watch the optimizers."""
    return lambda: None
