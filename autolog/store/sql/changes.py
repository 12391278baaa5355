"""What the records of a batch change, gathered in memory before anything is written.

Each run is a mutable copy of its row. Nothing here speaks to the database.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, Final

import msgspec

from autolog.entities import Status
from autolog.journal import records
from autolog.journal.reader import Entry
from autolog.store.sql.attempts import Attempts
from autolog.store.sql.names import Dataset, Names
from autolog.store.sql.values import ParamColumns, param_columns, to_json

__all__ = ["Changes", "Row", "provenance", "take", "wall_of"]

Row = dict[str, Any]

_INGREDIENTS: Final = (records.RunOpen, records.Params, records.Tags, records.Input)
"""Records that may change a run's recipe, which is then computed anew."""

_LIFE: Final = (records.RunOpen, records.RunUpdate, records.RunEnd)

_PROVENANCE: Final = {
    "user_name": "user",
    "source": "source",
    "source_type": "source_type",
    "commit_id": "commit",
    "branch": "branch",
    "dirty": "dirty",
}
"""Columns of a run that come from its process."""


@dataclass(slots=True)
class Changes:
    """Everything that one batch writes. `runs` and `writer` start as the rows of the database."""

    writer: Row
    runs: dict[str, Row]
    names: Names
    attempts: Attempts
    aliases: Mapping[str, str] = field(default_factory=dict[str, str])
    """Runs of ranks that are part of the run of their group by now."""
    process: tuple[int, records.Process] | None = None
    opened: set[str] = field(default_factory=set[str])
    moved: set[int] = field(default_factory=set[int])
    grouped: bool = False
    params: dict[tuple[int, int], ParamColumns] = field(
        default_factory=dict[tuple[int, int], ParamColumns]
    )
    tags: dict[tuple[int, int], str] = field(default_factory=dict[tuple[int, int], str])
    events: list[Row] = field(default_factory=list[Row])
    artifacts: dict[tuple[int, str], Row] = field(default_factory=dict[tuple[int, str], Row])
    models: dict[tuple[int, str, str], Row] = field(default_factory=dict[tuple[int, str, str], Row])
    inputs: set[tuple[int, int, str]] = field(default_factory=set[tuple[int, int, str]])
    processes: list[Row] = field(default_factory=list[Row])
    spans: dict[int, Row] = field(default_factory=dict[int, Row])
    closed_spans: dict[int, int] = field(default_factory=dict[int, int])

    def run(self, uid: str) -> Row:
        """Return the row that records of this run change."""
        return self.runs[self.aliases.get(uid, uid)]

    def event(
        self,
        run: Row | None,
        kind: str,
        data: dict[str, Any],
        wall_us: int | None = None,
        mark: str | None = None,
    ) -> None:
        """Add an event; without a run it belongs to the process."""
        self.events.append(
            {
                "run_id": run and run["id"],
                "writer_id": self.writer["id"],
                "kind": kind,
                "wall_us": self.writer["last_us"] if wall_us is None else wall_us,
                "data": to_json(data),
                "mark": mark,
            }
        )

    def revive(self, run: Row) -> None:
        """Take back that a run was lost: its own process has spoken."""
        if run["status"] == Status.LOST.value and run["owner_id"] == self.writer["id"]:
            run |= {"status": Status.RUNNING.value, "ended_by": None, "end_us": None}

    def conflict(self, run: Row, field_name: str, key: str | None, kept: Any, refused: Any) -> None:
        """Add the event of a value that came too late to count."""
        data = {"field": field_name, "key": key, "kept": kept, "refused": refused}
        self.event(run, "conflict", data)


def wall_of(record: records.Record) -> int | None:
    """Return the time of a record, if it has one."""
    for name in ("wall_us", "end_us", "start_us"):
        value: int | None = getattr(record, name, None)
        if value is not None:
            return value
    return None


