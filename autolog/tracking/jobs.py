"""Recognises the job of a scheduler, so that a job that is started again continues its run.

Under a scheduler each root run leaves a mark beside the journals: the run's id, under a digest of
the job, of the process's place in it, of the program with its arguments, and of how many runs this
process opened before. When a process comes to the same digest, the run that the mark names is
continued as its next attempt, if it did not finish and its process is gone; a run that finishes
takes its mark away. The store is read only where there is a mark (or where marks of another host
could not be seen), so a job that runs for the first time imports no database.

A mark is a symbolic link, which comes into being at once and only once: of two processes that would
continue one run, one is refused. It is numbered by how often its digest was opened.
"""

from __future__ import annotations

import contextlib
import hashlib
import itertools
import json
import os
import sys
from collections import Counter
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Final

import msgspec

from autolog.errors import AutologError
from autolog.ids import new_id
from autolog.tracking import ranks

if TYPE_CHECKING:
    from autolog.entities import Run
    from autolog.store.location import Location
    from autolog.tracking.provenance import Source

__all__ = ["Job", "Turn", "current_job", "forget", "next_turn"]

_SCHEDULERS: Final = (
    # name, variables that make up the id, variable that counts restarts, its value at the first
    ("slurm", ("SLURM_JOB_ID",), "SLURM_RESTART_COUNT", 0),
    ("pbs", ("PBS_JOBID",), None, 0),
    ("lsf", ("LSB_JOBID",), None, 0),
    ("sge", ("JOB_ID", "SGE_TASK_ID"), "RESTARTED", 0),
    ("aws-batch", ("AWS_BATCH_JOB_ID",), "AWS_BATCH_JOB_ATTEMPT", 1),
    ("torchelastic", ("TORCHELASTIC_RUN_ID",), "TORCHELASTIC_RESTART_COUNT", 0),
)
"""torchelastic stands last: inside a scheduler's job its id may be new at each start. Its workers
are started again inside that job, too, which the scheduler does not count."""

_RESTARTED_WITHIN: Final = {"TORCHELASTIC_RESTART_COUNT": 0}

_PLACES: Final = (
    "SLURM_ARRAY_TASK_ID", "SLURM_STEP_ID", "SLURM_PROCID", "PBS_ARRAY_INDEX", "LSB_JOBINDEX",
    "AWS_BATCH_JOB_ARRAY_INDEX", "OMPI_COMM_WORLD_RANK", "PMI_RANK", "RANK", "NODE_RANK",
    "LOCAL_RANK",
)  # fmt: skip
"""Variables that tell the processes of a job apart."""

_PROCESSES: Final = 10_000
"""More than ever open the same turn at the same time."""

_forked = False
_ordinals = itertools.count()
_marks: dict[str, Path] = {}
"""The folder with the marks of each run that this process has opened in a job."""


class Job(msgspec.Struct, frozen=True):
    """The job that this process is part of, and its place in it.

    `restarted`: the scheduler says that it started the job before, so that process is gone.
    """

    scheduler: str
    id: str
    place: tuple[str, ...]
    restarted: bool


class Turn(msgspec.Struct, frozen=True):
    """A root run's turn in a job: its digest, its id, and what that was if it is continued.

    `notice` says why it could not be found out whether there is a run to continue.
    """

    key: str
    run_id: str
    continued: Run | None
    notice: str | None


def current_job(environment: Mapping[str, str] = os.environ) -> Job | None:
    """Return the job that this process was started in, if a scheduler started it."""
    for name, variables, counter, first in _SCHEDULERS:
        parts = [environment.get(variable, "") for variable in variables]
        if not all(parts):
            continue
        if parts == ["none"]:  # torchrun's default: it alone may start its workers again
            if environment.get("TORCHELASTIC_MAX_RESTARTS", "0") == "0":
                continue
            parts = [ranks.agent("none")]
        counters = {counter: first, **_RESTARTED_WITHIN}
        restarted = any(
            turns.isdecimal() and int(turns) > begin
            for turns, begin in ((environment.get(n or "", ""), at) for n, at in counters.items())
        )
        place = tuple(f"{one}={environment[one]}" for one in _PLACES if one in environment)
        return Job(name, ".".join(parts), place, restarted)
    return None


