"""The ranks of a process group on this host, told by the variables that torchrun sets.

Rank 0 alone has a run; what its siblings use is measured for it, each with its rank. Ranks of
other hosts have no run there and are not seen.
"""

from __future__ import annotations

import contextlib
from collections.abc import Mapping

import psutil

__all__ = ["environment_of", "ranks_of"]

_GROUP = ("TORCHELASTIC_RUN_ID", "MASTER_ADDR", "MASTER_PORT")


def environment_of(process: psutil.Process) -> dict[str, str]:
    """Return the variables that a process was started with; none if they cannot be read."""
    with contextlib.suppress(psutil.Error, OSError):
        return process.environ()
    return {}


def ranks_of(process: psutil.Process) -> dict[int, psutil.Process]:
    """Return the ranks on this host of the group that a process is rank 0 of.

    A rank is the topmost process that has its variables, as a shell around the program. Empty if
    there is no such group.
    """
    own = environment_of(process)
    group = _group(own)
    if group is None or own.get("RANK") != "0":
        return {}
    agent: psutil.Process | None = process
    with contextlib.suppress(psutil.Error):
        while agent is not None:
            above: psutil.Process | None = agent.parent()
            agent = above
            if above is None or _group(environment_of(above)) != group:
                break
    if agent is None:
        return {}
    ranks: dict[int, psutil.Process] = {}
    with contextlib.suppress(psutil.Error):
        for sibling in agent.children():
            said = environment_of(sibling)
            if _group(said) == group and said.get("RANK", "").isdigit():
                ranks.setdefault(int(said["RANK"]), sibling)
    return ranks if len(ranks) > 1 else {}


def _group(environment: Mapping[str, str]) -> tuple[str, ...] | None:
    """Return what ranks of one group have in common; None if it is not a group of torchrun's."""
    if not environment.get("TORCHELASTIC_RUN_ID") or environment.get("WORLD_SIZE", "1") == "1":
        return None
    return tuple(environment.get(name, "") for name in _GROUP)
