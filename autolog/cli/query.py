"""`autolog query`: the runs that pass a filter."""

from __future__ import annotations

import click

from autolog.cli.options import examples, json_option, reading, store_option

__all__ = ["command"]

_DEFAULT_LIMIT = 30


@click.command(
    "query",
    epilog=examples(
        "autolog query \"metrics.val/acc > 0.9 and params.opt = 'adam'\"",
        "autolog query \"status = 'FAILED' or min(metrics.loss) > 5\" --total",
        "autolog query --order-by 'metrics.val/acc desc' --limit 5",
        "autolog query \"children.metrics.score > 0.8\" --json | jq '.[].run_id'",
    ),
)
@click.argument("filter_text", metavar="[FILTER]", default="")
@click.option(
    "--order-by", "-o", multiple=True, metavar="KEY [desc]", help="Sort by this; repeatable."
)
@click.option(
    "--experiment", "-e", multiple=True, metavar="NAME", help="Only these experiments; repeatable."
)
@click.option(
    "--limit",
    "-n",
    type=click.IntRange(min=1),
    metavar="N",
    help=f"At most N runs. Default: {_DEFAULT_LIMIT}, with --json all.",
)
@click.option("--total", is_flag=True, help="Say on stderr how many runs pass in all.")
@click.option(
    "--metric", "-m", "metrics", multiple=True, metavar="KEY", help="Show this metric; repeatable."
)
@store_option
@json_option
def command(
    *,
    filter_text: str,
    order_by: tuple[str, ...],
    experiment: tuple[str, ...],
    limit: int | None,
    total: bool,
    metrics: tuple[str, ...],
    store: str | None,
    as_json: bool,
) -> None:
    """List the runs that pass FILTER, newest first or in the order of --order-by.

    A clause is FIELD OPERATOR VALUE. Fields: metrics.KEY (the last value), min(metrics.KEY), max,
    first; params.KEY, tags.KEY; name, kind, status, experiment, user, host, source, commit, dirty,
    depth, start_time, end_time, duration (seconds), run_id, parent_id, root_id; before each may
    stand parent. root. or children. A key with blanks is written `in backticks`.

    Operators: = != < <= > >= LIKE ILIKE IN BETWEEN and IS NULL, with NOT, AND, OR, parentheses.
    Texts stand in quotes; params.lr > 0.01 compares the number, params.lr = '0.01' the text.

    --json prints an array of runs, as `autolog ls` does.
    """
    from autolog.cli.ls import require_experiment, show_runs
    from autolog.cli.output import emit, notify

    with reading(store) as opened:
        for name in experiment:
            require_experiment(opened, name)
        found = opened.search(
            filter_text,
            order_by=order_by,
            experiment=experiment or None,
            limit=limit if limit is not None or as_json else _DEFAULT_LIMIT,
            total=total,
        )
        if as_json:
            emit(list(found))
        else:
            show_runs(
                opened,
                list(found),
                metrics=metrics or _sorted_by(order_by),
                filtered=bool(filter_text or experiment),
            )
        if total:
            notify(f"{found.total} runs in all.")
        elif not found.complete and not as_json:
            notify(f"The first {len(found)} only; more with --limit {2 * len(found)}.")


def _sorted_by(order_by: tuple[str, ...]) -> tuple[str, ...]:
    """Return the metrics that the runs are sorted by: a reader wants to see them."""
    from autolog.query.parser import parse_order

    keys = [key.field for key in parse_order(order_by)]
    return tuple(
        field.name
        for field in keys
        if field.kind == "metric" and not field.relation and field.part == "last"
    )
