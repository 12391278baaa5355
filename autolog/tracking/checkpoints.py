"""Which run wrote a checkpoint: so that whoever loads the file can be linked to it.

The file itself is not touched. Its path, size and time stand in a list beside the store, one line
for each checkpoint, which later programs of this host read: a training that was resumed from a file
knows its run without a look into the database. A file that has changed since is nobody's.
"""

from __future__ import annotations

import contextlib
import json
import os
from pathlib import Path
from typing import Any, Final, cast

from autolog.store.location import prepare
from autolog.tracking.recorder import current_recorder

__all__ = ["wrote", "written_by"]

_FILE: Final = "checkpoints.jsonl"
_LONGEST: Final = 1 << 22
"""Only the end of a longer list is read: some 20,000 checkpoints."""


def wrote(path: str, run_id: str) -> None:
    """Note that the training of a run wrote this file; one that is not there is passed over."""
    found = _identity(path)
    if found is None:
        return
    location = current_recorder().location
    line = json.dumps({"run": run_id, **found}, separators=(",", ":")) + "\n"
    with contextlib.suppress(OSError):
        prepare(location)
        # One write of less than a page: lines of several processes do not mix.
        with open(location.root / _FILE, "ab", buffering=0) as target:
            target.write(line.encode())


def written_by(path: str) -> str | None:
    """Return the run that wrote the file as it is now; None if nobody knows."""
    found = _identity(path)
    if found is None:
        return None
    try:
        text = _end_of(current_recorder().location.root / _FILE)
    except OSError:
        return None
    wanted = json.dumps(found["path"]).encode()
    for line in reversed(text.splitlines()):
        if wanted not in line:
            continue
        try:
            entry: Any = json.loads(line)
        except ValueError:
            continue
        if isinstance(entry, dict):
            known = cast("dict[str, Any]", entry)
            run = known.pop("run", None)
            if known == found and isinstance(run, str):
                return run
    return None


def _identity(path: str) -> dict[str, Any] | None:
    """Describe a file, or a folder that a sharded checkpoint is."""
    try:
        whole = os.path.realpath(path)
        stat = os.stat(whole)  # noqa: PTH116
    except (OSError, ValueError):
        return None
    return {"path": whole, "size": stat.st_size, "mtime_ns": stat.st_mtime_ns}


def _end_of(path: Path) -> bytes:
    with open(path, "rb") as source:
        source.seek(0, os.SEEK_END)
        source.seek(max(0, source.tell() - _LONGEST))
        return source.read()
