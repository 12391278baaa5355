"""`autolog gc`: removes for good what was deleted and what nobody needs."""

from __future__ import annotations

from typing import TYPE_CHECKING

import click

from autolog.cli.options import (
    examples,
    json_option,
    require_experiment,
    store_option,
    writing,
)
from autolog.errors import UsageError

if TYPE_CHECKING:
    from autolog.artifacts.collection import Collected, Plan
    from autolog.store.removal import Doomed, Retention

__all__ = ["command"]

_SHOWN = 20


@click.command(
    "gc",
    epilog=examples(
        "autolog gc --dry-run",
        "autolog gc --older-than 0",
        "autolog gc -e churn --keep-best 5 --by val/auc --keep-last 10",
    ),
)
@click.option("--dry-run", is_flag=True, help="Say what would go, and change nothing.")
@click.option(
    "--older-than",
    type=click.FloatRange(min=0),
    default=30,
    metavar="DAYS",
    show_default=True,
    help="Remove runs that were deleted that long ago.",
)
@click.option(
    "--keep-best",
    type=click.IntRange(min=1),
    metavar="K",
    help="Files and models of the K best runs of an experiment stay; see --by.",
)
@click.option("--by", metavar="METRIC", help="The metric, by its last value, for --keep-best.")
@click.option(
    "--mode",
    type=click.Choice(["max", "min"]),
    default="max",
    show_default=True,
    help="Whether high or low values are good.",
)
@click.option(
    "--keep-last",
    type=click.IntRange(min=1),
    metavar="N",
    help="Files and models of the N newest runs of an experiment stay.",
)
@click.option("--experiment", "-e", metavar="NAME", help="Only runs of this experiment.")
@store_option
@json_option
def command(
    *,
    dry_run: bool,
    older_than: float,
    keep_best: int | None,
    by: str | None,
    mode: str,
    keep_last: int | None,
    experiment: str | None,
    store: str | None,
    as_json: bool,
) -> None:
    """Remove for good what was deleted, and files that nothing names any more.

    Without --keep-best and --keep-last no run that is not deleted loses anything. With them, runs
    outside of both lose their files and models, and keep metrics, params and tags; a run with a
    registered model, or with a tag `keep`, is spared. A file stays while a run is being recorded
    that may be about to name it. Space in the database is used again for new runs.

    It can be interrupted, and started again, at any time.

    Exit codes: 0 all of it is gone, 1 something could not be removed (it is named), 2 the command
    line makes no sense.
    """
    from autolog.artifacts.collection import collect, make_plan
    from autolog.cli.output import emit, notify
    from autolog.cli.progress import progress

    rules = _rules(keep_best, by, mode, keep_last)
    with writing(store) as opened:
        if experiment is not None:
            require_experiment(opened, experiment)
        plan = make_plan(opened, older_than=older_than, rules=rules, experiment=experiment)
        if dry_run:
            emit(plan) if as_json else _print_plan(plan)
            return
        with progress("Removing") as step:
            done = collect(opened, plan, rules, progress=step)
    emit(done) if as_json else _print_done(done)
    for error in done.errors:
        notify(error)
    if done.errors:
        raise SystemExit(1)


def _rules(best: int | None, by: str | None, mode: str, last: int | None) -> Retention | None:
    from autolog.store.removal import Retention

    if (best is None) != (by is None):
        raise UsageError("--keep-best K and --by METRIC belong together")
    if best is None and last is None:
        return None
    return Retention(best=best or 0, by=by, mode="min" if mode == "min" else "max", last=last or 0)


def _print_plan(plan: Plan) -> None:
    from autolog.cli.format import count, size

    _print_runs("Runs that go", plan.runs)
    _print_runs("Runs that lose their files and models", plan.stripped)
    click.echo(f"{count(plan.files, 'file')} that nothing else names: {size(plan.bytes)}")
    if plan.temporary:
        unfinished = count(plan.temporary, "unfinished file")
        click.echo(f"{unfinished}: {size(plan.temporary_bytes)}")
    if plan.young:
        click.echo(f"{count(plan.young, 'file')} that nothing names may still be wanted: kept")
    click.echo("Nothing was changed.")


def _print_runs(title: str, runs: list[Doomed]) -> None:
    from rich.text import Text

    from autolog.cli.format import plain, size
    from autolog.cli.output import screen, table, write

    click.echo(f"{title}: {len(runs) or 'none'}")
    if not runs:
        return
    rows = table("run", "id", "experiment", "points", "files", "", right=("points", "files", ""))
    for run in runs[:_SHOWN]:
        row = (plain(run.name), run.run_id, plain(run.experiment))
        rows.add_row(*map(Text, row), str(run.points), str(run.files), size(run.bytes))
    write(screen(pipe_width=1000), rows)
    if len(runs) > _SHOWN:
        click.echo(f"and {len(runs) - _SHOWN} more; --json lists all")


def _print_done(done: Collected) -> None:
    from autolog.cli.format import count, size

    files = done.files + done.temporary
    parts = {
        count(done.runs, "run"): done.runs,
        f"what {count(done.stripped, 'other run')} had stored": done.stripped,
        f"{count(files, 'file')} ({size(done.bytes + done.temporary_bytes)})": files,
    }
    removed = [text for text, many in parts.items() if many]
    click.echo(f"Removed {', '.join(removed)}." if removed else "There was nothing to remove.")
