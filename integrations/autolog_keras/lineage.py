"""Where models come from: files that a run wrote, loaded by this process."""

from __future__ import annotations

from collections.abc import Generator
from contextlib import contextmanager
from contextvars import ContextVar

__all__ = ["own"]

_own: ContextVar[bool] = ContextVar("autolog_keras_own", default=False)


@contextmanager
def own() -> Generator[None]:
    """Mark what is loaded inside as autolog's own doing: the model's run is known already."""
    token = _own.set(True)
    try:
        yield
    finally:
        _own.reset(token)
