"""Identifiers and short names, from a source of randomness that no training shares.

`secrets` reads the system's generator: the global state of `random` and NumPy stays untouched.
"""

from __future__ import annotations

import secrets
import time

__all__ = ["is_run_id", "new_id", "speaking_name"]

_LETTERS = "abcdefghjkmnpqrstuvwxyz23456789"
"""Without i, l, o, 0 and 1, which are read for one another."""


def new_id() -> str:
    """Return a UUIDv7 (RFC 9562) as 32 hex digits: sorted by time, unique without a server."""
    stamp = time.time_ns() // 1_000_000 & 0xFFFF_FFFF_FFFF
    rest = secrets.randbits(74)
    value = stamp << 80 | 0x7 << 76 | (rest >> 62) << 64 | 0b10 << 62 | rest & (1 << 62) - 1
    return f"{value:032x}"


def is_run_id(text: str) -> bool:
    """Whether `text` is a whole run id rather than a prefix or a name."""
    return len(text) == 32 and all(c in "0123456789abcdef" for c in text)


def speaking_name(base: str) -> str:
    """Return `<base>-<4 letters>`, the name a run is called by: `SVC-k3fa`."""
    return f"{base}-{''.join(secrets.choice(_LETTERS) for _ in range(4))}"
