"""Metrics of one run as a table: last, lowest and highest value, and the curve between."""

from __future__ import annotations

import itertools
from collections.abc import Mapping
from typing import TYPE_CHECKING, Final

from autolog.cli import format as written
from autolog.cli.output import table
from autolog.cli.series import Series
from autolog.cli.sparkline import sparkline

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray
    from rich.console import Console, RenderableType

__all__ = ["metric_table"]

_MOST: Final = 500
"""A terminal takes seconds to lay out thousands of rows that nobody reads."""
_WIDEST: Final = 60
_NARROWEST: Final = 8
_GAP: Final = 2
_INDENT: Final = 2


def metric_table(
    series: Mapping[str, tuple[Series, NDArray[np.float64]]], console: Console
) -> RenderableType:
    """Return a row a metric, of the first 500; one of a single point has its value alone."""
    left_out = len(series) - _MOST
    series = dict(itertools.islice(series.items(), _MOST))
    curved = any(summary.points > 1 for summary, _ in series.values())
    titles = ("METRIC", "LAST", *(("MIN", "MAX", "POINTS", "CURVE") if curved else ()))
    cells = {key: _cells(key, summary) for key, (summary, _) in series.items()}
    widths = [max(map(len, column)) for column in zip(titles, *cells.values(), strict=False)]
    room = console.width - _INDENT - sum(widths[:5]) - _GAP * 5
    ascii_only = not console.encoding.lower().startswith("utf")
    rows = table(*titles, right=titles[1:5])
    for key, (summary, values) in series.items():
        curve = ""
        if summary.points > 1:
            width = max(_NARROWEST, min(room, _WIDEST))
            curve = sparkline(values.tolist(), width, ascii_only=ascii_only)
        rows.add_row(*(*cells[key], curve)[: len(titles)])
    if left_out <= 0:
        return rows
    from rich.console import Group
    from rich.text import Text

    return Group(rows, Text(f"and {left_out:,} more; --json has all", style="dim"))


def _cells(key: str, summary: Series) -> tuple[str, ...]:
    name, last = written.plain(key), written.number(summary.last)
    if summary.ranks:
        name = f"{name} (+{summary.ranks} rank{'s' * (summary.ranks > 1)})"
    if summary.points == 1:
        return name, last, "", "", ""
    return (
        name,
        last,
        written.number(summary.min),
        written.number(summary.max),
        str(summary.points),
    )
