"""`autolog ls`: the runs of a store, as a table or as trees."""

from __future__ import annotations

from collections.abc import Iterator
from typing import TYPE_CHECKING, Any

import click

from autolog.cli.options import (
    examples,
    json_option,
    reading,
    require_experiment,
    store_option,
)
from autolog.entities import Run, Status
from autolog.errors import UsageError

if TYPE_CHECKING:
    from autolog.store import Store

__all__ = ["command", "every_run", "show_runs"]

_DEFAULT_LIMIT = 30
_PAGE = 500


@click.command(
    "ls",
    epilog=examples(
        "autolog ls --tree",
        "autolog ls --experiment churn --status FAILED",
        "autolog ls --same SVC-k3fa",
        "autolog ls --json | jq '.[0].metrics'",
    ),
)
@click.option("--tree", is_flag=True, help="Draw runs below their parents.")
@click.option(
    "--roots", is_flag=True, help="Only runs below no other, with their children counted."
)
@click.option(
    "--same",
    metavar="RUN",
    help="Only runs made of the same source, params, data and versions, whatever their seeds,"
    " and how their metrics spread.",
)
@click.option("--experiment", "-e", metavar="NAME", help="Only runs of this experiment.")
@click.option(
    "--status",
    type=click.Choice([status.value for status in Status], case_sensitive=False),
    help="Only runs in this state.",
)
@click.option(
    "--limit",
    "-n",
    type=click.IntRange(min=1),
    metavar="N",
    help=f"At most N runs, the newest; with --tree N trees."
    f" Default: {_DEFAULT_LIMIT}, with --json all.",
)
@click.option(
    "--metric", "-m", "metrics", multiple=True, metavar="KEY", help="Show this metric; repeatable."
)
@store_option
@json_option
def command(
    *,
    tree: bool,
    roots: bool,
    same: str | None,
    experiment: str | None,
    status: str | None,
    limit: int | None,
    metrics: tuple[str, ...],
    store: str | None,
    as_json: bool,
) -> None:
    """List runs, newest first.

    Columns of metrics are those that most of the listed runs have; --metric names others.

    --json prints an array of runs. NaN and infinities are the texts "NaN", "Infinity" and
    "-Infinity"; times are milliseconds since the epoch. With --same it prints an object: `recipe`,
    `runs`, `seeds`, and in `metrics` n, mean, std, min and max of the runs that finished.
    """
    if same is not None and (tree or roots or experiment or status or limit):
        raise UsageError(
            "--same lists all runs of a recipe: --json, --metric and --store go with it"
        )
    with reading(store) as opened:
        if same is not None:
            _show_same(opened, same, metrics, as_json)
            return
        if experiment is not None:
            require_experiment(opened, experiment)
        wanted = limit if limit is not None or as_json else _DEFAULT_LIMIT
        if tree:
            runs, more = _whole_trees(opened, experiment, status, wanted)
        else:
            runs, more = _newest(opened, experiment, status, wanted, roots)
        if as_json:
            from autolog.cli.output import emit

            emit(runs)
            return
        filtered = experiment is not None or status is not None
        show_runs(opened, runs, tree=tree, counts=roots, metrics=metrics, filtered=filtered)
        if more:
            from autolog.cli.output import notify

            notify(f"The newest {wanted} only; more with --limit {2 * (wanted or 1)}.")


def show_runs(
    store: Store,
    runs: list[Run],
    *,
    tree: bool = False,
    counts: bool = False,
    metrics: tuple[str, ...] = (),
    filtered: bool = False,
) -> None:
    """Print runs for a reader; `counts` adds how many children each has."""
    from autolog.cli import listing
    from autolog.cli.output import screen, write

    if not runs:
        screen().print(_nothing(store, filtered), soft_wrap=True)
        return
    # A line a run where a program reads: nothing is wrapped in a pipe.
    console = screen(pipe_width=1000)
    if tree:
        write(console, listing.forest(runs, metrics, console.width))
    else:
        write(console, listing.runs_table(runs, metrics, console.width, counts=counts))


def _show_same(store: Store, reference: str, metrics: tuple[str, ...], as_json: bool) -> None:
    from autolog.cli.output import emit, screen, write
    from autolog.cli.spread import same_page

    found = store.same(reference)
    if as_json:
        emit(found)
    else:
        console = screen(pipe_width=1000)
        write(console, same_page(found, metrics, console.width))


def _nothing(store: Store, filtered: bool) -> str:
    if filtered and store.experiments():
        return "No run fits. `autolog ls` lists all."
    return (
        f"No runs yet in {store.location.root}.\n"
        "Record some with `autolog run your_script.py`, or see it work with `autolog demo`."
    )


def _newest(
    store: Store, experiment: str | None, status: str | None, limit: int | None, roots: bool
) -> tuple[list[Run], bool]:
    """Return the newest runs, and whether there are more."""
    found: list[Run] = []
    for run in every_run(store, experiment=experiment, status=status, roots_only=roots):
        if limit is not None and len(found) == limit:
            return found, True
        found.append(run)
    return found, False


def _whole_trees(
    store: Store, experiment: str | None, status: str | None, limit: int | None
) -> tuple[list[Run], bool]:
    """Return the newest trees that have a run in this state, and whether there are more.

    Runs come newest first, so a root comes after all below it.
    """
    below: dict[str, list[Run]] = {}
    found: list[Run] = []
    trees = 0
    for run in every_run(store, experiment=experiment):
        root = run.root_id or run.run_id
        members = below.setdefault(root, [])
        members.append(run)
        if run.run_id != root:
            continue
        del below[root]
        fitting = members if status is None else _with_ancestors(members, status)
        if not fitting:
            continue
        if limit is not None and trees == limit:
            return found, True
        trees += 1
        found += fitting
    # What is left has a root in another experiment, or one that began later by its clock.
    found += [
        run for members in below.values() for run in members if run.status == (status or run.status)
    ]
    return found, False


def _with_ancestors(members: list[Run], status: str) -> list[Run]:
    by_id = {run.run_id: run for run in members}
    kept: set[str] = set()
    for run in members:
        at: Run | None = run if run.status == status else None
        while at is not None and at.run_id not in kept:
            kept.add(at.run_id)
            at = by_id.get(at.parent_id or "")
    return [run for run in members if run.run_id in kept]


def every_run(store: Store, **wanted: Any) -> Iterator[Run]:
    """Yield runs, newest first, a page at a time; for `wanted` see `Store.runs`."""
    after = None
    while True:
        page = store.runs(limit=_PAGE, after=after, **wanted)
        yield from page.runs
        if page.next is None:
            return
        after = page.next