def take(changes: Changes, entry: Entry) -> None:
    """Gather what one record changes. Unknown records change nothing."""
    record = entry.record
    if entry.run_uid in changes.aliases and isinstance(record, _LIFE):
        return  # it is rank 0's to say
    run = None if entry.run_uid is None else changes.run(entry.run_uid)
    wall_us = wall_of(record)
    if wall_us is not None:
        changes.writer["last_us"] = max(changes.writer["last_us"], wall_us)
        if run is not None:
            run["last_us"] = max(run["last_us"], wall_us)
    changes.writer["state"] = "open"
    if run is not None:
        changes.revive(run)
    if run is None:
        _of_process(changes, entry.seq, record)
    else:
        _of_run(changes, run, entry.seq, record)


def _of_process(changes: Changes, seq: int, record: records.Record) -> None:
    match record:
        case records.Process():
            _process(changes, seq, record)
        case records.Event():
            changes.event(None, record.kind, record.data, record.wall_us)
        case records.Group():
            changes.grouped = True
            changes.writer |= {
                "group_key": record.key,
                "group_rank": record.rank,
                "group_size": record.size,
            }
        case records.SpanOpen():
            _span(changes, None, record)
        case records.SpanClose():
            if record.span in changes.spans:
                changes.spans[record.span]["close_us"] = record.wall_us
            else:
                changes.closed_spans[record.span] = record.wall_us
        case _:
            pass


def _of_run(changes: Changes, run: Row, seq: int, record: records.Record) -> None:
    if isinstance(record, _INGREDIENTS):
        run["recipe"] = None
    match record:
        case records.RunOpen():
            _open(changes, run, seq, record)
        case records.RunUpdate():
            _update(changes, run, record)
        case records.RunEnd():
            _end(changes, run, record)
        case records.Params():
            for key, value in record.values.items():
                _param(changes, run, key, param_columns(value))
        case records.Tags():
            for key, value in record.values.items():
                changes.tags[run["id"], changes.names.key("tag", key)] = value
        case records.Event():
            changes.event(run, record.kind, record.data, record.wall_us)
        case records.ArtifactFile():
            row = msgspec.structs.asdict(record) | {"run_id": run["id"]}
            del row["run"]
            changes.artifacts[run["id"], record.path] = row
        case records.ModelSaved():
            changes.models[run["id"], record.name, record.format] = {
                "run_id": run["id"],
                "name": record.name,
                "format": record.format,
                "safe": record.safe,
                "size": record.size,
                "paths": to_json(record.paths),
                "manifest": to_json(record.manifest),
                "wall_us": record.wall_us,
            }
        case records.Input():
            dataset = Dataset(record.name, to_json(record.profile))
            changes.inputs.add((run["id"], changes.names.dataset(dataset), record.role))
        case records.SpanOpen():
            _span(changes, run["id"], record)
        case _:
            pass


def _open(changes: Changes, run: Row, seq: int, record: records.RunOpen) -> None:
    # A process that joined may be folded first: the beginning then comes later, and counts.
    late = bool(run["opened"] and run["joined"] and record.resume == "never")
    if run["opened"] and not late:
        _open_again(changes, run, seq, record)
        return
    experiment_id = changes.names.experiment(record.experiment)
    if run["experiment_id"] != experiment_id:
        changes.moved.add(run["id"])
    run |= {
        "opened": True,
        "joined": record.resume != "never",
        "experiment_id": experiment_id,
        "name": record.name,
        "kind": record.kind,
        "attempt": max(run["attempt"], record.attempt),
        "parent_uid": record.parent,
        "user_opened": record.user_opened,
        "adopt": record.parent is None and changes.writer["ancestors"] is not None,
        "start_us": record.start_us,
        "last_us": max(run["last_us"], record.start_us),
        "description": run["description"] or record.description,
        "job": record.job,
        "origin_id": changes.writer["id"],
        "host": changes.writer["host"],
    }
    if changes.process is not None:
        seq, process = changes.process
        run["process_seq"] = seq
        _fill(run, process)
    if run["ended_by"] != "record" or late:
        # What a stub looked like was guessed: from here on its opener decides.
        _reopen(changes, run)
    if not late:
        changes.attempts.begin(run, run["attempt"], seq, record.start_us, record.restored_step)
    changes.opened.add(run["uid"])


