"""Takes a run from elsewhere into the database, or what is new of one that is there.

One transaction a run, in the lock order of `apply`. The portrait is compared with that of the run
as it stands here, and only the difference is written, so taking a run in twice changes nothing.

Of what differs: the first value of a parameter stays, and the other becomes a conflict event; the
last value of a tag, a name, a description or a parent wins; an outcome only moves forward; what
is not known yet is filled in.
"""

from __future__ import annotations

import hashlib
from collections import Counter
from collections.abc import Mapping
from typing import Any, Final

import msgspec
from sqlalchemy import Connection, select, update

from autolog.entities import Status
from autolog.store.portrait import Attempt, Happening, Portrait, Taken, Witness
from autolog.store.sql import tree
from autolog.store.sql.attempts import Attempts
from autolog.store.sql.changes import Changes, Row
from autolog.store.sql.connect import Database
from autolog.store.sql.merging import Appended, missing
from autolog.store.sql.names import Dataset, Names, insert
from autolog.store.sql.schema import metadata
from autolog.store.sql.take_out import ATTEMPT_FIELDS, FIELDS, WITNESS_FIELDS, every_point, portray
from autolog.store.sql.values import param_columns, to_json
from autolog.store.sql.write import write_changes

__all__ = ["take_in"]

_run = metadata.tables["run"]
_writer = metadata.tables["writer"]
_process = metadata.tables["process"]
_imported = metadata.tables["imported"]
_attempt = metadata.tables["attempt"]

_OUTCOME: Final = ("status", "ended_by", "end_us", "exit_code", "error", "owner_id", "attempt")
_LAST_WINS: Final = ("name", "description", "parent_uid")
_MERGED: Final = (*_OUTCOME, *_LAST_WINS, "last_us", "start_us", "kind", "user_opened", "opened")
_FILLED: Final = (
    *(column for column in FIELDS.values() if column not in _MERGED),
    "experiment_id",
    "origin_id",
)
_TOP: Final = 1000
"""Where looking for a circle of parents is given up, as `tree` does."""


def take_in(database: Database, names: Names, portrait: Portrait) -> Taken:
    """Take in a run, or what is new of it; see `autolog.store.Store.take_in`."""
    if _has(database, portrait):
        return Taken(created=False, changed=False, points=0)
    _resolve(names, portrait)
    with database.write() as connection:
        carrier = _carrier(connection, portrait)
        witnesses = {one.uid: _witness(connection, one) for one in _by_uid(portrait.witnesses)}
        run, created = _lock_run(connection, portrait, carrier)
        before = dict(run)
        changes = Changes(
            carrier, {portrait.uid: run}, names, Attempts(connection, carrier["id"], [run])
        )
        points = _take_points(connection, changes, run, portrait)
        _compare(connection, changes, run, portrait, witnesses)
        changed = created or run != before or _any(changes)
        if changed:
            write_changes(connection, changes)
            recipe = update(_run).where(_run.c.id == run["id"], _run.c.recipe.is_(None))
            connection.execute(recipe.values(recipe=portrait.state.recipe))
            tree.place(connection, [portrait.uid])
        _remember(connection, run["id"], portrait)
    return Taken(created, changed, points)


def _has(database: Database, portrait: Portrait) -> bool:
    """Whether this very state was taken in before."""
    query = (
        select(_imported.c.ver)
        .join_from(_imported, _run, _run.c.id == _imported.c.run_id)
        .where(_run.c.uid == portrait.uid, _imported.c.source == portrait.source)
    )
    with database.read() as connection:
        return bool(connection.execute(query).scalar() == portrait.ver)


def _resolve(names: Names, portrait: Portrait) -> None:
    keys = {("param", name) for name in portrait.params} | {("tag", name) for name in portrait.tags}
    keys |= {("metric", name) for name in portrait.metrics}
    keys |= {("context", to_json(_ordered(body))) for body in portrait.contexts}
    experiment = portrait.state.experiment
    experiments = {} if experiment is None else {experiment: portrait.state.start_us}
    datasets = [Dataset(one.name, to_json(one.profile)) for one in portrait.inputs]
    names.resolve(keys, experiments, datasets)


def _ordered(body: Mapping[str, Any]) -> dict[str, Any]:
    return {key: body[key] for key in sorted(body) if body[key] is not None}


