"""The files of each writer in a journal's directory, and what their headers say."""

from __future__ import annotations

import os
import re
from io import FileIO
from pathlib import Path
from typing import Final, cast

import msgspec

from autolog.journal.filesystem import is_network
from autolog.journal.frame import decode
from autolog.journal.lease import Lease, lease_state, locked, this_process
from autolog.journal.payload import decoder_of
from autolog.journal.records import FORMAT_VERSION, MAGIC, Header, ProcessId

__all__ = ["HEADER_BYTES", "WriterFiles", "list_writers", "read_header", "stand_in"]

HEADER_BYTES: Final = 1 << 16
"""More than any header has."""

_NAME: Final = re.compile(r"([0-9a-f]{32})\.(\d{6,})\.alj")


class WriterFiles(msgspec.Struct, frozen=True):
    """The files of one writer in a directory, by segment number."""

    uid: str
    segments: dict[int, Path]

    def header(self) -> Header | None:
        """Return the newest header that can be read, or None."""
        for number in sorted(self.segments, reverse=True):
            try:
                with FileIO(self.segments[number]) as file:
                    header = read_header(file.read(HEADER_BYTES))
            except OSError:
                continue
            if isinstance(header, tuple):
                return header[0]
        return None

    def state(self) -> Lease:
        """Whether the writer lives."""
        newest = self.segments[max(self.segments)]
        header = self.header()
        if header is not None:
            return lease_state(header, newest)
        # No header can be read. A writer locks its file before it writes a first byte, and on a
        # disk of this host nobody else's lock is out of sight.
        try:
            decidable = newest.stat().st_size > 0 and not is_network(newest)
        except OSError:
            decidable = False
        held = locked(newest) if decidable else None
        return "unknown" if held is None else "alive" if held else "dead"


def list_writers(directory: str | os.PathLike[str]) -> list[WriterFiles]:
    """Return the writers that have files in `directory`, oldest first; none if it is missing."""
    found: dict[str, dict[int, Path]] = {}
    try:
        names = sorted(os.listdir(directory))  # noqa: PTH208
    except FileNotFoundError:
        return []
    for name in names:
        match = _NAME.fullmatch(name)
        if match:
            found.setdefault(match[1], {})[int(match[2])] = Path(directory, name)
    return [WriterFiles(uid, segments) for uid, segments in found.items()]


def stand_in(files: WriterFiles) -> Header:
    """Return a header for a writer whose own headers cannot be read or are another's.

    On a disk of this host the writer was a process of this host, though none knows which.
    """
    path = files.segments[min(files.segments)]
    me = this_process()
    local = not is_network(path)
    return Header(
        version=FORMAT_VERSION,
        writer=files.uid,
        segment=min(files.segments),
        first_seq=1,
        store="",
        host=me.host if local else "",
        machine=me.machine if local else "",
        boot=me.boot if local else "",
        pid_namespace="",
        process=ProcessId(0, 0),
        wall_us=path.stat().st_mtime_ns // 1000,
    )


def read_header(data: bytes) -> tuple[Header, int] | str | None:
    """Return a file's header and where it ends, why a newer file is not read, or None."""
    frame = decode(data, len(MAGIC))
    if not data.startswith(MAGIC) or frame is None or frame.kind != 0:
        return None
    try:
        version = int(msgspec.msgpack.decode(frame.payload)["version"])
        if version > FORMAT_VERSION:
            return (
                f"written in journal format {version}, this autolog reads up to {FORMAT_VERSION}: "
                "upgrade autolog-ml to read it"
            )
        return cast("Header", decoder_of(Header).decode(frame.payload)), frame.end
    except (msgspec.MsgspecError, ValueError, TypeError, KeyError):
        return None
