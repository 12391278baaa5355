"""The records of one file, whole and broken ones alike, as `verify` and `repair` see them."""

from __future__ import annotations

from collections.abc import Iterator
from io import FileIO
from typing import Any, Final, NamedTuple

import msgspec

from autolog.journal.columns import Definitions
from autolog.journal.files import WriterFiles, read_header
from autolog.journal.frame import FRAME, MAX_BODY, PREFIX, decode
from autolog.journal.payload import decoder_of
from autolog.journal.records import MAGIC, TYPES, Context, RunNumber, Shape
from autolog.journal.resync import find_frame

__all__ = ["Piece", "define", "defined_elsewhere", "start_of_records", "walk"]

_DEFINING: Final[dict[int, type[Any]]] = {TYPES[cls]: cls for cls in (Shape, Context, RunNumber)}


class Piece(NamedTuple):
    """Bytes of a file from `start` to `end`: a whole record, or what is none.

    `kind` is the record's type; None for bytes that are no record, and then `torn` tells whether
    they may be the beginning of one that was never finished.
    """

    start: int
    end: int
    kind: int | None
    seq: int
    torn: bool = False


def start_of_records(data: bytes) -> tuple[int, str | None]:
    """Return where the records of a file begin, and what is wrong with its header.

    With -1 nothing behind the header may be read: a newer autolog wrote it.
    """
    header = read_header(data)
    if isinstance(header, str):
        return -1, header
    if header is not None:
        return header[1], None
    # A broken header that is otherwise in place ends where it says.
    frame = FRAME.unpack_from(data, len(MAGIC)) if len(data) >= len(MAGIC) + FRAME.size else None
    if frame is not None and frame[2] == 0:
        end = len(MAGIC) + PREFIX.size + frame[0]
        if end < len(data) and decode(data, end) is not None:
            return end, "the header is damaged"
    found = find_frame(data, 0, 0)
    return len(data) if found is None else found, "the header is damaged"


def walk(data: bytes, start: int) -> Iterator[Piece]:
    """Yield what a file holds from `start` on, in order and without a gap."""
    position, previous = start, 0
    while position < len(data):
        frame = decode(data, position)
        if frame is not None:
            previous = frame.seq or previous
            yield Piece(position, frame.end, frame.kind, frame.seq)
            position = frame.end
            continue
        found = find_frame(data, position + 1, previous)
        end = len(data) if found is None else found
        yield Piece(position, end, None, 0, torn=found is None and _unfinished(data, position))
        position = end


def _unfinished(data: bytes, position: int) -> bool:
    """Whether the end of a file looks like a record of which the rest is missing."""
    rest = len(data) - position
    if rest < FRAME.size or not any(data[position:]):
        return True
    length = FRAME.unpack_from(data, position)[0]
    return rest < PREFIX.size + length <= PREFIX.size + MAX_BODY


def define(known: Definitions, kind: int, payload: bytes) -> None:
    """Note what a record defines, if it does."""
    cls = _DEFINING.get(kind)
    if cls is None:
        return
    record = decoder_of(cls).decode(payload)
    if isinstance(record, RunNumber):
        known.runs[record.run] = record.uid
    elif isinstance(record, Shape):
        known.shapes[record.id] = record.keys
    elif isinstance(record, Context):
        known.contexts[record.id] = record


def defined_elsewhere(files: WriterFiles, number: int) -> Definitions:
    """Gather what the other files of a writer define.

    A writer never gives a number a second meaning, so they also tell what the definitions that
    were damaged in file `number` said.
    """
    known = Definitions()
    for other in sorted(set(files.segments) - {number}):
        try:
            with FileIO(files.segments[other]) as file:
                data = file.readall()
        except OSError:
            continue
        start, _ = start_of_records(data)
        for piece in walk(data, start) if start >= 0 else ():
            if piece.kind in _DEFINING:
                payload = data[piece.start + FRAME.size : piece.end]
                try:
                    define(known, piece.kind, payload)
                except (msgspec.MsgspecError, ValueError):
                    continue
    return known
