"""`autolog show RUN`: everything that is known of one run."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import click

from autolog.cli.options import examples, json_option, reading, store_option

if TYPE_CHECKING:
    from autolog.store import Store

__all__ = ["command", "show_run"]

_CHILDREN = 25


@click.command(
    "show",
    epilog=examples("autolog show SVC-k3fa", "autolog show 01a20ae8 --json | jq .metric_history"),
)
@click.argument("run")
@store_option
@json_option
def command(*, run: str, store: str | None, as_json: bool) -> None:
    """Show everything of one run.

    RUN is its name, its id, or the first four or more digits of its id.

    --json prints the run's details; `metric_history` sums up each metric's points, `preparation`
    lists the steps that prepared its data, `rollup` sums up its children. NaN and infinities are
    the texts "NaN", "Infinity" and "-Infinity"; times are milliseconds since the epoch.
    """
    with reading(store) as opened:
        if as_json:
            from autolog.cli.output import emit

            emit(document(opened, run))
        else:
            show_run(opened, run)


def document(store: Store, reference: str) -> dict[str, Any]:
    """Return what `show --json` prints."""
    import msgspec

    from autolog.cli.series import read_series

    details = store.details(reference)
    series = read_series(store, details.run)
    return {
        **msgspec.structs.asdict(details),
        "metric_history": {key: summary for key, (summary, _) in series.items()},
        "preparation": [one.data for one in details.events if one.kind == "preparation"],
        "rollup": store.rollup(details.run.run_id) if details.children else None,
    }


def show_run(store: Store, reference: str) -> None:
    """Print a run for a reader."""
    from autolog.cli.output import screen, write
    from autolog.cli.runpage import page
    from autolog.cli.series import read_series

    console = screen()
    details = store.details(reference)
    children = store.runs(parent=details.run.run_id, limit=_CHILDREN)
    series = read_series(store, details.run)
    rollup = store.rollup(details.run.run_id) if details.children else None
    write(console, page(details, series, children.runs, console, rollup))
