"""Says what rows of the matrix have shown: a line as each is done, a table or JSON at the end."""

from __future__ import annotations

import json
import os
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import msgspec

from autolog.compat import environments
from autolog.compat.results import Result

if TYPE_CHECKING:
    from rich.table import Table

__all__ = ["emit", "line", "page"]

_PIPE_WIDTH = 120
"""Columns where no terminal says how many it has."""


def line(result: Result, was_there: bool) -> str:
    """Return one line on one row."""
    state = "ok" if result.passed else "FAILED"
    if was_there:
        return f"{result.row}: {state}, as on {result.ran}"
    seconds = result.seconds
    took = f"{seconds.get('install', 0)} s install, {seconds.get('test', 0)} s test"
    return f"{result.row}: {state} ({took})"


def emit(found: Sequence[Result], seconds: int) -> None:
    """Print all of it as one JSON document on stdout."""
    plain: Any = {
        "rows": [msgspec.to_builtins(result) for result in found],
        "passed": sum(result.passed for result in found),
        "failed": sum(not result.passed for result in found),
        "seconds": seconds,
    }
    sys.stdout.write(json.dumps(plain, indent=2) + "\n")


def page(found: Sequence[Result], seconds: int) -> None:
    """Print the table, what failed, and a closing line."""
    from rich.console import Console

    wide = None if sys.stdout.isatty() or "COLUMNS" in os.environ else _PIPE_WIDTH
    console = Console(markup=False, highlight=False, width=wide)
    console.print(_table(found))
    for result in found:
        for failure in result.failures:
            console.print(f"{result.row}: {failure}", style="red")
        if result.failures:
            console.print(
                f"  {Path(environments.FOLDER, 'logs', f'{result.row}.log')}", style="dim"
            )
    failed = sum(not result.passed for result in found)
    proved = {name for one in found for name, legs in one.quirks.items() if legs.proved}
    console.print(
        f"{len(found) - failed} rows passed, {failed} failed, {len(proved)} quirks proved"
        f" in {seconds // 60} min {seconds % 60} s",
        style="bold red" if failed else "bold green",
    )


def _table(found: Sequence[Result]) -> Table:
    from rich.table import Table

    table = Table(box=None, pad_edge=False, header_style="bold")
    table.add_column("ROW", no_wrap=True)
    table.add_column("PYTHON")
    for name in ("INSTALL S", "TEST S", "PASSED", "XFAILED", "SKIPPED"):
        table.add_column(name, justify="right")
    table.add_column("QUIRKS")
    table.add_column("")
    for result in found:
        seconds, tests = result.seconds, result.tests
        proved = sum(legs.proved for legs in result.quirks.values())
        table.add_row(
            result.row,
            result.python or "",
            *(str(seconds.get(key, "")) for key in ("install", "test")),
            *(str(tests.get(key, 0)) for key in ("passed", "xfailed", "skipped")),
            f"{proved} of {len(result.quirks)} proved" if result.quirks else "",
            "ok" if result.passed else "FAILED",
            style=None if result.passed else "red",
        )
    return table
