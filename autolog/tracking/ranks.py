"""Which rank of a process group this process is, without importing a framework.

A rank is a rank only within a group: torchrun's variables with a `WORLD_SIZE` above 1, what an
integration was told by its framework, or an initialised `torch.distributed`. `RANK` alone, or the
variables of SLURM and MPI, decide nothing: `srun -n 8` of independent programs gives eight runs.

Nothing here is a collective or talks to a store: the other ranks never wait for the one that asks.
The group's key is made of what each rank can see for itself: it has to be equal on all ranks, and
to differ between two launches of one program, and from when torchrun starts the workers again.
"""

from __future__ import annotations

import functools
import os
import sys
import weakref
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Final

__all__ = ["Rank", "agent", "current", "follower", "from_environment", "group_key", "tell"]

_LOOPBACK: Final = ("localhost", "127.0.0.1", "::1")

_LAUNCHES: Final = ("SLURM_JOB_ID", "SLURM_STEP_ID", "PMIX_NAMESPACE")
"""Variables that differ between two launches at one address; they are equal on all ranks."""

_ASKED: Final = "torch.distributed"


@dataclass(frozen=True, slots=True)
class Rank:
    """A place in a process group of more than one process; rank 0 owns the run."""

    rank: int
    size: int


_unread: Final = Rank(-1, 0)
_launched: Rank | None = _unread
"""What torchrun said when it started this process; it stays so."""
_told: Rank | None = None
_group: tuple[weakref.ref[Any], Rank | None] | None = None
"""The process group that was asked last, and its answer."""


def current() -> Rank | None:
    """Return this process's rank now; None outside of any group of several processes.

    It is asked again each time: a group may come into being, and be destroyed, at any moment.
    """
    global _launched
    if _launched is _unread:
        _launched = from_environment(os.environ)
    return _launched or _told or _initialised()


def follower() -> Rank | None:
    """Return this process's rank if it is above 0: then the run is not its own."""
    rank = current()
    return rank if rank is not None and rank.rank > 0 else None


def tell(rank: int, size: int) -> None:
    """Say what a framework answers before its group exists; a size of 1 takes that back."""
    global _told
    _told = Rank(rank, size) if size > 1 else None


def from_environment(environment: Mapping[str, str]) -> Rank | None:
    """Return the rank that torchrun gave a process with this environment, if it did."""
    if "TORCHELASTIC_RUN_ID" not in environment:
        return None
    try:
        rank, size = int(environment["RANK"]), int(environment["WORLD_SIZE"])
    except (KeyError, ValueError):
        return None
    return Rank(rank, size) if size > 1 and 0 <= rank < size else None


def group_key() -> str:
    """Return the key of the group that this process is a rank of.

    On one host the process that started the ranks makes it unique, elsewhere the launcher's ids.
    """
    environment = os.environ
    address, port = environment.get("MASTER_ADDR", ""), environment.get("MASTER_PORT", "")
    launches = [environment[name] for name in _LAUNCHES if environment.get(name)]
    local = address in ("", *_LOOPBACK)
    if from_environment(environment) is not None:
        run_id = environment["TORCHELASTIC_RUN_ID"]
        alone = local or environment.get("GROUP_WORLD_SIZE") == "1"
        restarts = environment.get("TORCHELASTIC_RESTART_COUNT", "0")
        parts = ["torchrun", run_id, agent(run_id) if alone else address, port, restarts]
        return ":".join([*parts, *launches])
    rank = current()
    size = str(rank.size) if rank is not None else ""
    parts = ["group", address, port, size]
    if local and (_is_child() or not address):
        parts.append(_process_above(0))
    return ":".join([*parts, *launches])


@functools.cache
def agent(run_id: str) -> str:
    """Return an identity of the torchrun process that started this one, through any shells.

    It outlives the workers that it starts again.
    """
    from autolog.journal.lease import this_process

    wanted = f"TORCHELASTIC_RUN_ID={run_id}".encode()
    generation = 0
    for process in this_process().ancestors:
        try:
            with open(f"/proc/{process.pid}/environ", "rb") as file:
                worker = wanted in file.read().split(b"\0")
        except OSError:
            break
        if not worker:
            break
        generation += 1
    return _process_above(generation)


def _process_above(generation: int) -> str:
    """Name the parent (generation 0) or a process above it; empty if it cannot be known."""
    from autolog.journal.lease import this_process

    me = this_process()
    if generation >= len(me.ancestors):
        return ""
    above = me.ancestors[generation]
    return f"{me.host}/{me.boot}/{above.pid}/{above.start}"


def _is_child() -> bool:
    process = sys.modules.get("multiprocessing.process")
    return process is not None and process.parent_process() is not None


def _initialised() -> Rank | None:
    """Ask `torch.distributed`, if the program has imported it and a group exists.

    This is on the path of every step of a loop: the same group is asked once (6 us), and told by
    its object (1 us), which stands where `is_initialized` looks.
    """
    global _group
    distributed: Any = sys.modules.get(_ASKED)
    if distributed is None:
        return None
    try:
        world = distributed.GroupMember.WORLD
        if world is None:
            return None
        if _group is not None and _group[0]() is world:
            return _group[1]
        rank, size = distributed.get_rank(), distributed.get_world_size()
        found = Rank(rank, size) if size > 1 and rank >= 0 else None
        _group = weakref.ref(world), found
    except Exception:  # a module that is still being imported, or built without it
        return None
    return found
