"""`autolog import`: runs of a bundle, into a store."""

from __future__ import annotations

from pathlib import Path

import click

from autolog.cli.options import examples, json_option, store_option, writing

__all__ = ["command"]


@click.command(
    "import",
    epilog=examples("autolog import churn.zip", "autolog import two-runs/ --into from-berlin"),
)
@click.argument("source", metavar="SRC", type=click.Path(path_type=Path))
@click.option(
    "--into",
    metavar="EXPERIMENT",
    help="Put the runs there; those that the store has already stay where they are.",
)
@store_option
@json_option
def command(*, source: Path, into: str | None, store: str | None, as_json: bool) -> None:
    """Take the runs of a bundle into the store.

    SRC is what `autolog export` has written. It is checked before anything is taken in, each run
    comes as a whole or not at all, and what the store has already is not taken twice: an import
    that was interrupted is simply started again.

    Exit codes: 0 all is taken in, 1 a run is not, 2 the command line makes no sense.
    """
    from autolog.bundle.reading import import_bundle
    from autolog.cli.format import count, plain
    from autolog.cli.output import emit
    from autolog.cli.progress import progress

    with writing(store, create=True) as opened, progress("Importing") as step:
        done = import_bundle(opened, source, into=into, progress=step)
    if as_json:
        emit(done)
        return
    known = done.runs - done.created
    click.echo(
        f"{plain(str(source))}: {count(done.created, 'run')} new, {known} known before"
        f" ({done.changed - done.created} of them with news), {count(done.points, 'new point')}"
    )