def _carrier(connection: Connection, portrait: Portrait) -> Row:
    """Lock the writer that stands for the other store; transfers from there take turns."""
    uid = f"store-{portrait.source}"
    query = select(_writer).where(_writer.c.uid == uid).with_for_update()
    found = connection.execute(query).mappings().first()
    if found is None:
        moment = portrait.state.last_us
        row = {"uid": uid, "start_us": moment, "last_us": moment, "state": "closed"}
        connection.execute(insert(connection, _writer).on_conflict_do_nothing(), row)
        found = connection.execute(query).mappings().one()
    return dict(found)


def _by_uid(witnesses: list[Witness]) -> list[Witness]:
    return sorted(witnesses, key=lambda one: one.uid)


def _witness(connection: Connection, witness: Witness) -> int:
    """Return the id of a process that is known now; nobody here can tell whether it lives."""
    row = {name: getattr(witness, name) for name in WITNESS_FIELDS}
    if row["state"] == "open":
        row["state"] = "silent"
    connection.execute(insert(connection, _writer).on_conflict_do_nothing(), row)
    query = select(_writer.c.id).where(_writer.c.uid == witness.uid)
    return int(connection.execute(query).scalar_one())


def _lock_run(connection: Connection, portrait: Portrait, carrier: Row) -> tuple[Row, bool]:
    """Lock the row of the run, made now if it was not there; return whether it was."""
    query = select(_run).where(_run.c.uid == portrait.uid).with_for_update()
    found = connection.execute(query).mappings().first()
    if found is not None:
        return dict(found), False
    state = portrait.state
    row = {
        "uid": portrait.uid,
        "name": state.name,
        "root_uid": portrait.uid,
        "start_us": state.start_us,
        "last_us": state.last_us,
        "owner_id": carrier["id"],
    }
    connection.execute(insert(connection, _run).on_conflict_do_nothing(), row)
    return dict(connection.execute(query).mappings().one()), True


def _take_points(connection: Connection, changes: Changes, run: Row, portrait: Portrait) -> int:
    appended = Appended(connection, changes.names, changes.writer, run)
    empty = run["tail_no"] == 0  # no blob was ever appended
    for metric, points in portrait.points:
        have = None if empty else every_point(connection, run["id"], metric)
        appended.add(metric, points, missing(have, points, changes.names))
    appended.flush()
    changes.writer["last_seq"] += appended.longest
    mine = update(_writer).where(_writer.c.id == changes.writer["id"])
    connection.execute(mine.values(last_seq=changes.writer["last_seq"]))
    return appended.count


def _compare(
    connection: Connection,
    changes: Changes,
    run: Row,
    portrait: Portrait,
    witnesses: dict[str, int],
) -> None:
    """Gather what the portrait says and the run here does not."""
    row = connection.execute(select(_run).where(_run.c.id == run["id"])).one()
    known = portray(connection, row, portrait.source)
    _merge_state(connection, changes, run, portrait, witnesses)
    for name, value in portrait.params.items():
        _param(changes, run, portrait, known, name, value)
    for name, text in portrait.tags.items():
        if known.tags.get(name) != text:
            changes.tags[run["id"], changes.names.key("tag", name)] = text
    _add_events(changes, run["id"], changes.writer["id"], portrait.events, known.events)
    here = {(model.name, model.format): model for model in known.models}
    for model in portrait.models:
        if here.get((model.name, model.format)) != model:
            row = msgspec.structs.asdict(model) | {"run_id": run["id"]}
            row |= {"paths": to_json(model.paths), "manifest": to_json(model.manifest)}
            changes.models[run["id"], model.name, model.format] = row
    for file in set(portrait.artifacts).difference(known.artifacts):
        row = msgspec.structs.asdict(file) | {"run_id": run["id"]}
        changes.artifacts[run["id"], file.path] = row
    for one in portrait.inputs:
        if one not in known.inputs:
            dataset = changes.names.dataset(Dataset(one.name, to_json(one.profile)))
            changes.inputs.add((run["id"], dataset, one.role))
    for witness in portrait.witnesses:
        _take_words(connection, changes, witness, witnesses[witness.uid])
    attempts = [one for one in portrait.attempts if one not in known.attempts]
    _put_attempts(connection, run["id"], attempts, witnesses)


def _put_attempts(
    connection: Connection, run_id: int, attempts: list[Attempt], witnesses: Mapping[str, int]
) -> None:
    if not attempts:
        return
    statement: Any = insert(connection, _attempt)
    new = {field: statement.excluded[field] for field in (*ATTEMPT_FIELDS, "writer_id")}
    keys = ["run_id", "attempt"]
    rows = [
        {"run_id": run_id, "writer_id": witnesses.get(one.writer or "")}
        | {field: getattr(one, field) for field in ATTEMPT_FIELDS}
        for one in attempts
    ]
    connection.execute(statement.on_conflict_do_update(index_elements=keys, set_=new), rows)


