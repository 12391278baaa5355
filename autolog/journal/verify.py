"""What one journal file holds and what is wrong with it; nothing is changed."""

from __future__ import annotations

import itertools
from collections import Counter
from io import FileIO
from pathlib import Path
from typing import Any, Final, Literal

import msgspec

from autolog.journal.columns import Definitions
from autolog.journal.files import WriterFiles, read_header
from autolog.journal.frame import FRAME
from autolog.journal.payload import decoder_of
from autolog.journal.records import METRICS, METRICS_HEAD, TYPES, Close, Header, RunNumber
from autolog.journal.walk import Piece, define, defined_elsewhere, start_of_records, walk

__all__ = ["FileReport", "Problem", "Sort", "verify", "verify_file"]

Sort = Literal["damage", "missing", "torn", "newer"]
"""missing: numbers of records are skipped, and no repair said so; torn: the end of a write that
was cut short, which is no damage; newer: the file is of a later format and was not read."""

_CLASSES: Final[dict[int, type[Any]]] = {number: cls for cls, number in TYPES.items()}


class Problem(msgspec.Struct, frozen=True):
    """Bytes of a file that are not as they should be, and why."""

    sort: Sort
    offset: int
    length: int
    why: str

    def goes_on(self, sort: Sort, why: str, offset: int) -> bool:
        """Whether the same at `offset` continues this one."""
        return (self.sort, self.why, self.offset + self.length) == (sort, why, offset)


class FileReport(msgspec.Struct, kw_only=True):
    """One file, read wholly. `kept` are the pieces that a repair keeps."""

    writer: str
    segment: int
    path: Path
    bytes: int
    header: Header | None
    records: int = 0
    points: int = 0
    first_seq: int = 0
    last_seq: int = 0
    closed: bool = False
    runs: list[str] = []
    unknown_types: dict[int, int] = {}
    problems: list[Problem] = []
    kept: list[Piece] = []
    borrowed: Definitions = msgspec.field(default_factory=Definitions)
    """Definitions that the file needs and that other files of the writer hold."""

    @property
    def damaged(self) -> bool:
        """Whether something is wrong that no crash explains."""
        return any(problem.sort in ("damage", "missing") for problem in self.problems)

    @property
    def repairable(self) -> bool:
        """Whether a repair would leave something out."""
        return any(problem.sort in ("damage", "torn") for problem in self.problems)


def verify(files: WriterFiles) -> list[FileReport]:
    """Read every file of a writer wholly."""
    reports = [verify_file(files, number) for number in sorted(files.segments)]
    for before, after in itertools.pairwise(reports):
        first = after.header.first_seq if after.header is not None else 0
        # Readers delete files, so only neighbours tell of records that nobody has.
        if after.segment == before.segment + 1 and 0 < before.last_seq < first - 1:
            why = f"records {before.last_seq + 1} to {first - 1} are in no file"
            after.problems.insert(0, Problem("missing", 0, 0, why))
    return reports


def verify_file(files: WriterFiles, number: int) -> FileReport:
    """Read one file of a writer wholly: checksums, numbers, definitions, types.

    Raises:
        OSError: it cannot be read.
    """
    path = files.segments[number]
    with FileIO(path) as file:
        data = file.readall()
    found = read_header(data)
    header = found[0] if isinstance(found, tuple) else None
    report = FileReport(writer=files.uid, segment=number, path=path, bytes=len(data), header=header)
    start, wrong = start_of_records(data)
    if start < 0:
        report.problems.append(Problem("newer", 0, len(data), wrong or ""))
    elif wrong is not None and (start < len(data) or any(data)):
        report.problems.append(Problem("damage", 0, start, wrong))
    elif wrong is not None:
        why = "nothing but zeros" if data else "no header was written"
        report.problems.append(Problem("torn", 0, len(data), why))
    if start >= 0:
        _Check(report, data, files).run(start)
    return report


