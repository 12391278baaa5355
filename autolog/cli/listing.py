"""Runs for a reader: a table whose metric columns suit the runs, and trees."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from typing import TYPE_CHECKING, Any, Final

from autolog.cli import format as written
from autolog.cli.output import status_text, table
from autolog.entities import Run

if TYPE_CHECKING:
    from rich.console import RenderableType
    from rich.text import Text

__all__ = ["forest", "run_time", "runs_table"]

_MAX_METRICS: Final = 4
_GAP: Final = 2
_GUIDE: Final = 4
"""Columns that each level of a tree is indented by."""

_CHILDREN: Final = 25
"""More children of a run than these are counted, not drawn."""

_SAID_BY_TIME: Final = frozenset({"fit_seconds"})


def runs_table(runs: Sequence[Run], metrics: Sequence[str], width: int) -> RenderableType:
    """Return a row a run, with as many columns of metrics as fit into `width`.

    Args:
        runs: in the order of the rows.
        metrics: keys to show; if none, those that most of the runs have.
        width: columns of the terminal.
    """
    from rich.cells import cell_len

    several = len({run.experiment for run in runs}) > 1
    fixed = [_fixed_cells(run, several) for run in runs]
    titles = ["RUN", "KIND", "STATUS", "STARTED", "TIME", *(["EXPERIMENT"] if several else [])]
    widths = [
        max(len(title), *(cell_len(str(row[at])) for row in fixed))
        for at, title in enumerate(titles)
    ]
    keys = list(metrics) or _telling_keys(runs, width - sum(widths) - _GAP * len(widths))
    made = table(*titles, *map(written.plain, keys), right=("TIME", *map(written.plain, keys)))
    for run, cells in zip(runs, fixed, strict=True):
        values = [_metric(run, key) for key in keys]
        made.add_row(*cells, *values)
    return made


def forest(runs: Sequence[Run], metrics: Sequence[str], width: int) -> RenderableType:
    """Return runs below their parents, newest tree first, children in order of their start.

    Args:
        runs: newest first.
        metrics: keys to show; if none, the first evaluations of each run.
        width: columns of the terminal; metrics that would not fit are left out.
    """
    from rich.console import Group
    from rich.text import Text
    from rich.tree import Tree

    known = {run.run_id for run in runs}
    children: dict[str | None, list[Run]] = {}
    for run in runs:
        children.setdefault(run.parent_id if run.parent_id in known else None, []).append(run)

    def grow(branch: Tree, run: Run, room: int) -> None:
        below = sorted(children.get(run.run_id, []), key=lambda one: one.start_time)
        for child in below[:_CHILDREN]:
            grow(branch.add(_line(child, metrics, room)), child, room - _GUIDE)
        if len(below) > _CHILDREN:
            rest = f"{len(below) - _CHILDREN} more: autolog show {written.plain(run.name)}"
            branch.add(Text(rest, style="dim"))

    trees: list[Tree] = []
    for root in children.get(None, []):
        trees.append(Tree(_line(root, metrics, width), guide_style="dim"))
        grow(trees[-1], root, width - _GUIDE)
    return Group(*trees)


def run_time(run: Run, now_ms: float) -> str:
    """Return how long a run took, or has been running."""
    end = run.end_time if run.end_time is not None else now_ms
    return written.duration(end - run.start_time)


def _fixed_cells(run: Run, several: bool) -> list[Any]:
    import time

    from rich.text import Text

    cells: list[Any] = [
        Text(written.plain(run.name), style="bold"),
        run.kind,
        status_text(run.status),
        written.ago(run.start_time),
        run_time(run, time.time() * 1000),
    ]
    if several:
        cells.append(Text(written.plain(run.experiment)))
    return cells


def _line(run: Run, metrics: Sequence[str], room: int) -> Text:
    """Return a run as a node of a tree, with the metrics that fit into `room` columns."""
    from rich.text import Text

    name, kind, status, started, took = _fixed_cells(run, several=False)
    line = Text.assemble(name, "  ", status, "  ", (f"{kind}, {started}, {took}", "dim"))
    keys = list(metrics) or sorted(_evaluations(run))[:2] or _plain_keys(run)[:2]
    for key in keys:
        entry = Text.assemble(f"  {written.plain(key)} ", (_metric(run, key), "bold"))
        if key in run.metrics and (metrics or line.cell_len + entry.cell_len <= room):
            line.append(entry)
    return line


def _telling_keys(runs: Sequence[Run], room: int) -> list[str]:
    """Choose the metrics that tell these runs apart best and fit into `room` columns.

    Those that half of the runs have come first, evaluations before what a model knows of itself.
    """
    having: Counter[str] = Counter(key for run in runs for key in run.metrics)
    evaluated = Counter(key for run in runs for key in _evaluations(run))

    def rank(key: str) -> tuple[bool, bool, bool, int]:
        common = 2 * having[key] >= len(runs)
        return (not common, key not in evaluated, key.startswith("n_"), -having[key])

    chosen: list[str] = []
    for key in sorted((key for key in having if key not in _SAID_BY_TIME), key=rank):
        widest = max(len(written.plain(key)), *(len(_metric(run, key)) for run in runs))
        if len(chosen) < _MAX_METRICS and widest + _GAP <= room:
            chosen.append(key)
            room -= widest + _GAP
    return chosen


def _evaluations(run: Run) -> list[str]:
    return [key for key in run.metrics if "/" in key]


def _plain_keys(run: Run) -> list[str]:
    return [key for key in run.metrics if key not in _SAID_BY_TIME and not key.startswith("n_")]


def _metric(run: Run, key: str) -> str:
    return written.number(run.metrics[key], 4) if key in run.metrics else ""
