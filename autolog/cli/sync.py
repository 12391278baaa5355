"""`autolog sync`: take what is journalled to its store."""

from __future__ import annotations

import contextlib
import time
from collections.abc import Callable, Generator
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Final

import click

from autolog.cli.options import examples, json_option, store_option

if TYPE_CHECKING:
    from autolog.journal.reader import Damage
    from autolog.store.location import Location

__all__ = ["command"]

_WATCH_SECONDS: Final = 1.0


@dataclass(slots=True)
class Outcome:
    """What one turn did: bytes and points taken, bytes that are left and why."""

    store: str
    taken: int = 0
    points: int = 0
    left: int = 0
    damage: list[Damage] = field(default_factory=list["Damage"])
    problem: str | None = None


@click.command(
    "sync",
    epilog=examples(
        "autolog sync",
        "autolog sync --watch --store postgresql://ada@db/runs",
    ),
)
@click.option("--watch", is_flag=True, help="Go on, once a second, until Ctrl-C.")
@click.option("--dry-run", is_flag=True, help="Say what would be sent; send nothing.")
@store_option
@json_option
def command(*, watch: bool, dry_run: bool, store: str | None, as_json: bool) -> None:
    """Take what programs have journalled into their store, now.

    Readers do so on their own, and for a server a helper process does; this shows progress and
    tells what is left.

    Exit code 1 if something is left, as when a server cannot be reached.
    """
    from autolog.store.location import locate

    location = locate(store)

    def turn() -> bool:
        return _fold(location, dry_run=dry_run, as_json=as_json)

    complete = turn()
    if watch and not dry_run:
        _repeat(turn)
        return
    if not complete:
        raise SystemExit(1)


def _repeat(turn: Callable[[], bool]) -> None:
    from autolog.sink.helper import pauses

    waiting = pauses()
    with contextlib.suppress(KeyboardInterrupt):
        while True:
            time.sleep(_WATCH_SECONDS)
            if turn():
                waiting = pauses()
            else:
                time.sleep(next(waiting))


def _fold(location: Location, *, dry_run: bool, as_json: bool) -> bool:
    """Fold the journals of one store; return whether nothing is left."""
    from autolog.errors import StoreError
    from autolog.store import open_store
    from autolog.store.fold import behind, fold

    outcome = Outcome(location.uri)
    try:
        with contextlib.closing(open_store(location)) as store:
            before = outcome.left = behind(store)
            if not dry_run:
                with _progress(f"Taking journals to {location.uri}", before) as advance:
                    report = fold(store, progress=advance)
                outcome.left = behind(store)
                outcome.points, outcome.damage = report.points, report.damage
            outcome.taken = before - outcome.left
    except StoreError as error:
        outcome.problem = str(error)
        outcome.left = _all_bytes(location)
    _tell(outcome, as_json=as_json)
    return outcome.problem is None and (dry_run or not outcome.left)


def _all_bytes(location: Location) -> int:
    """Return the size of all journals: what is left at most, if the store cannot be asked."""
    from autolog.journal.files import list_writers

    total = 0
    for files in list_writers(location.journal):
        for path in files.segments.values():
            with contextlib.suppress(OSError):
                total += path.stat().st_size
    return total


def _tell(outcome: Outcome, *, as_json: bool) -> None:
    from autolog.cli.format import count, plain, size
    from autolog.cli.output import emit, notify, screen

    if as_json:
        emit(outcome)
        return
    said = f"{size(outcome.taken)} taken ({count(outcome.points, 'point')}) to {outcome.store}"
    if outcome.left:
        said += f", {size(outcome.left)} left"
    screen().print(plain(said))
    for one in outcome.damage:
        notify(f"damaged: {one.path} at byte {one.offset}: {one.why}")
    if outcome.problem:
        notify(outcome.problem)


@contextlib.contextmanager
def _progress(what: str, total: int) -> Generator[Callable[[int], None]]:
    """Show a bar on a terminal's stderr; hand out what moves it on."""
    from rich.progress import BarColumn, DownloadColumn, Progress, TextColumn, TimeRemainingColumn

    from autolog.cli.output import screen

    columns = (
        TextColumn("{task.description}", markup=False),
        BarColumn(),
        DownloadColumn(),
        TimeRemainingColumn(),
    )
    console = screen(stderr=True)
    with Progress(
        *columns, console=console, transient=True, disable=not console.is_terminal
    ) as bar:
        task = bar.add_task(what, total=total)
        yield lambda done: bar.advance(task, done)
