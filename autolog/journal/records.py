"""The records of a journal, format version 1. Documented in docs/journal.md; final.

A journal file is a header frame followed by record frames:

    file    = MAGIC (8 bytes), frame(Header), frame*
    frame   = length u32, crc32 u32, body         little endian; crc32 of the body
    body    = type u8, flags u8, seq u64, payload  length counts the body

The payload of METRICS is a fixed struct (`METRICS_HEAD`, then one float64 per key of its shape);
every other payload is one of the structs below as a msgpack map. Readers ignore fields and types
that they do not know, so fields may be added; none changes its meaning.

Numbers (run, shape, context) are the writer's own and are defined in each file before use, so a
file can be read alone. `seq` counts the records of a writer from 1, over all its files.
"""

from __future__ import annotations

import struct
from typing import Any, Final

import msgspec

__all__ = [
    "FLAG_EPOCH",
    "FORMAT_VERSION",
    "MAGIC",
    "METRICS",
    "METRICS_HEAD",
    "TYPES",
    "ArtifactFile",
    "Close",
    "Context",
    "Event",
    "Group",
    "Header",
    "Input",
    "ModelSaved",
    "Params",
    "Process",
    "ProcessId",
    "SAMPLER",
    "Record",
    "RunEnd",
    "RunNumber",
    "RunOpen",
    "RunUpdate",
    "Shape",
    "SpanClose",
    "SpanOpen",
    "Tags",
]

MAGIC: Final = b"ALJRNL\r\n"
"""The `\\r\\n` shows at once whether a transfer as text has damaged the file."""

FORMAT_VERSION: Final = 1

METRICS: Final = 16
"""Type byte of the one record that is not msgpack."""

METRICS_HEAD: Final = struct.Struct("<IIIHqiq")
"""run u32, shape u32, context u32, attempt u16, step i64, epoch i32, wall time i64 (us)."""

FLAG_EPOCH: Final = 1
"""Flag of METRICS: the epoch field counts."""

SAMPLER: Final = "sampler"
"""Role of a writer that measures what runs of other processes use, and owns none itself."""


class ProcessId(msgspec.Struct, frozen=True):
    """A process that cannot be mistaken for another: the pid with its start time.

    `start` is in clock ticks since boot as in /proc/PID/stat, or in microseconds since the epoch
    where there is no /proc; it is only ever compared for equality.
    """

    pid: int
    start: int


class Header(msgspec.Struct, frozen=True, kw_only=True):
    """First frame of each file (type 0, seq 0): who writes, where and since when.

    `repaired_us` is 0, or when the file was written anew in the place of a damaged one. `role` is
    empty for a program with runs of its own, and `SAMPLER` for the process that measures others.
    """

    version: int
    writer: str
    segment: int
    first_seq: int
    store: str
    host: str
    machine: str
    boot: str
    pid_namespace: str
    process: ProcessId
    ancestors: list[ProcessId] = []
    wall_us: int
    repaired_us: int = 0
    role: str = ""


class Shape(msgspec.Struct, frozen=True, kw_only=True):
    """Defines a tuple of metric keys, named by METRICS records."""

    id: int
    keys: tuple[str, ...]


class Context(msgspec.Struct, frozen=True, kw_only=True):
    """Defines what points belong to besides their run. Number 0 needs no definition: phase fit."""

    id: int
    phase: str = "fit"
    model: str | None = None
    dataset: str | None = None
    rank: int | None = None


class RunNumber(msgspec.Struct, frozen=True, kw_only=True):
    """Defines the number under which this file speaks of a run."""

    run: int
    uid: str


class Process(msgspec.Struct, frozen=True, kw_only=True):
    """Where the runs of this process come from; holds for every later RunOpen of the writer."""

    user: str | None = None
    source: str | None = None
    source_type: str | None = None
    argv: list[str] = []
    cwd: str | None = None
    commit: str | None = None
    branch: str | None = None
    dirty: bool | None = None
    python: str | None = None
    packages: dict[str, str] = {}
    details: dict[str, Any] = {}