class _Check:
    """One reading of a file."""

    def __init__(self, report: FileReport, data: bytes, files: WriterFiles) -> None:
        self.report = report
        self.data = data
        self.files = files
        self.known = Definitions()
        self.elsewhere: Definitions | None = None
        self.unknown: Counter[int] = Counter()

    def run(self, start: int) -> None:
        report = self.report
        header = report.header
        previous = header.first_seq - 1 if header is not None else None
        # A repair has said what is missing behind it.
        told = header is not None and header.repaired_us > 0
        newest = report.segment == max(self.files.segments)
        damaged = bool(report.problems)
        for piece in walk(self.data, start):
            if piece.kind is None:
                torn = piece.torn and newest
                why = "an unfinished record" if torn else "a damaged record"
                self.problem("torn" if torn else "damage", piece, why)
                damaged = True
                continue
            if piece.seq:  # a definition that a repair has added has none
                if previous is not None and piece.seq <= previous:
                    why = f"record {piece.seq} comes after record {previous}"
                    self.problem("damage", piece, why)
                elif previous is not None and piece.seq > previous + 1 and not (damaged or told):
                    why = f"records {previous + 1} to {piece.seq - 1} are missing before it"
                    self.problem("missing", Piece(piece.start, piece.start, None, 0), why)
                previous, damaged = piece.seq, False
                report.first_seq = report.first_seq or piece.seq
                report.last_seq = piece.seq
            why = self.record(piece)
            if why is None:
                report.records += 1
                report.kept.append(piece)
            else:
                self.problem("damage", piece, why)
        report.runs = sorted(set(self.known.runs.values()))
        report.unknown_types = dict(self.unknown)

    def problem(self, sort: Sort, piece: Piece, why: str) -> None:
        problems = self.report.problems
        start = piece.start
        if problems and problems[-1].goes_on(sort, why, start):
            start = problems.pop().offset  # one report for a stretch of records
        problems.append(Problem(sort, start, piece.end - start, why))

    def record(self, piece: Piece) -> str | None:
        """Take a whole record; return why it says nothing, if so."""
        kind = piece.kind or 0
        payload = self.data[piece.start + FRAME.size : piece.end]
        if kind == METRICS:
            return self.metrics(payload)
        cls = _CLASSES.get(kind)
        if cls is None:
            self.unknown[kind] += 1
            return None
        try:
            record = decoder_of(cls).decode(payload)
            define(self.known, kind, payload)
        except (msgspec.MsgspecError, ValueError) as error:
            return f"a {cls.__name__} record: {error}"
        self.report.closed = isinstance(record, Close)
        run: int | None = getattr(record, "run", None)
        if run is None or isinstance(record, RunNumber) or self.has("runs", run):
            return None
        return f"a {cls.__name__} record whose run was defined in a damaged part"

    def metrics(self, payload: bytes) -> str | None:
        self.report.closed = False
        if len(payload) < METRICS_HEAD.size:
            return "points that do not fit their keys"
        run, shape, context = METRICS_HEAD.unpack_from(payload)[:3]
        if not self.has("runs", run) or not self.has("shapes", shape):
            return "points whose run or keys were defined in a damaged part"
        if context and not self.has("contexts", context):
            return "points whose context was defined in a damaged part"
        keys = self.known.shapes[shape]
        if len(payload) != METRICS_HEAD.size + 8 * len(keys):
            return "points that do not fit their keys"
        self.report.points += len(keys)
        return None

    def has(self, table: str, number: int) -> bool:
        """Whether a number is defined, here or in another file of the writer."""
        here: dict[int, Any] = getattr(self.known, table)
        if number in here:
            return True
        if self.elsewhere is None:
            self.elsewhere = defined_elsewhere(self.files, self.report.segment)
        there: dict[int, Any] = getattr(self.elsewhere, table)
        if number not in there:
            return False
        here[number] = getattr(self.report.borrowed, table)[number] = there[number]
        return True
