"""The reader: what writers have journalled since a cursor, of living and dead processes alike.

It never changes a file. What is not yet whole at the end of a writer's last file is left for the
next time; what is damaged before that is skipped and reported, and the rest is read.
"""

from __future__ import annotations

import os
from io import FileIO
from pathlib import Path
from typing import Any, Final
from zlib import crc32

import msgspec

from autolog.journal.alike import FEW, records_alike
from autolog.journal.columns import ID, Columns, Definitions, Points
from autolog.journal.files import HEADER_BYTES, WriterFiles, read_header
from autolog.journal.frame import FRAME, MAX_BODY, MIN_BODY, PREFIX
from autolog.journal.payload import decoder_of
from autolog.journal.records import (
    MAGIC,
    METRICS,
    TYPES,
    Close,
    Context,
    Header,
    Record,
    RunNumber,
    Shape,
)
from autolog.journal.resync import find_frame
from autolog.journal.walk import defined_elsewhere

__all__ = ["Chunk", "Cursor", "Damage", "Entry", "read"]

_CLASSES: Final[dict[int, type[Any]]] = {number: cls for cls, number in TYPES.items()}
_STATE: Final = frozenset({TYPES[Shape], TYPES[Context], TYPES[RunNumber], TYPES[Close]})
"""Types that say how to read on: they count even when they were delivered before."""

_PAUSE: Final = 1 << 11
"""After how many bytes records alike are looked for again."""

_MISFIT: Final = "points that do not fit their keys"


class Cursor(msgspec.Struct, frozen=True):
    """Where a reader of one writer stands. The default is the beginning.

    `seq` is the last record taken; `dictionary` (opaque) the definitions that hold at `offset`,
    so that a file need not be read again from its start.
    """

    segment: int = 0
    offset: int = 0
    seq: int = 0
    dictionary: bytes = b""

    def definitions(self) -> Definitions:
        """Return the definitions, as a copy to be changed."""
        if not self.dictionary:
            return Definitions()
        return msgspec.msgpack.decode(self.dictionary, type=Definitions)


class Damage(msgspec.Struct, frozen=True):
    """Bytes that could not be read, and why."""

    path: Path
    offset: int
    length: int
    why: str


class Entry(msgspec.Struct, frozen=True):
    """A record that is neither points nor a definition, with the run it speaks of."""

    seq: int
    record: Record
    run_uid: str | None


class Chunk(msgspec.Struct, frozen=True, kw_only=True):
    """What one `read` found; `cursor` is where the next one goes on.

    `first_seq` and `last_seq` span the records taken, definitions included (0 and the old cursor's
    seq if none). `ended`: the writer closed its last file and all of it has been read. `more`:
    `max_bytes` stopped the read.
    """

    entries: list[Entry]
    points: list[Points]
    first_seq: int
    last_seq: int
    cursor: Cursor
    damage: list[Damage]
    ended: bool
    more: bool


def read(files: WriterFiles, cursor: Cursor, *, max_bytes: int = 8 << 20) -> Chunk:
    """Read from `cursor` to the last whole record of the writer.

    About `max_bytes` at most are read at once (a single longer record is read whole). `files`
    has to be listed before the read, not kept from an earlier one: a file counts as finished
    once a later one is listed.
    """
    work = _Reading(files, cursor, max_bytes)
    numbers = [number for number in sorted(files.segments) if number >= cursor.segment]
    for number in numbers:
        if not work.segment(number, last=number == numbers[-1]):
            break
    return work.chunk(cursor)