def _merge_state(
    connection: Connection,
    changes: Changes,
    run: Row,
    portrait: Portrait,
    witnesses: dict[str, int],
) -> None:
    state = portrait.state
    new: Row = {column: getattr(state, field) for field, column in FIELDS.items()}
    new["origin_id"] = witnesses.get(state.origin or "")
    new["owner_id"] = witnesses.get(state.owner or "", run["owner_id"])
    new["experiment_id"] = state.experiment and changes.names.experiment(state.experiment)
    stub = not run["opened"]
    if _progress(new) > _progress(run) or (stub and run["status"] == Status.RUNNING.value):
        run |= {column: new[column] for column in _OUTCOME}
    if state.opened:
        for column in _LAST_WINS:
            if new[column] is not None:
                run[column] = new[column]
        if stub:
            run |= {name: new[name] for name in ("start_us", "kind", "user_opened", "opened")}
    if run["parent_uid"] is not None and _circle(connection, run):
        run["parent_uid"] = None if stub else _parent_here(connection, run)
    for column in _FILLED:
        if run[column] is None and new[column] is not None:
            run[column] = new[column]
            if column == "experiment_id":
                changes.moved.add(run["id"])
    run["last_us"] = max(run["last_us"], state.last_us)


def _progress(row: Row) -> tuple[int, int, int]:
    """Order the outcomes of a run: by attempt, running before gone before ended by its word."""
    said = 0 if row["status"] == Status.RUNNING.value else 2 if row["ended_by"] == "record" else 1
    return row["attempt"], said, row["end_us"] or 0


def _circle(connection: Connection, run: Row) -> bool:
    """Whether the run would stand below itself."""
    above: str | None = run["parent_uid"]
    for _ in range(_TOP):
        if above is None or above == run["uid"]:
            return above is not None
        query = select(_run.c.parent_uid).where(_run.c.uid == above)
        above = connection.execute(query).scalar()
    return True


def _parent_here(connection: Connection, run: Row) -> str | None:
    return connection.execute(select(_run.c.parent_uid).where(_run.c.id == run["id"])).scalar()


def _param(
    changes: Changes, run: Row, portrait: Portrait, known: Portrait, name: str, value: Any
) -> None:
    columns = param_columns(value)
    if name not in known.params:
        changes.params[run["id"], changes.names.key("param", name)] = columns
        return
    kept = param_columns(known.params[name])
    if kept != columns:
        data = {"field": "param", "key": name, "kept": kept.text, "refused": columns.text}
        mark = hashlib.sha256(f"{portrait.uid}\0{to_json(data)}".encode()).hexdigest()
        moment = portrait.state.last_us
        changes.event(run, "conflict", data, moment, mark=f"conflict:{mark}")


def _take_words(connection: Connection, changes: Changes, witness: Witness, writer_id: int) -> None:
    """Gather what a process has said of itself and what happened to it."""
    said = select(_process.c.seq).where(_process.c.writer_id == writer_id)
    known = set(connection.execute(said).scalars())
    changes.processes += [
        {"writer_id": writer_id, "seq": seq, "data": data}
        for seq, data in witness.records
        if seq not in known
    ]
    event = metadata.tables["event"]
    query = select(event.c.wall_us, event.c.kind, event.c.data).where(
        event.c.writer_id == writer_id, event.c.run_id.is_(None)
    )
    here = [Happening(*row) for row in connection.execute(query)]
    _add_events(changes, None, writer_id, witness.events, here)


def _add_events(
    changes: Changes,
    run_id: int | None,
    writer_id: int,
    events: list[Happening],
    known: list[Happening],
) -> None:
    """Gather the events that are not known as often as they are said to have happened."""
    rest = Counter(known)
    for one in events:
        if rest[one] > 0:
            rest[one] -= 1
        else:
            row = msgspec.structs.asdict(one) | {"run_id": run_id, "writer_id": writer_id}
            changes.events.append(row | {"mark": None})


def _any(changes: Changes) -> bool:
    fields = (changes.params, changes.tags, changes.events, changes.artifacts, changes.models)
    return any(fields) or bool(changes.inputs or changes.processes)


def _remember(connection: Connection, run_id: int, portrait: Portrait) -> None:
    row = {"run_id": run_id, "source": portrait.source, "ver": portrait.ver}
    statement: Any = insert(connection, _imported).values(row)
    keys = ["run_id", "source"]
    connection.execute(
        statement.on_conflict_do_update(index_elements=keys, set_={"ver": portrait.ver})
    )
