"""Everything of one run, on its way from a store to another or to a bundle.

What is small is held here as plain data; points are read one metric at a time while somebody
goes through them, so a portrait of any run takes the memory of its largest metric.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

import msgspec

from autolog.entities import Artifact

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

__all__ = [
    "Attempt",
    "Happening",
    "Input",
    "Points",
    "Portrait",
    "SavedModel",
    "State",
    "Taken",
    "Witness",
]


class State(msgspec.Struct, frozen=True, kw_only=True):
    """What the row of a run says of it. Times are microseconds since the epoch.

    `opened` is false for a run of which only points have come; `ended_by` is `record` if the run
    said so itself, `lease` if its process was found gone; `owner` and `origin` are uids of the
    writers that end it and that opened it, `process_seq` what the origin had said of itself then.
    """

    name: str
    kind: str
    status: str
    opened: bool
    start_us: int
    last_us: int
    end_us: int | None = None
    ended_by: str | None = None
    attempt: int = 0
    experiment: str | None = None
    parent: str | None = None
    user_opened: bool = False
    origin: str | None = None
    process_seq: int | None = None
    owner: str | None = None
    user: str | None = None
    host: str | None = None
    source: str | None = None
    source_type: str | None = None
    commit: str | None = None
    branch: str | None = None
    dirty: bool | None = None
    recipe: str | None = None
    job: str | None = None
    description: str | None = None
    exit_code: int | None = None
    error: str | None = None


class Happening(msgspec.Struct, frozen=True, order=True):
    """An event; `data` is JSON as the store has it, so that equal events are equal here."""

    wall_us: int
    kind: str
    data: str


class SavedModel(msgspec.Struct, frozen=True, kw_only=True):
    """A model of the run; its files are among the run's artifacts."""

    name: str
    format: str
    safe: bool
    size: int
    paths: list[str]
    manifest: dict[str, Any]
    wall_us: int


class Input(msgspec.Struct, frozen=True):
    """Data that the run used."""

    role: str
    name: str
    profile: dict[str, Any]


class Attempt(msgspec.Struct, frozen=True):
    """One of several beginnings of the run, the uid of the writer that began it, and its end."""

    attempt: int
    start_us: int
    writer: str | None = None
    restored_step: int | None = None
    status: str | None = None
    ended_by: str | None = None
    end_us: int | None = None
    error: str | None = None


class Witness(msgspec.Struct, frozen=True, kw_only=True):
    """A process that opened, owns or took over the run; what it said of itself (by seq, JSON)."""

    uid: str
    start_us: int
    last_us: int
    state: str
    host: str | None = None
    machine: str | None = None
    boot: str | None = None
    pid_namespace: str | None = None
    pid: int | None = None
    pid_start: int | None = None
    ancestors: str | None = None
    group_key: str | None = None
    group_rank: int | None = None
    group_size: int | None = None
    records: list[tuple[int, str]] = []
    events: list[Happening] = []


@dataclass(frozen=True, slots=True)
class Points:
    """Every point of one metric of a run, ordered by step, then time; see `answers.History`.

    Attributes:
        step: int64.
        value: float64.
        timestamp: int64, microseconds since the epoch.
        epoch: float64, NaN where the point has none.
        attempt: int64.
        context: int64, which of `contexts` the point has.
        contexts: dictionaries such as `{"phase": "fit"}`; not all need be in use.
    """

    step: NDArray[np.int64]
    value: NDArray[np.float64]
    timestamp: NDArray[np.int64]
    epoch: NDArray[np.float64]
    attempt: NDArray[np.int64]
    context: NDArray[np.int64]
    contexts: Sequence[dict[str, Any]]

    def __len__(self) -> int:
        return len(self.step)


@dataclass(frozen=True, slots=True, kw_only=True)
class Portrait:
    """Everything of one run.

    Attributes:
        uid: the run's id.
        source: the identity of the store that it comes from.
        ver: counts the changes of the run there; the same number means that nothing is new.
        state: its row.
        params: typed values.
        tags: texts.
        events: what happened to it, in order of time.
        artifacts: its files; the bytes travel apart.
        models: its models.
        inputs: the data that it used.
        attempts: its attempts.
        witnesses: the processes that opened, own or took it over.
        contexts: every context that a point has.
        metrics: the names of its metrics.
        points: each metric once, with every point of it.
    """

    uid: str
    source: str
    ver: int
    state: State
    params: dict[str, Any] = field(default_factory=dict[str, Any])
    tags: dict[str, str] = field(default_factory=dict[str, str])
    events: list[Happening] = field(default_factory=list[Happening])
    artifacts: list[Artifact] = field(default_factory=list[Artifact])
    models: list[SavedModel] = field(default_factory=list[SavedModel])
    inputs: list[Input] = field(default_factory=list[Input])
    attempts: list[Attempt] = field(default_factory=list[Attempt])
    witnesses: list[Witness] = field(default_factory=list[Witness])
    contexts: list[dict[str, Any]] = field(default_factory=list[dict[str, Any]])
    metrics: list[str] = field(default_factory=list[str])
    points: Iterable[tuple[str, Points]] = ()


@dataclass(frozen=True, slots=True)
class Taken:
    """What `Store.take_in` did.

    Attributes:
        created: the run was not there before.
        changed: something of it was new.
        points: how many points were.
    """

    created: bool
    changed: bool
    points: int
