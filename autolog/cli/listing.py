"""Runs for a reader: a table whose metric columns suit the runs, and trees."""

from __future__ import annotations

import time
from collections import Counter
from collections.abc import Sequence
from typing import TYPE_CHECKING, Final

from autolog.cli import format as written
from autolog.cli.output import status_text, table
from autolog.cli.series import is_evaluation
from autolog.entities import HEALTH_TAG, Run

if TYPE_CHECKING:
    from rich.console import RenderableType
    from rich.text import Text

__all__ = ["forest", "run_time", "runs_table"]

_MAX_METRICS: Final = 4
_GAP: Final = 2

_SPARED: Final = ("KIND", "EXPERIMENT")
"""Columns that give way to a metric in a narrow terminal, the first one first."""

_GUIDE: Final = 4
"""Columns that each level of a tree is indented by."""

_CHILDREN: Final = 25
"""More children of a run than these are counted, not drawn."""

_NOT_TELLING: Final = frozenset(
    {
        *("fit_seconds", "n_features_in", "fit_status", "t", "best_index", "refit_time"),
        *("epoch_seconds", "epoch", "lr", "learning_rate"),
    }
)
"""Metrics that are no news in a listing: beside the run's time, of the data, or bookkeeping."""

_Layout = dict[str, "list[Text]"]


def runs_table(
    runs: Sequence[Run], metrics: Sequence[str], width: int, *, counts: bool = False
) -> RenderableType:
    """Return a row a run, with as many columns of metrics as fit into `width`.

    Args:
        runs: in the order of the rows.
        metrics: keys to show; if none, those that most of the runs have.
        width: columns of the terminal.
        counts: add how many children each run has.
    """
    columns = _columns(runs)
    if counts:
        from rich.text import Text

        columns["CHILDREN"] = [Text(str(run.children or "")) for run in runs]
    layouts = _layouts(columns)
    layout = next((one for one in layouts if _keys(runs, metrics, width - _width(one))), columns)
    while _width(layout) > width and layout is not layouts[-1]:
        layout = layouts[layouts.index(layout) + 1]
    keys = _keys(runs, metrics, width - _width(layout))
    right = ("TIME", "CHILDREN", *map(written.plain, keys))
    made = table(*layout, *map(written.plain, keys), right=right)
    for title, column in zip(layout, made.columns, strict=False):
        column.no_wrap = title != "RUN"
    for at, run in enumerate(runs):
        values = [_metric(run, key) for key in keys]
        made.add_row(*(cells[at] for cells in layout.values()), *values)
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


def _columns(runs: Sequence[Run]) -> _Layout:
    """Return the cells that are not metrics, by the title of their column."""
    from rich.text import Text

    now = time.time() * 1000
    columns: _Layout = {
        "RUN": [Text(written.plain(run.name), style="bold") for run in runs],
        "KIND": [Text(run.kind) for run in runs],
        "STATUS": [_status(run) for run in runs],
        "AGE": [Text(written.age(run.start_time)) for run in runs],
        "TIME": [Text(run_time(run, now)) for run in runs],
    }
    if len({run.experiment for run in runs}) > 1:
        columns["EXPERIMENT"] = [Text(written.plain(run.experiment)) for run in runs]
    return columns


def _status(run: Run) -> Text:
    """Return a run's status, marked if its training was not well."""
    found = run.tags.get(HEALTH_TAG)
    return status_text(run.status, written.plain(found) if found else None)


def _layouts(columns: _Layout) -> list[_Layout]:
    """Return the columns with less and less of what a narrow terminal can do without."""
    layouts = [columns]
    for title in _SPARED:
        layouts.append({name: cells for name, cells in layouts[-1].items() if name != title})
    return layouts


def _width(layout: _Layout) -> int:
    """Return how wide the columns are, each with the gap behind it."""
    return sum(
        max(len(title), *(cell.cell_len for cell in cells)) + _GAP
        for title, cells in layout.items()
    )


def _keys(runs: Sequence[Run], metrics: Sequence[str], room: int) -> list[str]:
    """Return the metrics to show in `room` columns: those asked for, else the most telling."""
    return list(metrics) or _telling_keys(runs, room)


def _line(run: Run, metrics: Sequence[str], room: int) -> Text:
    """Return a run as a node of a tree, with the metrics that fit into `room` columns."""
    from rich.text import Text

    took = run_time(run, time.time() * 1000)
    line = Text.assemble((written.plain(run.name), "bold"), "  ", _status(run))
    line.append(f"  {run.kind}, {written.ago(run.start_time)}, {took}", style="dim")
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

    def rank(key: str) -> tuple[bool, bool, int, int]:
        common = 2 * having[key] >= len(runs)
        return (not common, key not in evaluated, _tier(key), -having[key])

    chosen: list[str] = []
    for key in sorted((key for key in having if key not in _NOT_TELLING), key=rank):
        widest = max(len(written.plain(key)), *(len(_metric(run, key)) for run in runs))
        if len(chosen) == _MAX_METRICS or widest > room:
            break  # a lesser key that is short enough would tell less than it seems to
        chosen.append(key)
        room -= widest + _GAP
    return chosen


def _evaluations(run: Run) -> list[str]:
    return [key for key in run.metrics if is_evaluation(key)]


def _plain_keys(run: Run) -> list[str]:
    telling = [key for key in run.metrics if key not in _NOT_TELLING and not key.startswith("n_")]
    return sorted(telling, key=_tier)


def _tier(key: str) -> int:
    """Rank keys: what a model is worth, then times and spreads, then counts."""
    if key.startswith("n_"):
        return 2
    return 1 if "seconds" in key or key.endswith("_std") else 0


def _metric(run: Run, key: str) -> str:
    return written.number(run.metrics[key], 4) if key in run.metrics else ""
