"""What autolog itself saves and loads: its run is known, and nobody need ask where it came from."""

from __future__ import annotations

from collections.abc import Generator
from contextlib import contextmanager
from contextvars import ContextVar

__all__ = ["is_ours", "ours"]

_inside: ContextVar[bool] = ContextVar("autolog_keras_ours", default=False)


@contextmanager
def ours() -> Generator[None]:
    """Mark what is saved or loaded inside as autolog's own doing."""
    token = _inside.set(True)
    try:
        yield
    finally:
        _inside.reset(token)


def is_ours() -> bool:
    """Whether autolog itself saves or loads here."""
    return _inside.get()
