"""`autolog status`: what a store holds, how large it is, and what is not folded into it yet."""

from __future__ import annotations

from collections import Counter
from typing import TYPE_CHECKING, Any

import click

from autolog.cli.options import examples, json_option, store_option

if TYPE_CHECKING:
    from autolog.journal.reader import Damage
    from autolog.store import Store
    from autolog.store.location import Location

__all__ = ["command"]


@click.command("status", epilog=examples("autolog status", "autolog status --json | jq .runs"))
@store_option
@json_option
def command(*, store: str | None, as_json: bool) -> None:
    """Say where the store is, how large it is, and what it holds.

    Journals are counted as they were found; looking folds them into the store. Exit code 1 if a
    journal is damaged: what could be read of it is in the store.
    """
    from autolog.cli.output import emit

    found = examine(store)
    if as_json:
        emit(found)
    else:
        _print(found)
    if found["damage"]:
        raise SystemExit(1)


def examine(uri: str | None) -> dict[str, Any]:
    """Return what `status --json` prints, and fold the journals."""
    from autolog.cli.volume import database_bytes, folder_volume
    from autolog.store import open_store
    from autolog.store.fold import fold
    from autolog.store.location import locate

    location = locate(uri)
    store = open_store(location)
    try:
        journals = _journals(store, location)
        report = fold(store)
        statuses = store.usage().statuses
        damage = {(one.path, one.offset): one for one in [*report.damage, *_kept_damage(store)]}
        return {
            "store": location.uri,
            "notice": location.notice,
            "writable": store.writable,
            "database": {"path": location.database, "bytes": database_bytes(location)},
            "journals": journals,
            "artifacts": {
                "folder": str(location.artifacts),
                **folder_volume(location.artifacts),
            },
            "experiments": store.experiments(),
            "runs": {"total": sum(statuses.values()), "by_status": statuses},
            "damage": [
                {"path": str(one.path), "offset": one.offset, "length": one.length, "why": one.why}
                for one in damage.values()
            ],
        }
    finally:
        store.close()


def _journals(store: Store, location: Location) -> dict[str, Any]:
    """Count the journals, and the bytes of them that the store has not taken in."""
    from autolog.cli.volume import journal_volume
    from autolog.journal.files import list_writers
    from autolog.store.fold import behind

    writers = Counter(files.state() for files in list_writers(location.journal))
    return {
        "folder": str(location.journal),
        **journal_volume(location),
        "writers": {state: writers[state] for state in ("alive", "dead", "unknown")},
        "unfolded_bytes": behind(store),
    }


def _kept_damage(store: Store) -> list[Damage]:
    """Find the damage in files that are kept for it: their writers have ended, all was read."""
    from autolog.journal.files import list_writers
    from autolog.journal.reader import Cursor, read

    found = list_writers(store.location.journal)
    known = store.writers(files.uid for files in found)
    ended = {uid for uid, row in known.items() if row.state in ("closed", "dead")}
    damage: list[Damage] = []
    for files in found:
        cursor, more = Cursor(), files.uid in ended
        while more:
            chunk = read(files, cursor)
            damage += chunk.damage
            cursor, more = chunk.cursor, chunk.more
    return damage


def _print(found: dict[str, Any]) -> None:
    from rich.text import Text

    from autolog.cli.format import count, plain, size
    from autolog.cli.output import STATUS_STYLES, screen, table, write

    rows = table("", "", show_header=False)
    rows.columns[0].style = "dim"
    rows.add_row("store", plain(found["store"]))
    if found["notice"]:
        rows.add_row("", Text(found["notice"], style="yellow"))
    if not found["writable"]:
        exists = found["database"]["bytes"] != 0
        rows.add_row("", "read only" if exists else "not there yet; the first run creates it")
    if found["database"]["bytes"] is not None:
        rows.add_row("database", size(found["database"]["bytes"]))
    journals, artifacts = found["journals"], found["artifacts"]
    writers = ", ".join(f"{many} {state}" for state, many in journals["writers"].items() if many)
    rows.add_row(
        "journals",
        f"{size(journals['bytes'])} in {count(journals['files'], 'file')}"
        + (f", writers: {writers}" if writers else ""),
    )
    if journals["unfolded_bytes"]:
        done = "folded into the store just now" if found["writable"] else "not in the store yet"
        rows.add_row("", f"{size(journals['unfolded_bytes'])} {done}")
    rows.add_row("artifacts", f"{size(artifacts['bytes'])} in {count(artifacts['files'], 'file')}")
    rows.add_row("experiments", str(len(found["experiments"])))
    states = Text(str(found["runs"]["total"]))
    for state, many in sorted(found["runs"]["by_status"].items()):
        states.append(", " if ":" in states.plain else ": ")
        states.append(f"{many} {state}", style=STATUS_STYLES.get(state, ""))
    rows.add_row("runs", states)
    for one in found["damage"]:
        said = f"{one['path']} at byte {one['offset']}: {one['why']} ({one['length']} bytes)"
        rows.add_row(Text("damage", style="red"), plain(said))
    write(screen(), rows)
