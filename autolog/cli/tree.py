"""`autolog store delete | restore | move RUN`: change the tree of runs."""

from __future__ import annotations

import click

from autolog.cli.format import count, plain
from autolog.cli.options import examples, json_option, reading, store_option
from autolog.errors import UsageError

__all__ = ["delete", "move", "restore"]


@click.command("delete", epilog=examples("autolog store delete SVC-k3fa --recursive"))
@click.argument("run")
@click.option("--recursive", "-r", is_flag=True, help="Delete all runs below it, too.")
@store_option
@json_option
def delete(*, run: str, recursive: bool, store: str | None, as_json: bool) -> None:
    """Delete a run: lists and searches pass over it.

    Nothing is removed yet: `autolog store restore RUN` brings it back.
    """
    with reading(store) as opened:
        found = opened.run(run)
        if found.children and not recursive:
            raise UsageError(
                f"run {found.name} has {count(found.children, 'run')} right below it:"
                " --recursive deletes them with it"
            )
        done = opened.delete_run(found.run_id, recursive=recursive)
        _say(as_json, found.run_id, done, f"Deleted {count(done, 'run')}.")


@click.command("restore", epilog=examples("autolog store restore SVC-k3fa"))
@click.argument("run")
@store_option
@json_option
def restore(*, run: str, store: str | None, as_json: bool) -> None:
    """Bring back a deleted run, with the runs that were deleted together with it."""
    with reading(store) as opened:
        found = opened.run(run)
        done = opened.restore_run(found.run_id)
        _say(as_json, found.run_id, done, f"Restored {count(done, 'run')}.")


@click.command(
    "move",
    epilog=examples(
        "autolog store move SVC-k3fa study-9xwb", "autolog store move SVC-k3fa --to-root"
    ),
)
@click.argument("run")
@click.argument("parent", required=False)
@click.option("--to-root", is_flag=True, help="Put it below no run.")
@store_option
@json_option
def move(*, run: str, parent: str | None, to_root: bool, store: str | None, as_json: bool) -> None:
    """Put RUN, with all runs below it, below PARENT."""
    if (parent is None) != to_root:
        raise UsageError("name either the parent or --to-root")
    with reading(store) as opened:
        found = opened.run(run)
        opened.move_run(found.run_id, parent)
        below = "below no run" if parent is None else f"below {plain(opened.run(parent).name)}"
        _say(as_json, found.run_id, 1, f"Moved {plain(found.name)} {below}.")


def _say(as_json: bool, run_id: str, runs: int, text: str) -> None:
    if as_json:
        from autolog.cli.output import emit

        emit({"run_id": run_id, "runs": runs})
    else:
        click.echo(text)
