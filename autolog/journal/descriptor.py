"""Descriptors that no stream of the program can be mistaken for."""

from __future__ import annotations

import os
import sys

if sys.platform != "win32":
    import fcntl

__all__ = ["above_streams"]

_FIRST = 3


def above_streams(fd: int) -> int:
    """Return `fd`, or in its place a duplicate above 2.

    A program that has closed its standard streams, as daemons do, gets their numbers for the next
    files it opens. What C code or a child then prints must not land in one of ours, and the
    program's own next file gets the number that it would have without us.
    """
    if fd >= _FIRST or sys.platform == "win32":
        return fd
    try:
        return fcntl.fcntl(fd, fcntl.F_DUPFD_CLOEXEC, _FIRST)
    finally:
        os.close(fd)
