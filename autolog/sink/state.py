"""What the helper process says of itself: a small file beside the journals, replaced as a whole."""

from __future__ import annotations

import json
import os
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any, Final

from autolog.store.location import Location

__all__ = ["HelperState", "hurry_path", "lock_path", "log_path", "read_state", "write_state"]

_NAME: Final = "helper.json"


@dataclass(frozen=True, slots=True)
class HelperState:
    """How far shipping has come.

    Attributes:
        pid: the helper's process.
        shipped: for each writer that has files, the segment and offset up to which the store has
            taken its journal.
        error: why the last try failed; None if it did not.
        failing_since: when the failures began, seconds since the epoch.
        tries: how many failed in a row.
    """

    pid: int
    shipped: dict[str, tuple[int, int]] = field(default_factory=dict[str, tuple[int, int]])
    error: str | None = None
    failing_since: float | None = None
    tries: int = 0


def read_state(location: Location) -> HelperState | None:
    """Read what the helper of a store said last; None if none has run."""
    try:
        known: dict[str, Any] = json.loads((location.root / _NAME).read_bytes())
        shipped = {uid: (int(at[0]), int(at[1])) for uid, at in known.pop("shipped").items()}
        return HelperState(shipped=shipped, **known)
    except (OSError, ValueError, TypeError, KeyError, AttributeError):
        return None


def write_state(location: Location, state: HelperState) -> None:
    """Replace the file as a whole, so that no reader sees half of it."""
    path = location.root / _NAME
    beside = path.with_suffix(".new")
    beside.write_text(json.dumps(asdict(state)))
    os.replace(beside, path)  # noqa: PTH105


def lock_path(location: Location) -> Path:
    """Return the file that a running helper holds a lock on."""
    return location.root / "helper.lock"


def hurry_path(location: Location) -> Path:
    """Return the file whose creation asks the helper to ship now: a process is about to end."""
    return location.root / "helper.hurry"


def log_path(location: Location) -> Path:
    """Return the file that takes what the helper prints."""
    return location.root / "helper.log"
