"""What a process and everything that it started use of the machine, seen from outside.

Sums over a tree that lose nothing when a child ends: the kernel adds the CPU time and the bytes of
a child to its parent's, once the parent has waited for it.
"""

from __future__ import annotations

import contextlib
import os
import time
from collections.abc import Iterable
from pathlib import Path
from typing import Any, Final

import psutil

__all__ = ["Usage", "tree"]

_MB: Final = 1_000_000
_LIMITS: Final = (
    "/sys/fs/cgroup/memory.max",
    "/sys/fs/cgroup/memory/memory.limit_in_bytes",
)
"""What a container may take, in the second and the first version of control groups."""


def tree(root: psutil.Process) -> list[psutil.Process]:
    """Return a process and all below it, but for this one; none if it is gone."""
    try:
        found = [root, *root.children(recursive=True)]
    except psutil.Error:
        return []
    return [process for process in found if process.pid != os.getpid()]


class Usage:
    """Samples of one tree; those that are made of differences need an earlier one."""

    def __init__(self) -> None:
        self._last: tuple[float, float] | None = None
        self._read = self._written = 0.0

    def sample(self, processes: Iterable[psutil.Process]) -> dict[str, float]:
        """Return what a tree uses now; nothing if none of it is left.

        `system/cpu_percent` is of one core, since the sample before. Memory is resident memory:
        pages that several processes share count in each. Disk is what was read from and written to
        disks since the processes began, as far as the system tells.
        """
        now = time.monotonic()
        seconds = resident = read = written = 0.0
        counted = threads = with_disk = 0
        for process in processes:
            with contextlib.suppress(psutil.Error, OSError), process.oneshot():
                times: Any = process.cpu_times()
                resident += process.memory_info().rss
                threads += process.num_threads()
                seconds += times.user + times.system
                seconds += getattr(times, "children_user", 0) + getattr(times, "children_system", 0)
                counted += 1
                io: Any = process.io_counters() if hasattr(process, "io_counters") else None
                if io is not None:
                    with_disk += 1
                    read += io.read_bytes
                    written += io.write_bytes
        if not counted:
            return {}
        values: dict[str, float] = {}
        if self._last is not None and now > self._last[0]:
            used = max(seconds - self._last[1], 0.0)
            values["system/cpu_percent"] = 100 * used / (now - self._last[0])
        self._last = (now, seconds)
        values["system/memory_mb"] = resident / _MB
        values["system/memory_percent"] = 100 * resident / _memory()
        if with_disk:
            # A child that nobody waited for takes its count along.
            self._read, self._written = max(self._read, read), max(self._written, written)
            values["system/disk_read_mb"] = self._read / _MB
            values["system/disk_write_mb"] = self._written / _MB
        values["system/processes"] = counted
        values["system/threads"] = threads
        return values


def _memory() -> int:
    """Return the bytes that the processes of this machine, or of this container, may take."""
    total = psutil.virtual_memory().total
    for path in _LIMITS:
        with contextlib.suppress(OSError, ValueError):
            return min(total, int(Path(path).read_text()))
    return total
