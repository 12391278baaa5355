"""The files of each writer in a journal's directory, and what their headers say."""

from __future__ import annotations

import os
import re
from io import FileIO
from pathlib import Path
from typing import Final, cast

import msgspec

from autolog.journal.frame import decode
from autolog.journal.lease import Lease, lease_state
from autolog.journal.payload import decoder_of
from autolog.journal.records import FORMAT_VERSION, MAGIC, Header

__all__ = ["HEADER_BYTES", "WriterFiles", "list_writers", "read_header"]

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
        header = self.header()
        if header is None:
            return "unknown"
        return lease_state(header, self.segments[max(self.segments)])


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
