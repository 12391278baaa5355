"""What the helper process says of itself: a small file beside the journals, replaced as a whole."""

from __future__ import annotations

import json
import os
from dataclasses import asdict, dataclass, field
from hashlib import sha256
from pathlib import Path
from typing import Any

from autolog.store.location import Location

__all__ = [
    "HelperState",
    "hurry_path",
    "lock_path",
    "log_path",
    "read_state",
    "state_path",
    "write_state",
]


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
        sampling: why nothing is measured; None if what runs use is.
    """

    pid: int
    shipped: dict[str, tuple[int, int]] = field(default_factory=dict[str, tuple[int, int]])
    error: str | None = None
    failing_since: float | None = None
    tries: int = 0
    sampling: str | None = None


def read_state(location: Location) -> HelperState | None:
    """Read what the helper of a store said last; None if none has run."""
    try:
        known: dict[str, Any] = json.loads(state_path(location).read_bytes())
        shipped = {uid: (int(at[0]), int(at[1])) for uid, at in known.pop("shipped").items()}
        return HelperState(shipped=shipped, **known)
    except (OSError, ValueError, TypeError, KeyError, AttributeError):
        return None


def write_state(location: Location, state: HelperState) -> None:
    """Replace the file as a whole, so that no reader sees half of it."""
    path = state_path(location)
    beside = path.with_suffix(".new")
    beside.write_text(json.dumps(asdict(state)))
    os.replace(beside, path)  # noqa: PTH105


def lock_path(location: Location) -> Path:
    """Return the file that a running helper holds a lock on."""
    return _path(location, "lock")


def state_path(location: Location) -> Path:
    """Return the file that `read_state` reads."""
    return _path(location, "json")


def hurry_path(location: Location) -> Path:
    """Return the file whose creation asks the helper to ship now: a process is about to end."""
    return _path(location, "hurry")


def log_path(location: Location) -> Path:
    """Return the file that takes what the helper prints."""
    return _path(location, "log")


def _path(location: Location, suffix: str) -> Path:
    """Return a file of the helper: there is one for each store, user and host.

    A server's folder belongs to one user; an embedded store may be shared by several, of several
    hosts, and its folder may be the user's own, so there the files lie among the journals.
    """
    if location.remote:
        return location.root / f"helper.{suffix}"
    host = os.uname().nodename if hasattr(os, "uname") else ""
    user = os.getuid() if hasattr(os, "getuid") else ""
    digest = sha256(f"{location.uri} {host} {user}".encode(errors="surrogateescape")).hexdigest()
    return location.journal / f"helper-{digest[:12]}.{suffix}"
