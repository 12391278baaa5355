"""`autolog export`: runs with everything of theirs, as Parquet and files."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

import click

from autolog.cli.options import (
    examples,
    json_option,
    reading,
    require_experiment,
    store_option,
)

if TYPE_CHECKING:
    from autolog.store import Store

__all__ = ["command"]


@click.command(
    "export",
    epilog=examples(
        "autolog export churn.zip --experiment churn",
        "autolog export SVC-k3fa study-a1b2 two-runs/",
        "duckdb -c \"select key, max(step) from 'two-runs/points.parquet' group by 1\"",
    ),
)
@click.argument("runs", nargs=-1, metavar="[RUN]...")
@click.argument("destination", metavar="DEST", type=click.Path(path_type=Path))
@click.option("--experiment", "-e", metavar="NAME", help="Only runs of this experiment.")
@store_option
@json_option
def command(
    *,
    runs: tuple[str, ...],
    destination: Path,
    experiment: str | None,
    store: str | None,
    as_json: bool,
) -> None:
    """Write runs to a bundle: tables in Parquet, and the files of the runs.

    DEST is a new folder, or a file that ends in .zip or .tar. Each RUN (its name, its id, or the
    first digits of its id) brings the runs below it; without any, all runs are exported. Needs
    pyarrow: pip install 'autolog-ml[parquet]'.

    Exit codes: 0 all is written, 1 it is not, or files of runs were gone from the store (they are
    named; everything else is written), 2 the command line makes no sense.
    """
    import autolog
    from autolog.bundle.writing import export
    from autolog.cli.format import count, plain, size
    from autolog.cli.output import emit, notify
    from autolog.cli.progress import progress

    with reading(store) as opened:
        if experiment is not None:
            require_experiment(opened, experiment)
        chosen = _chosen(opened, runs, experiment)
        with progress("Exporting") as step:
            done = export(opened, chosen, destination, version=autolog.__version__, progress=step)
    if as_json:
        emit(done)
    else:
        click.echo(
            f"{plain(done.path)}: {count(done.runs, 'run')}, {count(done.points, 'point')},"
            f" {count(done.files, 'file')}, {size(done.bytes)}"
        )
    for file in done.missing:
        notify(f"{plain(file)} is gone from the store and not in the bundle")
    if done.missing:
        raise SystemExit(1)


def _chosen(store: Store, references: tuple[str, ...], experiment: str | None) -> list[str]:
    """Return the ids of the named runs and of all below them, or of all runs."""
    from autolog.cli.ls import every_run

    if not references:
        return [run.run_id for run in every_run(store, experiment=experiment)]
    found: dict[str, str] = {}
    waiting = [store.run(reference) for reference in references]
    while waiting:
        run = waiting.pop()
        if run.run_id not in found:
            found[run.run_id] = run.experiment
            waiting += every_run(store, parent=run.run_id)
    return [uid for uid, of in found.items() if experiment in (None, of)]
