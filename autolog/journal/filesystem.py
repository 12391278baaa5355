"""Tells whether a path lies on a network file system, where SQLite's WAL does not work.

WAL needs memory that all connections share: two hosts would corrupt the database.
"""

from __future__ import annotations

import os
from pathlib import Path
from typing import Final

__all__ = ["is_network", "mount_type"]

_NETWORK: Final = frozenset(
    {
        "9p",
        "afs",
        "beegfs",
        "ceph",
        "cifs",
        "davfs",
        "fuse.glusterfs",
        "fuse.juicefs",
        "fuse.s3fs",
        "fuse.sshfs",
        "glusterfs",
        "gpfs",
        "lustre",
        "ncpfs",
        "nfs",
        "nfs4",
        "orangefs",
        "smb3",
        "smbfs",
    }
)


def is_network(path: Path) -> bool:
    """Whether `path` lies on a file system that hosts share; False where that is unknown."""
    return mount_type(path) in _NETWORK


def mount_type(path: Path, table: str = "/proc/self/mountinfo") -> str | None:
    """Return the type of the file system that holds `path`, by the longest mount point above it."""
    try:
        lines = Path(table).read_text("utf-8", "surrogateescape").splitlines()
    except OSError:
        return None
    target = os.path.realpath(path)
    best, kind = "", None
    for line in lines:
        fields, _, rest = line.partition(" - ")
        point = fields.split(" ")[4].replace("\\040", " ").rstrip("/")
        # Of equal mount points the later line lies on top.
        if (target == point or target.startswith(point + "/")) and len(point) >= len(best):
            best, kind = point, rest.split(" ")[0]
    return kind
