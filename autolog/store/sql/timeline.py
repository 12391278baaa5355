"""Attempts: which points of a run still count after it was tried again.

A later attempt that went on from a known step supersedes everything after that step; one of which
no such step is known supersedes, in each series, everything from its own first step on. What was
measured of the machine (phase `system`) is no work that could be done again: all of it counts.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Collection, Iterable, Mapping, Sequence
from typing import Any

from sqlalchemy import Connection, select

from autolog.entities import Phase
from autolog.store.sql.names import batched
from autolog.store.sql.points import Part
from autolog.store.sql.schema import metadata

__all__ = ["apart", "current", "last_steps", "restored_steps"]

_attempt = metadata.tables["attempt"]


def restored_steps(connection: Connection, run_ids: Sequence[int]) -> dict[int, dict[int, int]]:
    """Return, by run and attempt, the step that an attempt went on from, where that is known."""
    found: dict[int, dict[int, int]] = {}
    for piece in batched(run_ids):
        query = select(_attempt.c.run_id, _attempt.c.attempt, _attempt.c.restored_step).where(
            _attempt.c.run_id.in_(piece), _attempt.c.restored_step.is_not(None)
        )
        for run_id, attempt, step in connection.execute(query):
            found.setdefault(run_id, {})[attempt] = step
    return found


def last_steps(
    series: Iterable[tuple[int, int, int]], restored: Mapping[int, int]
) -> dict[tuple[int, int], int]:
    """Return, by context and attempt, the last step that still counts, where there is one.

    Args:
        series: contexts and attempts of one metric, each with a first step.
        restored: what `restored_steps` says of the run.
    """
    first: dict[tuple[int, int], int] = {}
    for context, attempt, step in series:
        first[context, attempt] = min(step, first.get((context, attempt), step))
    attempts = {attempt for _, attempt in first} | set(restored)
    limits: dict[tuple[int, int], int] = {}
    for context, attempt in first:
        ends = [
            restored[later] if later in restored else first[context, later] - 1
            for later in attempts
            if later > attempt and (later in restored or (context, later) in first)
        ]
        if ends:
            limits[context, attempt] = min(ends)
    return limits


def apart(bodies: Mapping[int, Mapping[str, Any]]) -> set[int]:
    """Return the ids of those contexts whose points are measurements of the machine."""
    return {number for number, body in bodies.items() if body.get("phase") == Phase.SYSTEM}


def current(
    parts: Sequence[Part], restored: Mapping[int, int], lasting: Collection[int]
) -> list[Part]:
    """Leave out the points of one metric that a later attempt supersedes.

    Args:
        parts: all of the metric.
        restored: what `restored_steps` says of the run.
        lasting: ids of contexts of which all counts.
    """
    series = [(p.context, p.attempt, p.first_step) for p in parts if p.context not in lasting]
    limits = last_steps(series, restored)
    kept: list[Part] = []
    for part in parts:
        last = limits.get((part.context, part.attempt))
        kept.append(part if last is None else _up_to(part, last))
    return kept


def _up_to(part: Part, last: int) -> Part:
    """Keep the points up to a step, which may lie below what 64 bits hold."""
    keep = part.step <= last
    if keep.all():
        return part
    return dataclasses.replace(
        part,
        step=part.step[keep],
        wall_us=part.wall_us[keep],
        value=part.value[keep],
        epoch=None if part.epoch is None else part.epoch[keep],
    )