class _Reading:
    """One call of `read`."""

    def __init__(self, files: WriterFiles, cursor: Cursor, max_bytes: int) -> None:
        self.files = files
        self.number = cursor.segment
        self.offset = cursor.offset
        self.known = cursor.definitions()
        self.done = cursor.seq
        """Last record taken: what is not above it has been delivered before."""
        self.previous = cursor.seq if cursor.offset else 0
        """Last record passed in this file, taken or not."""
        self.first = 0
        self.budget = max_bytes
        self.more = False
        self.recalled = 0
        """The file for which definitions were looked up in the others."""
        self.entries: list[Entry] = []
        self.damage: list[Damage] = []
        self.columns = Columns(self.known)

    def chunk(self, cursor: Cursor) -> Chunk:
        points = list(self.columns.points())
        dictionary = msgspec.msgpack.encode(self.known)
        return Chunk(
            entries=self.entries,
            points=points,
            first_seq=self.first,
            last_seq=self.done,
            cursor=Cursor(self.number, self.offset, self.done, dictionary)
            if self.number
            else cursor,
            damage=self.damage,
            ended=self.known.ended and self.number == max(self.files.segments, default=0),
            more=self.more,
        )

    def segment(self, number: int, last: bool) -> bool:
        """Read one file from the offset on; False if the read ends here."""
        path = self.files.segments[number]
        try:
            file = FileIO(path)
        except FileNotFoundError:
            return True  # removed since it was listed: the numbers will tell if too early
        except OSError as error:
            self.damage.append(Damage(path, 0, 0, f"cannot be opened: {error.strerror}"))
            return False
        with file:
            try:
                print_of_header = _print_of_header(file)
                if number != self.number or (self.offset and print_of_header != self.known.header):
                    self._enter(number)
                self.known.header = print_of_header
                size = os.fstat(file.fileno()).st_size
                if not self._records(file, path, size, last):
                    return False
            except OSError as error:
                self._damaged(path, self.offset, 0, f"cannot be read: {error.strerror}")
                return False
        if not last and size and not self.known.closed:
            self._keep(number)
        return True

    def _enter(self, number: int) -> None:
        self.columns.settle()
        self.number, self.offset, self.previous = number, 0, 0
        known = self.known
        known.closed = known.ended = False
        known.runs.clear()
        known.shapes.clear()
        known.contexts.clear()
        known.kept = [kept for kept in known.kept if kept in self.files.segments]

    def _keep(self, number: int) -> None:
        if number not in self.known.kept:
            self.known.kept.append(number)

    def _damaged(self, path: Path, offset: int, length: int, why: str) -> None:
        self._keep(self.number)
        if self.damage and self.damage[-1].path == path and self.damage[-1].why == why:
            # One report for a stretch, not one for each of a million records.
            start = self.damage.pop().offset
            offset, length = start, offset + length - start
        self.damage.append(Damage(path, offset, length, why))

    def _records(self, file: FileIO, path: Path, size: int, last: bool) -> bool:
        if self.offset == 0 and size:
            header = read_header(_pread(file, 0, min(size, HEADER_BYTES)))
            if isinstance(header, str):
                self.damage.append(Damage(path, 0, size, header))
                return False
            if header is None:
                if not self._skip(file, path, size, last, b"", "the header is damaged"):
                    return False
            else:
                self._started(path, *header)
        while self.offset < size:
            want = min(self.budget, size - self.offset)
            if want <= 0:
                self.more = True
                return False
            data = _pread(file, self.offset, want)
            used = self._frames(data, path)
            self.offset += used
            self.budget -= used
            if used == len(data):
                if not data:
                    return not last  # cut since it was measured
                continue
            rest = data[used:]
            need = FRAME.size if len(rest) < FRAME.size else 8 + FRAME.unpack_from(rest)[0]
            if len(rest) < need <= MAX_BODY + 8 and self.offset + need <= size:
                # Whole in the file, cut by the budget.
                if used:
                    self.more = True
                    return False
                self.budget = need
            elif not self._skip(file, path, size, last, rest, "a damaged record"):
                return False
        return True

    def _started(self, path: Path, header: Header, end: int) -> None:
        if header.first_seq > self.done + 1:
            missing = f"records {self.done + 1} to {header.first_seq - 1} are missing before it"
            self.damage.append(Damage(path, 0, 0, missing))
        if header.repaired_us and self.number in self.known.kept:
            self.known.kept.remove(self.number)
        self.previous = header.first_seq - 1
        self.offset = end

    def _skip(self, file: FileIO, path: Path, size: int, last: bool, seen: bytes, why: str) -> bool:
        """Pass over damage at the offset; False if it is no more than an unfinished end."""
        data = _pread(file, self.offset, size - self.offset)
        if last and data[: len(seen)] != seen:
            return False  # the writer took a failed record back while we read
        found = find_frame(data, 1, self.previous)
        if last and found is None:
            return False
        if last and not any(data[: FRAME.size]) and self.files.state() == "unknown":
            # From another host a network file system may show later bytes before earlier ones.
            return False
        length = len(data) if found is None else found
        self._damaged(path, self.offset, length, why)
        self.offset += length
        return True

    def _frames(self, data: bytes, path: Path) -> int:
        """Take the whole records at the start of `data`; return how many bytes they are."""
        unpack, checksum, identity = FRAME.unpack_from, crc32, ID
        groups = self.columns.open_groups
        position, first, done, previous = 0, self.first, self.done, self.previous
        limit, full = len(data) - FRAME.size, len(data)
        # Looking for records alike costs as much as some records: where there were few, the next
        # look is the further away.
        look, pause = 0, _PAUSE
        while position <= limit:
            length, crc, kind, _, seq = unpack(data, position)
            end = position + 8 + length
            if end > full or length < MIN_BODY:
                break
            body = data[position + 8 : end]
            if checksum(body) != crc:
                break
            previous = seq
            new = seq > done
            if new:
                first = first or seq
                done = seq
            if new or kind in _STATE:
                if kind == METRICS:
                    key = body[identity]
                    group = groups.get(key)
                    if group is not None and group[0] == length:
                        if new and position >= look:
                            rows = records_alike(data, position)
                            if len(rows) >= FEW:
                                self.columns.extend(key, rows)
                                done = previous = int(rows["seq"][-1])
                                position += len(rows) * (8 + length)
                                pause = _PAUSE
                                continue
                            look, pause = position + pause, 2 * pause
                        group[1](body)
                    else:
                        self.known.closed = self.known.ended = False
                        why = self._open(key, length) if group is None else _MISFIT
                        if why is None:
                            groups[key][1](body)
                        else:
                            self._damaged(path, self.offset + position, 8 + length, why)
                else:
                    self._other(kind, seq if new else 0, body, path, self.offset + position)
            position = end
        self.first, self.done, self.previous = first, done, previous
        return position

    def _open(self, key: bytes, length: int) -> str | None:
        """Start a group of points; return why not."""
        why = self.columns.open(key, length)
        return why and (self.columns.open(key, length) if self._recall() else why)

    def _recall(self) -> bool:
        """Look once in the writer's other files for what a damaged part of this one defined."""
        if self.recalled == self.number:
            return False
        self.recalled = self.number
        known, there = self.known, defined_elsewhere(self.files, self.number)
        known.runs = {**there.runs, **known.runs}
        known.shapes = {**there.shapes, **known.shapes}
        known.contexts = {**there.contexts, **known.contexts}
        return True

    def _other(self, kind: int, seq: int, body: bytes, path: Path, at: int) -> None:
        """Take a msgpack record; `seq` is 0 if it was delivered before."""
        cls = _CLASSES.get(kind)
        if cls is None:
            return  # of a later autolog
        try:
            record = decoder_of(cls).decode(memoryview(body)[MIN_BODY:])
        except (msgspec.MsgspecError, ValueError) as error:
            self._damaged(path, at, 8 + len(body), f"a {cls.__name__} record: {error}")
            return
        known = self.known
        known.closed = isinstance(record, Close)
        known.ended = isinstance(record, Close) and record.next is None
        if known.closed:
            self.columns.settle()  # so that points behind it, against the rule, open it again
        if isinstance(record, RunNumber):
            self._define(known.runs, record.run, record.uid)
        elif isinstance(record, Shape):
            self._define(known.shapes, record.id, record.keys)
        elif isinstance(record, Context):
            self._define(known.contexts, record.id, record)
        elif seq:
            run: int | None = getattr(record, "run", None)
            uid = None if run is None else known.runs.get(run)
            if run is not None and uid is None and self._recall():
                uid = known.runs.get(run)
            if run is not None and uid is None:
                why = f"a {cls.__name__} record whose run was defined in a damaged part"
                self._damaged(path, at, 8 + len(body), why)
            else:
                self.entries.append(Entry(seq, record, uid))

    def _define(self, table: dict[int, Any], number: int, meaning: Any) -> None:
        if table.get(number, meaning) != meaning:
            self.columns.settle()
        table[number] = meaning


def _print_of_header(file: FileIO) -> int:
    """Return the checksum that the header frame claims; 0 for a file that has none yet."""
    start = _pread(file, len(MAGIC), PREFIX.size)
    return PREFIX.unpack(start)[1] if len(start) == PREFIX.size else 0


def _pread(file: FileIO, offset: int, size: int) -> bytes:
    file.seek(offset)
    return file.read(size)
