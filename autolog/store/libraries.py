"""Libraries that some answers are given in, imported only when one is asked for."""

from __future__ import annotations

import importlib
from typing import Any

from autolog.errors import UsageError

__all__ = ["library"]


def library(name: str) -> Any:
    """Import a library by name.

    Raises:
        UsageError: it is not installed; the message has the line that installs it.
    """
    try:
        return importlib.import_module(name)
    except ImportError as exc:
        raise UsageError(f"this needs {name}, which is not installed: pip install {name}") from exc
