"""Tables of how metrics spread over several runs: the children of one, or those of one recipe."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

from autolog.cli import format as written
from autolog.cli.output import heading, table

if TYPE_CHECKING:
    from rich.console import RenderableType

    from autolog.store.answers import Rollup, Same, Spread

__all__ = ["rollup_part", "same_page"]


def rollup_part(rollup: Rollup) -> RenderableType:
    """Return the part of a run's page that sums up its children."""
    states = ", ".join(f"{many} {status}" for status, many in rollup.status.items())
    parts = [_spread_table(rollup.metrics)] if rollup.metrics else []
    return heading(f"Over {rollup.runs} children: {states}", *parts)


def same_page(same: Same, metrics: Sequence[str], width: int) -> RenderableType:
    """Return the runs of one recipe, their seeds, and how the metrics of the finished spread."""
    from rich.console import Group
    from rich.text import Text

    from autolog.cli.listing import runs_table

    parts: list[Any] = [runs_table(same.runs, metrics, width)]
    if same.seeds:
        lines = [
            Text(f"{written.plain(name)}: {', '.join(map(written.value, values))}")
            for name, values in same.seeds.items()
        ]
        parts.append(heading("Seeds", *lines))
    if same.metrics:
        chosen = {key: one for key, one in same.metrics.items() if not metrics or key in metrics}
        parts.append(heading("Over the finished ones", _spread_table(chosen)))
    return Group(*parts, Text(f"\nRecipe {same.recipe[:12]}", style="dim"))


def _spread_table(metrics: Mapping[str, Spread]) -> RenderableType:
    """Return a row a metric: mean, deviation and range, with the runs at both ends."""
    numbers = ("N", "MEAN", "STD", "MIN", "MAX")
    rows = table("METRIC", "N", "MEAN", "STD", "MIN", "RUN", "MAX", "RUN", right=numbers)
    for key, one in metrics.items():
        rows.add_row(
            written.plain(key),
            str(one.n),
            written.number(one.mean, 4),
            "" if one.std is None else written.number(one.std, 2),
            written.number(one.min, 4),
            written.plain(one.min_name),
            written.number(one.max, 4),
            written.plain(one.max_name),
        )
    return rows
