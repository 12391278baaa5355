"""Writes a damaged file anew with all of it that is whole, and keeps the original aside.

The new file has the name of the old one, because the order of a writer's files is the order of
its records. Readers see by its header that it is another, and read it from its start; what they
have taken before they do not take again.
"""

from __future__ import annotations

import contextlib
import os
import shutil
import time
from pathlib import Path
from typing import Final

import msgspec

from autolog.errors import JournalError
from autolog.journal.file import sync_folder
from autolog.journal.files import WriterFiles, stand_in
from autolog.journal.frame import encode
from autolog.journal.lease import locked
from autolog.journal.payload import encode_record
from autolog.journal.records import MAGIC, TYPES, Header, Record, RunNumber, Shape
from autolog.journal.verify import FileReport, verify_file

__all__ = ["DAMAGED", "Repaired", "repair"]

DAMAGED: Final = "damaged"
"""Folder for originals, in the journal's."""


class Repaired(msgspec.Struct, frozen=True):
    """What a repair did: `lost` bytes of the original are not in the new file."""

    path: Path
    original: Path
    records: int
    points: int
    lost: int
    report: FileReport


def repair(files: WriterFiles, number: int) -> Repaired | None:
    """Write file `number` of a writer anew if something is wrong with it; else return None.

    An unfinished record at the end of the newest file is wrong once the writer is dead.

    Raises:
        JournalError: its writer lives or may live, it is of a newer format, or it cannot be
            written.
    """
    path = files.segments[number]
    try:
        report = verify_file(files, number)
    except OSError as error:
        raise JournalError(f"{path} cannot be read: {error.strerror}") from error
    for problem in report.problems:
        if problem.sort == "newer":
            raise JournalError(f"{path} is left alone: {problem.why}")
    newest = number == max(files.segments)
    if not report.repairable or (newest and not report.damaged and files.state() != "dead"):
        return None  # an unfinished record may be under way
    _refuse(files, number, report)
    try:
        original = _replace(path, _anew(files, report))
    except OSError as error:
        raise JournalError(
            f"{path} cannot be repaired: {error.strerror}. It is as it was; free space in"
            f" {path.parent} and try again"
        ) from error
    kept = sum(piece.end - piece.start for piece in report.kept)
    head = report.kept[0].start if report.kept and report.header is not None else 0
    return Repaired(
        path=path,
        original=original,
        records=report.records,
        points=report.points,
        lost=report.bytes - kept - head,
        report=report,
    )


def _refuse(files: WriterFiles, number: int, report: FileReport) -> None:
    if number != max(files.segments):
        return
    state = files.state()
    if state == "alive" or locked(report.path):
        raise JournalError(f"{report.path} is being written: repair it when its process has ended")
    if state == "unknown" and report.header is not None:
        raise JournalError(
            f"{report.path} may still be written by process {report.header.process.pid} on"
            f" {report.header.host or 'another host'}: repair it there"
        )


def _anew(files: WriterFiles, report: FileReport) -> bytes:
    with open(report.path, "rb") as file:
        data = file.read()
    header = report.header or _header(files, report)
    repaired = msgspec.structs.replace(header, repaired_us=time.time_ns() // 1000)
    parts = [MAGIC, encode(0, 0, 0, encode_record(repaired))]
    borrowed: list[Record] = [
        *(RunNumber(run=run, uid=uid) for run, uid in report.borrowed.runs.items()),
        *(Shape(id=shape, keys=keys) for shape, keys in report.borrowed.shapes.items()),
        *report.borrowed.contexts.values(),
    ]
    parts += [encode(TYPES[type(record)], 0, 0, encode_record(record)) for record in borrowed]
    parts += [data[piece.start : piece.end] for piece in report.kept]
    return b"".join(parts)


def _header(files: WriterFiles, report: FileReport) -> Header:
    """Make a header in place of one that was lost."""
    header = files.header() or stand_in(files)
    return msgspec.structs.replace(header, segment=report.segment, first_seq=report.first_seq or 1)


def _replace(path: Path, content: bytes) -> Path:
    """Put a new file in the place of one that goes to the folder of damaged ones."""
    fresh = path.with_name(f".{path.name}.repair")
    try:
        with open(os.open(fresh, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600), "wb") as file:
            file.write(content)
            file.flush()
            os.fsync(file.fileno())
        aside = path.parent / DAMAGED
        aside.mkdir(exist_ok=True)
        original = _free_name(aside / path.name)
        try:
            os.link(path, original)
        except OSError:  # a file system without links
            shutil.copy2(path, original)
            with open(original, "rb+") as file:
                os.fsync(file.fileno())
        sync_folder(aside)
        fresh.replace(path)
        sync_folder(path.parent)
    except BaseException:
        with contextlib.suppress(OSError):
            fresh.unlink()
        raise
    return original


def _free_name(path: Path) -> Path:
    number = 0
    name = path
    while name.exists():
        number += 1
        name = path.with_name(f"{path.name}.{number}")
    return name
