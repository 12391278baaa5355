"""`suspend()`: autologging stands still in this context, until the outermost block ends."""

from __future__ import annotations

import contextlib
from collections.abc import Generator
from contextvars import ContextVar

__all__ = ["suspend", "suspended"]

_depth: ContextVar[int] = ContextVar("autolog_suspended", default=0)


@contextlib.contextmanager
def suspend() -> Generator[None]:
    """Record no trainings inside the block (or the decorated function); `log_*` still works.

    Blocks nest, and each thread and task has its own.
    """
    _depth.set(_depth.get() + 1)
    try:
        yield
    finally:
        _depth.set(max(_depth.get() - 1, 0))


def suspended() -> bool:
    """Whether autologging stands still in this context."""
    return _depth.get() > 0
