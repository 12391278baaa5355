"""What autolog records, as plain data: experiments, runs, metrics, events, models.

Every class here is a `msgspec.Struct` without behaviour. They are what the store answers with,
what `--json` prints and what crosses floors. Times are milliseconds since the epoch (UTC)
unless a name says `_us` (microseconds).
"""

from __future__ import annotations

from enum import Enum
from typing import Any, Final

import msgspec

__all__ = [
    "HEALTH",
    "HEALTH_TAG",
    "OPEN_AT_EXIT",
    "TABLE",
    "Artifact",
    "Attempt",
    "DatasetInput",
    "Event",
    "Experiment",
    "Kind",
    "Model",
    "Phase",
    "Run",
    "RunDetails",
    "Status",
]


class Status(str, Enum):
    """The state of a run. Only RUNNING can change."""

    RUNNING = "RUNNING"
    FINISHED = "FINISHED"
    FAILED = "FAILED"
    KILLED = "KILLED"
    LOST = "LOST"


class Kind(str, Enum):
    """What a run is: the thing whose lifetime it records."""

    RUN = "run"
    FIT = "fit"
    SEARCH = "search"
    CANDIDATE = "candidate"
    CV = "cv"
    STUDY = "study"
    TRIAL = "trial"
    LOOP = "loop"
    INNER = "inner"
    EVAL = "eval"
    RANK = "rank"
    """What a rank above 0 has logged, until the run of its group is known to the store."""


class Phase(str, Enum):
    """When a point was written: while the model was fitted, or after.

    SYSTEM is apart from both: what the processes of a run used of the machine, seen from outside.
    Such points are no results: `Run.metrics` leaves them out, and no attempt supersedes them.
    """

    FIT = "fit"
    POST = "post"
    SYSTEM = "system"


HEALTH: Final = "health"
"""Event of a training that is not well: `what` it is, the `key` and `step` it showed at, `text`."""


HEALTH_TAG: Final = "health"
"""The tag that names what such events found: `nan`, `infinite`, `diverged`, `exploded`."""


OPEN_AT_EXIT: Final = "open_at_exit"
"""Event of a run that its process left open: how the process ended is not known for sure."""


TABLE: Final = "table"
"""Event of a table: its `name` and `rows`, and its `columns` or the `artifact` that holds them."""


class Experiment(msgspec.Struct, frozen=True, kw_only=True):
    """A named group of runs; `/` in the name makes folders."""

    name: str
    created: int
    runs: int = 0


class Run(msgspec.Struct, frozen=True, kw_only=True, gc=False):
    """One run as the store knows it.

    `metrics` holds the last value of each key; `params` typed values; times are milliseconds
    since the epoch. `dirty` is None until it is known. `logging_errors` are problems of autolog
    itself met while this run was recorded: they never change `status`. `children` counts those
    that are not deleted. `recipe` is a digest of what the run was made of: equal for runs that
    differ in seed, host and time alone.
    """

    run_id: str
    name: str
    kind: str
    status: str
    experiment: str
    user: str | None = None
    host: str | None = None
    source: str | None = None
    commit: str | None = None
    dirty: bool | None = None
    parent_id: str | None = None
    root_id: str | None = None
    depth: int = 0
    start_time: int
    end_time: int | None = None
    params: dict[str, Any] = {}
    metrics: dict[str, float] = {}
    tags: dict[str, str] = {}
    artifact_uri: str | None = None
    logging_errors: list[str] = []
    children: int = 0
    recipe: str | None = None


class Event(msgspec.Struct, frozen=True, kw_only=True):
    """Something that happened to a run: a preparation step, a conflict, a notice."""

    kind: str
    time: int
    data: dict[str, Any] = {}


class Artifact(msgspec.Struct, frozen=True, kw_only=True):
    """A file of a run. `path` is relative to the run's artifacts, with `/` on every system."""

    path: str
    size: int
    sha256: str
    uri: str


class Model(msgspec.Struct, frozen=True, kw_only=True):
    """A saved model: the format it is stored in, its files, and what it takes and gives."""

    name: str
    format: str
    safe: bool
    size: int
    files: list[Artifact] = []
    manifest: dict[str, Any] = {}


class DatasetInput(msgspec.Struct, frozen=True, kw_only=True):
    """Data that a run used: its role (train, validation, test) and what is known of it."""

    name: str
    role: str
    profile: dict[str, Any] = {}


class Attempt(msgspec.Struct, frozen=True, kw_only=True):
    """What one process did of a run, after the one before it had ended or was gone.

    Of earlier attempts, points after `restored_step` are superseded; where it is None, those from
    the first step on that this attempt logged. `reason` says why it ended, if that is known.
    """

    number: int
    status: str | None = None
    start: int
    end: int | None = None
    host: str | None = None
    pid: int | None = None
    restored_step: int | None = None
    reason: str | None = None


class RunDetails(msgspec.Struct, frozen=True, kw_only=True):
    """A run with all that is too long for a listing.

    `lifecycle` is active, deleted, or absorbed: part of the run above it, in no listing.
    """

    run: Run
    description: str | None = None
    argv: list[str] = []
    cwd: str | None = None
    branch: str | None = None
    python: str | None = None
    packages: dict[str, str] = {}
    environment: dict[str, Any] = {}
    exit_code: int | None = None
    error: str | None = None
    attempt: int = 0
    silent_since: int | None = None
    artifacts: list[Artifact] = []
    models: list[Model] = []
    inputs: list[DatasetInput] = []
    events: list[Event] = []
    children: list[str] = []
    lifecycle: str = "active"
    attempts: list[Attempt] = []
