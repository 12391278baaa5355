"""Links to files that were too large to be copied: where they lie, and what they were then.

The URI of such an artifact is that of the file, and its fragment says which file it was. That is
enough to see, without reading it, whether somebody has changed it since.
"""

from __future__ import annotations

import contextlib
from pathlib import Path
from typing import Literal
from urllib.parse import parse_qs, unquote, urlsplit

from autolog.artifacts.copying import Identity, identify

__all__ = ["State", "link", "place", "state", "where_now"]

State = Literal["linked", "replaced", "gone"]
"""Whether a file is as it was when it was linked, another one, or not there."""


def link(path: Path, identity: Identity) -> str:
    """Return the URI of a file in this state."""
    told = f"inode={identity.inode}&size={identity.size}&mtime_ns={identity.mtime_ns}"
    return f"{path.absolute().as_uri()}#{told}"


def state(uri: str) -> State | None:
    """Return what has become of a linked file; None if the URI is no link."""
    parts = urlsplit(uri)
    if parts.scheme != "file" or not parts.fragment:
        return None
    told = {key: values[0] for key, values in parse_qs(parts.fragment).items()}
    try:
        now = identify(place(uri))
    except OSError:
        return "gone"
    same = (str(now.inode), str(now.size), str(now.mtime_ns))
    return "linked" if same == tuple(map(told.get, ("inode", "size", "mtime_ns"))) else "replaced"


def place(uri: str) -> str:
    """Return the path of a linked file."""
    path = unquote(urlsplit(uri).path)
    return path[1:] if path[2:3] == ":" else path  # a drive of Windows


def where_now(path: Path, identity: Identity) -> Path | None:
    """Find a file that was written under another name and then moved within its folder."""
    with contextlib.suppress(OSError):
        if identify(path) == identity:
            return path
    with contextlib.suppress(OSError):
        for other in path.parent.iterdir():
            with contextlib.suppress(OSError):
                if identify(other) == identity:
                    return other
    return None
