"""Applies one batch of one writer in one transaction, exactly once.

Lock order, the same for every caller: new names in a transaction of their own, then the writer's
row, then run rows by id. The writer's row holds the cursor, so a batch and the cursor behind it
are kept together or not at all.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import Any

import msgspec
import numpy as np
from sqlalchemy import Connection, func, literal, select, update

from autolog.journal import records
from autolog.journal.columns import Points
from autolog.journal.reader import Cursor
from autolog.store.batch import Batch
from autolog.store.sql import blob, tree
from autolog.store.sql.adoption import ask_for_group
from autolog.store.sql.attempts import Attempts
from autolog.store.sql.changes import Changes, Row, provenance, take, wall_of
from autolog.store.sql.connect import Database
from autolog.store.sql.deaths import clock
from autolog.store.sql.names import Dataset, Names, batched, context_name, insert
from autolog.store.sql.ranks import group_runs
from autolog.store.sql.schema import metadata
from autolog.store.sql.seal import LARGE, seal
from autolog.store.sql.values import from_json, to_json
from autolog.store.sql.write import write_changes

__all__ = ["apply", "cursor_of"]

_run = metadata.tables["run"]
_writer = metadata.tables["writer"]
_process = metadata.tables["process"]
_tail = metadata.tables["tail"]

_STUB_NAME = 8
_MANY_BLOBS = 64


def apply(database: Database, names: Names, batch: Batch) -> bool:
    """Apply a batch; False if the cursor of its writer is not where the batch was read from."""
    _resolve(names, batch)
    return database.transact(lambda connection: _apply(connection, names, batch))


def _apply(connection: Connection, names: Names, batch: Batch) -> bool:
    writer = _lock_writer(connection, batch)
    cursor, since = cursor_of(writer), batch.since
    if (cursor.segment, cursor.offset, cursor.seq) != (since.segment, since.offset, since.seq):
        return False
    process = _known_process(connection, writer, batch)
    runs = _lock_runs(connection, writer, batch)
    aliases = group_runs(runs)
    if aliases:
        runs |= _select_runs(connection, sorted(set(aliases.values()) - runs.keys()))
    attempts = Attempts(connection, writer["id"], runs.values())
    changes = Changes(writer, runs, names, attempts, aliases, process)
    for entry in batch.chunk.entries:
        take(changes, entry)
    for damage in batch.chunk.damage:
        place = {"file": damage.path.name, "offset": damage.offset, "length": damage.length}
        mark = f"damage:{damage.path.name}:{damage.offset}"
        changes.event(None, "damage", place | {"why": damage.why}, mark=mark)
    tails = _tails(changes, batch.chunk.points)
    write_changes(connection, changes)
    if tails:
        connection.execute(_tail.insert(), tails)
        _gather(connection, tails, changes)
    tree.place(connection, changes.opened)
    if changes.writer["group_rank"] and (changes.opened or changes.grouped):
        ask_for_group(connection, writer["id"])
    _move_cursor(connection, writer, batch)
    return True


def cursor_of(row: Any) -> Cursor:
    """Return the cursor that a row of `writer` holds."""
    return Cursor(
        segment=row["segment"],
        offset=row["byte_offset"],
        seq=row["cursor_seq"],
        dictionary=row["dictionary"] or b"",
    )


def _resolve(names: Names, batch: Batch) -> None:
    keys: set[tuple[str, str]] = set()
    experiments: dict[str, int] = {}
    datasets: set[Dataset] = set()
    for entry in batch.chunk.entries:
        match entry.record:
            case records.RunOpen(experiment=name, start_us=start_us):
                experiments.setdefault(name, start_us)
            case records.Params(values=values):
                keys.update(("param", key) for key in values)
            case records.Tags(values=tags):
                keys.update(("tag", key) for key in tags)
            case records.Input(name=name, profile=profile):
                datasets.add(Dataset(name, to_json(profile)))
            case _:
                pass
    for points in batch.chunk.points:
        keys.update(("metric", key) for key in points.keys)
        keys.add(("context", context_name(_context(points))))
    names.resolve(keys, experiments, datasets)


def _context(points: Points) -> dict[str, Any]:
    body = msgspec.structs.asdict(points.context)
    del body["id"]
    return body


def _lock_writer(connection: Connection, batch: Batch) -> Row:
    header = batch.header
    query = select(_writer).where(_writer.c.uid == header.writer).with_for_update()
    found = connection.execute(query).mappings().first()
    if found is None:
        ancestors = [[process.pid, process.start] for process in header.ancestors]
        row = {
            "uid": header.writer,
            "start_us": header.wall_us,
            "last_us": header.wall_us,
            "host": header.host,
            "machine": header.machine,
            "boot": header.boot,
            "pid_namespace": header.pid_namespace,
            "pid": header.process.pid,
            "pid_start": header.process.start,
            "ancestors": to_json(ancestors) if ancestors else None,
        }
        connection.execute(insert(connection, _writer).on_conflict_do_nothing(), row)
        found = connection.execute(query).mappings().one()
    return dict(found)


def _known_process(
    connection: Connection, writer: Row, batch: Batch
) -> tuple[int, records.Process] | None:
    """Return what the writer said last of its process, once that is needed.

    A new Process record in the batch also fills what runs outside the batch do not know yet.
    """
    new = [e.record for e in batch.chunk.entries if isinstance(e.record, records.Process)]
    for process in new:
        fresh = provenance(process)
        values = {
            name: func.coalesce(_run.c[name], literal(value, _run.c[name].type))
            for name, value in fresh.items()
        }
        mine = update(_run).where(_run.c.origin_id == writer["id"])
        connection.execute(mine.values(**values, recipe=None, ver=_run.c.ver + 1))
    if not any(isinstance(entry.record, records.RunOpen) for entry in batch.chunk.entries):
        return None
    query = select(_process.c.seq, _process.c.data).where(_process.c.writer_id == writer["id"])
    row = connection.execute(query.order_by(_process.c.seq.desc()).limit(1)).first()
    return row and (row.seq, msgspec.convert(from_json(row.data), records.Process))


def _lock_runs(connection: Connection, writer: Row, batch: Batch) -> dict[str, Row]:
    """Lock the rows of all runs that the batch speaks of, in the order of their ids.

    A run that is not there yet gets a stub: its points may come before its RunOpen.
    """
    first_seen: dict[str, int] = {}
    for entry in batch.chunk.entries:
        if entry.run_uid is not None:
            first_seen.setdefault(entry.run_uid, wall_of(entry.record) or writer["last_us"])
    for points in batch.chunk.points:
        earliest = int(points.wall_us.min())
        known = first_seen.get(points.run_uid, earliest)
        first_seen[points.run_uid] = min(known, earliest)
    rows = _select_runs(connection, sorted(first_seen))
    stubs = [
        {
            "uid": uid,
            "name": f"run-{uid[:_STUB_NAME]}",
            "root_uid": uid,
            "start_us": wall_us,
            "last_us": wall_us,
            "owner_id": writer["id"],
        }
        for uid, wall_us in sorted(first_seen.items())
        if uid not in rows
    ]
    if stubs:
        connection.execute(insert(connection, _run).on_conflict_do_nothing(), stubs)
        rows |= _select_runs(connection, sorted(first_seen.keys() - rows.keys()))
    return rows


def _select_runs(connection: Connection, uids: Sequence[str]) -> dict[str, Row]:
    rows: list[Row] = []
    for piece in batched(uids):
        query = select(_run).where(_run.c.uid.in_(piece)).order_by(_run.c.id).with_for_update()
        rows += map(dict, connection.execute(query).mappings())
    return {row["uid"]: row for row in rows}


def _tails(changes: Changes, points: Sequence[Points]) -> list[Row]:
    """Encode the points of each run as one blob."""
    by_run: dict[str, list[Points]] = {}
    for some in points:
        by_run.setdefault(changes.run(some.run_uid)["uid"], []).append(some)
    tails: list[Row] = []
    for uid, groups in by_run.items():
        run = changes.runs[uid]
        changes.revive(run)
        run["tail_no"] += 1
        run["tail_n"] += sum(group.values.size for group in groups)
        latest = max(int(group.wall_us.max()) for group in groups)
        run["last_us"] = max(run["last_us"], latest)
        changes.writer["last_us"] = max(changes.writer["last_us"], latest)
        changes.writer["state"] = "open"
        tails.append(
            {
                "run_id": run["id"],
                "no": run["tail_no"],
                "writer_id": changes.writer["id"],
                "seq": min(int(group.seq.min()) for group in groups),
                "n": sum(group.values.size for group in groups),
                "data": blob.encode(list(_blocks(changes, run["id"], groups))),
            }
        )
    return tails


def _gather(connection: Connection, tails: Sequence[Row], changes: Changes) -> None:
    """Seal a small run every so many blobs: one that is watched gets a blob of a few points a look.

    Larger ones are left to `Store.seal`.
    """
    many = {tail["run_id"] for tail in tails if tail["no"] % _MANY_BLOBS == 0}
    for run in changes.runs.values():
        if run["id"] in many and run["tail_n"] < LARGE:
            seal(connection, run["id"], thinnest=1)


def _blocks(changes: Changes, run_id: int, groups: Iterable[Points]) -> Iterable[blob.Block]:
    """Return a block for each group of points, and for each attempt that it reaches into."""
    for group in groups:
        if group.run_uid in changes.aliases:
            yield _block(changes.names, group, changes.runs[group.run_uid]["attempt"], slice(None))
            continue
        for attempt, which in changes.attempts.split(run_id, group):
            yield _block(changes.names, group, attempt, which)


def _block(names: Names, points: Points, attempt: int, which: Any) -> blob.Block:
    has_epoch = points.has_epoch[which]
    some, every = bool(has_epoch.any()), bool(has_epoch.all())
    return blob.Block(
        context=names.context(_context(points)),
        attempt=attempt,
        keys=np.array([names.key("metric", key) for key in points.keys], np.int64),
        seq=points.seq[which].astype(np.int64),
        step=points.step[which],
        wall_us=points.wall_us[which],
        values=points.values[which],
        epoch=points.epoch[which].astype(np.int64) if some else None,
        has_epoch=None if every or not some else has_epoch,
    )


def _move_cursor(connection: Connection, writer: Row, batch: Batch) -> None:
    cursor = batch.chunk.cursor
    columns = {
        "last_seq": batch.chunk.last_seq,
        "segment": cursor.segment,
        "byte_offset": cursor.offset,
        "cursor_seq": cursor.seq,
        "dictionary": cursor.dictionary,
        "state": "closed" if batch.chunk.ended else writer["state"],
        "last_us": writer["last_us"],
        "group_key": writer["group_key"],
        "group_rank": writer["group_rank"],
        "group_size": writer["group_size"],
    }
    if writer["beat_us"] is not None:  # who writes needs no beat to be heard
        columns["beat_us"] = clock(connection)
    mine = update(_writer).where(_writer.c.id == writer["id"])
    connection.execute(mine.values(**columns))