def next_turn(location: Location, source: Source) -> Turn | None:
    """Return the turn of the next root run of this process; None outside of any job.

    Only a program that the scheduler started has one: what it starts by multiprocessing inherits
    the job's variables and arguments, and of two sessions of a user neither continues the other.
    """
    program = source.kind in ("script", "module") and not _forked and not _is_child()
    job = current_job() if program else None
    if job is None:
        return None
    parts = [job.scheduler, job.id, *job.place, source.name, *sys.argv, next(_ordinals)]
    text = json.dumps(parts).encode()
    key = hashlib.sha256(text).hexdigest()
    folder = location.journal / "jobs" / key
    marks = _read(folder)
    found = notice = None
    # Marks lie with the journals: a server may know of a run that was begun on another host.
    if marks or (job.restarted and location.database is None):
        try:
            found = _unfinished(location, key, marks.values(), gone=job.restarted)
        except AutologError as error:
            notice = f"whether this job continues a run could not be read: {error}"
    number = max(marks, default=-1) + 1
    if found is not None and not _claim(folder, number, marks, found.run_id):
        found = None  # another process was faster
    run_id = new_id() if found is None else found.run_id
    if found is None:
        _mark(folder, number, _PROCESSES, run_id)
    _marks[run_id] = folder
    return Turn(key, run_id, found, notice)


def forget(run_id: str, *, finished: bool) -> None:
    """Note that a run has ended: the marks of one that finished go."""
    folder = _marks.pop(run_id, None)
    if folder is None or not finished:
        return
    with contextlib.suppress(OSError):
        for number, named in sorted(_read(folder).items()):  # see `_claim`
            if named == run_id:
                (folder / str(number)).unlink(missing_ok=True)
        folder.rmdir()


def _read(folder: Path) -> dict[int, str]:
    """Return the run ids of the marks in a folder by their numbers."""
    marks: dict[int, str] = {}
    with contextlib.suppress(OSError):
        for name in os.listdir(folder):  # noqa: PTH208
            if name.isdecimal():
                marks[int(name)] = os.readlink(folder / name)  # noqa: PTH115
    return marks


def _mark(folder: Path, number: int, tries: int, run_id: str) -> bool:
    """Leave a mark of this number or one of the next; False if there is none."""
    with contextlib.suppress(OSError):  # without it the run is recorded, and not continued
        folder.mkdir(parents=True, exist_ok=True)
        for at in range(number, number + tries):
            with contextlib.suppress(FileExistsError):
                (folder / str(at)).symlink_to(run_id)
                return True
    return False


def _claim(folder: Path, number: int, seen: Mapping[int, str], run_id: str) -> bool:
    """Mark a run that is to be continued; False if another process does, or did and finished it.

    A run that finishes takes its marks away in their order: whoever can take a number again that
    was taken before finds the marks below it gone.
    """
    if not _mark(folder, number, 1, run_id):
        return False
    if seen.items() <= _read(folder).items():
        return True
    with contextlib.suppress(OSError):
        (folder / str(number)).unlink()
    return False


def _unfinished(location: Location, key: str, marks: Iterable[str], *, gone: bool) -> Run | None:
    """Return the newest run of a job that can be continued and that nobody is about to."""
    from autolog.tracking.reading import open_store

    marked = Counter(marks)
    with contextlib.closing(open_store(location.address)) as store:
        for details in store.unfinished(key, gone=gone):
            # Whoever continues a run marks it first: more marks than attempts are a claim.
            if marked[details.run.run_id] <= details.attempt + 1:
                return details.run
    return None


def _is_child() -> bool:
    process = sys.modules.get("multiprocessing.process")
    return process is not None and process.parent_process() is not None


def _after_fork() -> None:
    global _forked
    _forked = True
    _marks.clear()


if hasattr(os, "register_at_fork"):
    os.register_at_fork(after_in_child=_after_fork)