def _open_again(changes: Changes, run: Row, seq: int, record: records.RunOpen) -> None:
    """Let a process take an ended run over as its next attempt; while its owner goes on, join."""
    same_job = record.job is not None and record.job == run["job"]
    ended = run["status"] != Status.RUNNING.value
    number = run["attempt"] + 1
    if record.attempt >= number:
        number = record.attempt
    elif record.resume == "never":
        other = {"writer": changes.writer["uid"], "name": record.name}
        changes.conflict(run, "run", None, {"name": run["name"]}, other)
        return
    elif changes.attempts.is_own(run):
        if ended:  # a notebook goes on with its run
            _reopen(changes, run)
        return
    elif not same_job and (not ended or record.start_us <= run["end_us"]):
        return  # it joined while the owner was at work, whatever is known of it by now
    changes.attempts.begin(run, number, seq, record.start_us, record.restored_step)
    run["attempt"] = number
    _reopen(changes, run)


def _reopen(changes: Changes, run: Row) -> None:
    run |= {
        "status": Status.RUNNING.value,
        "ended_by": None,
        "end_us": None,
        "exit_code": None,
        "error": None,
        "owner_id": changes.writer["id"],
    }


def _update(changes: Changes, run: Row, record: records.RunUpdate) -> None:
    if record.name is not None:
        run["name"] = record.name
    if record.kind is not None:
        run["kind"] = record.kind
    if record.description is not None:
        run["description"] = record.description
    if record.restored_step is not None:
        changes.attempts.restored(run, record.restored_step)
    if record.parent is not None:
        run |= {"parent_uid": record.parent, "adopt": False}
        changes.opened.add(run["uid"])
    if record.reopened:
        _reopen(changes, run)


def _end(changes: Changes, run: Row, record: records.RunEnd) -> None:
    if run["owner_id"] not in (None, changes.writer["id"]):
        return  # a process that joined somebody else's run has left it
    if run["ended_by"] == "record":
        if run["status"] != record.status:
            changes.conflict(run, "status", None, run["status"], record.status)
        elif run["exit_code"] is None:
            run["exit_code"] = record.exit_code
        return
    run |= {
        "status": record.status,
        "ended_by": "record",
        "end_us": record.end_us,
        "exit_code": record.exit_code,
        "error": record.error,
    }


def _param(changes: Changes, run: Row, key: str, columns: ParamColumns) -> None:
    place = (run["id"], changes.names.key("param", key))
    first = changes.params.setdefault(place, columns)
    if first != columns:
        changes.conflict(run, "param", key, first.text, columns.text)


def _process(changes: Changes, seq: int, record: records.Process) -> None:
    changes.process = (seq, record)
    data = to_json(msgspec.to_builtins(record))
    changes.processes.append({"writer_id": changes.writer["id"], "seq": seq, "data": data})
    for run in changes.runs.values():
        if run["origin_id"] == changes.writer["id"]:
            _fill(run, record)


def _fill(run: Row, process: records.Process) -> None:
    """Set what is not known of a run yet: a process may learn late whether its tree is dirty."""
    run["recipe"] = None
    for column, name in _PROVENANCE.items():
        if run[column] is None:
            run[column] = getattr(process, name)


def provenance(process: records.Process) -> Row:
    """Return the columns of a run that its process fills."""
    return {column: getattr(process, name) for column, name in _PROVENANCE.items()}


def _span(changes: Changes, run_id: int | None, record: records.SpanOpen) -> None:
    changes.spans[record.span] = {
        "writer_id": changes.writer["id"],
        "span": record.span,
        "run_id": run_id,
        "role": record.role,
        "kind": record.kind,
        "name": record.name,
        "open_us": record.wall_us,
        "close_us": None,
    }
