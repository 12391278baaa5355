"""Keeps the recipe of each run in its row: computed when its document is made, from what is there.

Whatever changes an ingredient empties the column, and with it the document is out of date.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Mapping, Sequence
from typing import Any

import msgspec
from sqlalchemy import Connection, bindparam, select, update

from autolog.journal.records import Process
from autolog.store.recipe import Ingredients, digest
from autolog.store.sql.names import batched
from autolog.store.sql.schema import metadata
from autolog.store.sql.values import from_json

__all__ = ["SUBJECT", "settle"]

_run = metadata.tables["run"]
_process = metadata.tables["process"]
_input = metadata.tables["run_input"]
_dataset = metadata.tables["dataset"]

SUBJECT = "estimator"
"""The tag that says what was trained."""


def settle(
    connection: Connection,
    run_ids: Sequence[int],
    params: Mapping[int, dict[str, Any]],
    tags: Mapping[int, dict[str, str]],
) -> None:
    """Compute the recipes of those of these runs that have none. Their rows are locked."""
    rows: list[Any] = []
    for piece in batched(run_ids):
        query = select(_run).where(_run.c.id.in_(piece), _run.c.recipe.is_(None), _run.c.opened)
        rows += connection.execute(query.order_by(_run.c.id))
    if not rows:
        return
    processes = _processes(connection, {row.origin_id for row in rows})
    inputs = _inputs(connection, [row.id for row in rows])
    found: list[dict[str, Any]] = []
    for row in rows:
        said = processes.get(row.origin_id, {})
        start = said.get(row.process_seq, Process())
        # A notebook's file says little of the cells that ran, and changes with their output.
        script = row.source_type != "notebook"
        modules = [one.details["modules"] for one in said.values() if "modules" in one.details]
        made = Ingredients(
            kind=row.kind,
            subject=tags.get(row.id, {}).get(SUBJECT),
            commit=row.commit_id,
            dirty=row.dirty,
            entry=start.details.get("entry", {}).get("sha256") if script else None,
            modules=modules[-1] if modules else {},
            versions=start.packages,
            params=params.get(row.id, {}),
            inputs=inputs[row.id],
        )
        found.append({"b_id": row.id, "b_recipe": digest(made)})
    statement = update(_run).where(_run.c.id == bindparam("b_id"))
    connection.execute(statement.values(recipe=bindparam("b_recipe")), found)


def _processes(
    connection: Connection, writer_ids: set[int | None]
) -> dict[int, dict[int, Process]]:
    """Return what each writer said of its process, by the number of the record, in order."""
    said: dict[int, dict[int, Process]] = defaultdict(dict)
    for piece in batched(writer_ids):
        query = select(_process).where(_process.c.writer_id.in_(piece)).order_by(_process.c.seq)
        for row in connection.execute(query):
            said[row.writer_id][row.seq] = msgspec.convert(from_json(row.data), Process)
    return said


def _fingerprint(profile: dict[str, Any]) -> str | None:
    """Return what says that data is the same whatever it is called; None if there is none."""
    digest = profile.get("digest")
    return None if digest is None else f"{digest} {profile.get('shape')}"


def _inputs(connection: Connection, run_ids: Sequence[int]) -> dict[int, list[tuple[str, str]]]:
    found: dict[int, list[tuple[str, str]]] = defaultdict(list)
    for piece in batched(run_ids):
        query = (
            select(_input.c.run_id, _input.c.role, _dataset.c.digest, _dataset.c.profile)
            .join_from(_input, _dataset, _dataset.c.id == _input.c.dataset_id)
            .where(_input.c.run_id.in_(piece))
        )
        for run_id, role, described, profile in connection.execute(query):
            found[run_id].append((role, _fingerprint(from_json(profile)) or described))
    return found
