"""Beats: signs of life of writers of embedded stores, for readers on other hosts.

A file beside a writer's journal, touched regularly by the helper process of the writer's host;
its text is the promise, in seconds. How long ago that was is asked of the file system's own
clock, with a file that is touched now: the clocks of two hosts may differ by more than a beat.
"""

from __future__ import annotations

import contextlib
import os
import secrets
from pathlib import Path
from typing import NamedTuple

from autolog.journal.files import WriterFiles

__all__ = ["Beat", "forget", "give", "last"]


class Beat(NamedTuple):
    """The last sign of life: seconds ago, and the promised seconds between two."""

    ago: float
    every: float


def give(directory: Path, uid: str, every: float) -> None:
    """Say that a writer lives, and promise to say so again within `every` seconds."""
    path = directory / f"{uid}.beat"
    said = f"{every:g}\n"
    try:
        if path.read_text() == said:
            os.utime(path)
            return
    except OSError:
        pass
    path.write_text(said)


def last(files: WriterFiles) -> Beat | None:
    """Return the last beat of a writer; None if nobody has promised any, or none can tell."""
    path = _path(files)
    try:
        every = float(path.read_text())
        then = path.stat().st_mtime
        now = path.with_suffix(f".{secrets.token_hex(4)}")
        try:
            now.touch()
            ago = now.stat().st_mtime - then
        finally:
            now.unlink(missing_ok=True)
    except (OSError, ValueError):
        return None
    return Beat(max(ago, 0.0), every)


def forget(files: WriterFiles) -> None:
    """Remove the beat of a writer whose journal is gone."""
    with contextlib.suppress(OSError):
        _path(files).unlink()


def _path(files: WriterFiles) -> Path:
    return files.segments[max(files.segments)].with_name(f"{files.uid}.beat")