class RunOpen(msgspec.Struct, frozen=True, kw_only=True):
    """A run begins. `parent` is a run uid. `user_opened` runs may adopt child processes' roots.

    `resume` is `never`, `allow` or `must`: whether the run may already exist. The fold judges it;
    a run that exists against `never` becomes a conflict event, and nothing is lost. `job` is a
    digest of a scheduler's job and of the run's place in it. `restored_step` is the last step that
    was restored from a checkpoint: what earlier attempts logged after it is superseded.
    """

    run: int
    name: str
    kind: str
    experiment: str
    parent: str | None = None
    attempt: int = 0
    start_us: int
    user_opened: bool = False
    resume: str = "never"
    description: str | None = None
    job: str | None = None
    restored_step: int | None = None


class RunUpdate(msgspec.Struct, frozen=True, kw_only=True):
    """Changes what is known of a run; None leaves a field as it is."""

    run: int
    name: str | None = None
    kind: str | None = None
    description: str | None = None
    reopened: bool = False
    restored_step: int | None = None
    parent: str | None = None


class RunEnd(msgspec.Struct, frozen=True, kw_only=True):
    """A run has ended with a status that does not change again."""

    run: int
    status: str
    end_us: int
    exit_code: int | None = None
    error: str | None = None


class Params(msgspec.Struct, frozen=True, kw_only=True):
    """Parameters with their types kept; the first value of a key wins."""

    run: int
    values: dict[str, Any]


class Tags(msgspec.Struct, frozen=True, kw_only=True):
    """Tags; the last value of a key wins."""

    run: int
    values: dict[str, str]


class Event(msgspec.Struct, frozen=True, kw_only=True):
    """Something that happened; without a run it belongs to the process."""

    kind: str
    run: int | None = None
    wall_us: int
    data: dict[str, Any] = {}


class ArtifactFile(msgspec.Struct, frozen=True, kw_only=True):
    """A file was stored for a run; `uri` is relative to the store's artifact root."""

    run: int
    path: str
    size: int
    sha256: str
    uri: str


class ModelSaved(msgspec.Struct, frozen=True, kw_only=True):
    """A model was stored; its files are ArtifactFile records written before."""

    run: int
    name: str
    format: str
    safe: bool
    size: int
    paths: list[str]
    manifest: dict[str, Any]
    wall_us: int


class Input(msgspec.Struct, frozen=True, kw_only=True):
    """Data that a run used."""

    run: int
    role: str
    name: str
    profile: dict[str, Any]


class SpanOpen(msgspec.Struct, frozen=True, kw_only=True):
    """A training has begun in this process: processes born before its end are its workers."""

    span: int
    run: int | None
    role: str
    kind: str
    name: str
    wall_us: int


class SpanClose(msgspec.Struct, frozen=True, kw_only=True):
    """A training has ended."""

    span: int
    wall_us: int


class Group(msgspec.Struct, frozen=True, kw_only=True):
    """This process is a rank of a process group; set once the group exists."""

    key: str
    rank: int
    size: int


class Close(msgspec.Struct, frozen=True, kw_only=True):
    """Last record of a file closed in order. `next` is the segment that follows, if any."""

    next: int | None = None
    wall_us: int


Record = (
    Shape
    | Context
    | RunNumber
    | Process
    | RunOpen
    | RunUpdate
    | RunEnd
    | Params
    | Tags
    | Event
    | ArtifactFile
    | ModelSaved
    | Input
    | SpanOpen
    | SpanClose
    | Group
    | Close
)

TYPES: Final[dict[type[Any], int]] = {
    Shape: 1,
    Context: 2,
    RunNumber: 3,
    Process: 4,
    RunOpen: 5,
    RunUpdate: 6,
    RunEnd: 7,
    Params: 8,
    Tags: 9,
    Event: 10,
    ArtifactFile: 11,
    ModelSaved: 12,
    Input: 13,
    SpanOpen: 14,
    SpanClose: 15,
    Group: 17,
    Close: 18,
}
"""Type byte of each record; 0 is the header, 16 is METRICS."""
