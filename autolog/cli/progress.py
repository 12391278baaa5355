"""A bar on a terminal's stderr for what takes a while; nothing where no terminal is."""

from __future__ import annotations

from collections.abc import Callable, Generator
from contextlib import contextmanager

__all__ = ["byte_progress", "progress"]


@contextmanager
def progress(title: str) -> Generator[Callable[[int], None]]:
    """Show a bar; what is yielded is called after each step, with the number of all steps."""
    from rich.progress import BarColumn, MofNCompleteColumn, Progress, TimeRemainingColumn

    from autolog.cli.output import screen

    console = screen(stderr=True)
    columns = ("{task.description}", BarColumn(), MofNCompleteColumn(), TimeRemainingColumn())
    with Progress(
        *columns, console=console, transient=True, disable=not console.is_terminal
    ) as shown:
        task = shown.add_task(title, total=None)
        yield lambda total: shown.update(task, total=total, advance=1)


@contextmanager
def byte_progress(title: str, total: int) -> Generator[Callable[[int], None]]:
    """Show a bar of bytes; what is yielded is called with the size of each piece that is done."""
    from rich.progress import BarColumn, DownloadColumn, Progress, TimeRemainingColumn

    from autolog.cli.output import screen

    console = screen(stderr=True)
    columns = ("{task.description}", BarColumn(), DownloadColumn(), TimeRemainingColumn())
    with Progress(
        *columns, console=console, transient=True, disable=not console.is_terminal
    ) as shown:
        task = shown.add_task(title, total=total)
        yield lambda done: shown.advance(task, done)
