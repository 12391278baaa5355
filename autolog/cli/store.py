"""`autolog store`: where the store is, how large it is, and what is in it."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import click

from autolog.cli import tree
from autolog.cli.options import examples, json_option, reading, store_option

if TYPE_CHECKING:
    from autolog.store import Store

__all__ = ["command"]


@click.group(
    "store",
    invoke_without_command=True,
    epilog=examples(
        "autolog store",
        "autolog store --json | jq .artifacts.bytes",
        "autolog store delete SVC-k3fa --recursive",
        "autolog store upgrade",
    ),
)
@store_option
@json_option
@click.pass_context
def command(ctx: click.Context, *, store: str | None, as_json: bool) -> None:
    """Say where the store is, how large each part of it is, and what `autolog gc` would free.

    Alone it only looks, folding the journals into the store as every command does.

    Exit codes: 0 all is well, 1 the store cannot be read, 2 the command line makes no sense.
    """
    if ctx.invoked_subcommand is not None:
        return
    from autolog.cli.output import emit

    with reading(store) as opened:
        found = examine(opened)
    if as_json:
        emit(found)
    else:
        _print(found)


for _change in (tree.delete, tree.restore, tree.move):
    command.add_command(_change)


@command.command("upgrade", epilog=examples("autolog store upgrade --store postgresql://db/runs"))
@store_option
@json_option
def upgrade(*, store: str | None, as_json: bool) -> None:
    """Bring the store to the newest schema.

    A database on a server is shared, so only this command changes its schema: programs of older
    versions go on journalling and need an update to read. An embedded file is upgraded whenever it
    is opened, after a copy.
    """
    from autolog.cli.output import emit
    from autolog.store import upgrade_store

    before, after = upgrade_store(store)
    if as_json:
        emit({"before": before, "after": after})
    elif before == after:
        click.echo(f"The store has the newest schema, {after}.")
    else:
        click.echo(f"Upgraded the store from schema {before or 'none'} to {after}.")


def examine(store: Store) -> dict[str, Any]:
    """Return what `store --json` prints."""
    from autolog.artifacts.collection import make_plan
    from autolog.artifacts.repository import Repository
    from autolog.cli.volume import database_bytes, journal_volume

    location, usage = store.location, store.usage()
    sizes = Repository(location.artifacts).sizes()
    plan = make_plan(store, older_than=30, rules=None, experiment=None)
    return {
        "store": store.uri,
        "identity": store.identity(),
        "writable": store.writable,
        "revision": usage.revision,
        "runs": usage.runs,
        "experiments": usage.experiments,
        "points": usage.points,
        "unsealed_points": usage.unsealed,
        "database": {"path": location.database, "bytes": database_bytes(location)},
        "journals": {"folder": location.journal, **journal_volume(location)},
        "artifacts": {
            "folder": location.artifacts,
            "bytes": sizes.bytes,
            "blobs": sizes.blobs,
            "names": usage.files,
            "shared": usage.shared,
            "saved_bytes": usage.saved_bytes,
        },
        "collectable": {
            "runs": len(plan.runs),
            "files": plan.files + plan.temporary,
            "bytes": plan.bytes + plan.temporary_bytes,
        },
    }


def _print(found: dict[str, Any]) -> None:
    from autolog.cli.format import count, plain, size
    from autolog.cli.output import screen, table, write

    rows = table("", "", show_header=False)
    rows.columns[0].style = "dim"
    rows.add_row("store", plain(found["store"]))
    if not found["writable"]:
        rows.add_row("", "read only, or not there yet")
    rows.add_row("schema", found["revision"] or "none yet")
    lifecycles = ", ".join(f"{many} {name}" for name, many in sorted(found["runs"].items()))
    rows.add_row("runs", lifecycles or "none")
    rows.add_row("experiments", str(found["experiments"]))
    rows.add_row("points", f"{found['points']:,}")
    if found["database"]["bytes"] is not None:
        rows.add_row("database", size(found["database"]["bytes"]))
    journals, artifacts = found["journals"], found["artifacts"]
    rows.add_row("journals", f"{size(journals['bytes'])} in {count(journals['files'], 'file')}")
    rows.add_row("artifacts", f"{size(artifacts['bytes'])} in {count(artifacts['blobs'], 'file')}")
    if artifacts["shared"]:
        shared = count(artifacts["shared"], "file")
        rows.add_row("", f"{shared} under several names, {size(artifacts['saved_bytes'])} saved")
    free = found["collectable"]
    if free["runs"] or free["files"]:
        said = f"{count(free['runs'], 'deleted run')} and {count(free['files'], 'file')}"
        rows.add_row("gc", f"{said}, {size(free['bytes'])}: autolog gc --dry-run")
    write(screen(), rows)
