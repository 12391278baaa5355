"""`autolog sync`: take what is journalled to its store, or the runs of a store to another one."""

from __future__ import annotations

import contextlib
import time
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Final

import click

from autolog.cli.options import examples, json_option, store_option
from autolog.cli.progress import byte_progress, progress

if TYPE_CHECKING:
    from autolog.journal.reader import Damage
    from autolog.store.location import Location

__all__ = ["command"]

_WATCH_SECONDS: Final = 1.0


@dataclass(slots=True)
class Outcome:
    """What one turn did, or would do.

    `taken` and `left` are bytes of journals; `copied` counts the runs, of `runs` in all, of which
    something was new to the store `to`.
    """

    store: str
    dry_run: bool = False
    taken: int = 0
    left: int = 0
    to: str | None = None
    runs: int = 0
    copied: int = 0
    points: int = 0
    damage: list[Damage] = field(default_factory=list["Damage"])
    problem: str | None = None


@click.command(
    "sync",
    epilog=examples(
        "autolog sync",
        "autolog sync --watch --store postgresql://ada@db/runs",
        "autolog sync --to postgresql://ada@db/runs",
    ),
)
@click.option("--watch", is_flag=True, help="Go on, once a second, until Ctrl-C.")
@click.option(
    "--to", "target", metavar="URI", help="Copy the runs of the store to this one; again: the news."
)
@click.option("--dry-run", is_flag=True, help="Say what would be sent; send nothing.")
@store_option
@json_option
def command(
    *, watch: bool, target: str | None, dry_run: bool, store: str | None, as_json: bool
) -> None:
    """Take what programs have journalled into their store, now.

    Readers do so on their own, and for a server a helper process does; this shows progress and
    tells what is left. With --to, the runs of the store are copied to another one, with their
    files: what is there already is not copied again, what has grown is completed.

    Exit code 1 if something is left, as when a server cannot be reached.
    """
    from autolog.store.location import locate

    location = locate(store)
    destination = None if target is None else locate(target)
    if destination is not None and destination.uri == location.uri:
        raise click.UsageError(f"--to names the store itself, {location.uri}")

    def turn() -> Outcome:
        outcome = Outcome(location.uri, dry_run)
        _fold(location, outcome)
        if destination is not None and outcome.problem is None:
            _copy(location, destination, outcome)
        return outcome

    outcome = turn()
    _tell(outcome, as_json=as_json)
    if watch and not dry_run:
        _repeat(turn, outcome, as_json=as_json)
    elif outcome.problem or (outcome.left and not dry_run):
        raise SystemExit(1)


def _repeat(turn: Callable[[], Outcome], last: Outcome, *, as_json: bool) -> None:
    """Go on until Ctrl-C; say what is new, and a problem once."""
    from autolog.sink.helper import pauses

    waiting = pauses()
    with contextlib.suppress(KeyboardInterrupt):
        while True:
            time.sleep(_WATCH_SECONDS if last.problem is None else next(waiting))
            outcome = turn()
            if outcome.problem is None:
                waiting = pauses()
            if outcome.taken or outcome.copied or outcome.problem != last.problem:
                _tell(outcome, as_json=as_json)
            last = outcome


def _fold(location: Location, outcome: Outcome) -> None:
    """Fold the journals of a store."""
    from autolog.cli.volume import journal_bytes
    from autolog.errors import StoreError
    from autolog.store import open_store
    from autolog.store.fold import behind, fold

    try:
        with contextlib.closing(open_store(location)) as store:
            before = outcome.left = behind(store)
            if not outcome.dry_run:
                with byte_progress(f"Taking journals to {location.uri}", before) as advance:
                    report = fold(store, progress=advance)
                outcome.left = behind(store)
                outcome.points, outcome.damage = report.points, report.damage
            outcome.taken = before - outcome.left
    except StoreError as error:
        outcome.problem = str(error)
        outcome.left = journal_bytes(location)


def _copy(location: Location, destination: Location, outcome: Outcome) -> None:
    """Copy the runs of a store to another one, parents before their children."""
    from autolog.artifacts.transfer import send
    from autolog.errors import StoreError
    from autolog.store import open_store

    outcome.to = destination.uri
    try:
        with (
            contextlib.closing(open_store(location)) as source,
            contextlib.closing(open_store(destination, create=True)) as target,
        ):
            runs = source.search(limit=None, order_by=["depth", "start_time"])
            outcome.runs = len(runs)
            if outcome.dry_run:
                return
            with progress(f"Copying runs to {destination.uri}") as step:
                for run in runs:
                    taken = send(source, target, run.run_id)
                    outcome.copied += taken.changed
                    outcome.points += taken.points
                    step(len(runs))
    except StoreError as error:
        outcome.problem = str(error)


def _tell(outcome: Outcome, *, as_json: bool) -> None:
    from autolog.cli.format import count, plain, size
    from autolog.cli.output import emit, notify, screen

    if as_json:
        emit(outcome)
        return
    runs = count(outcome.runs, "run")
    if outcome.dry_run:
        said = f"{size(outcome.left)} of journals would be taken to {outcome.store}"
        if outcome.to is not None:
            said += f"; then {runs} compared with {outcome.to}, and what is new sent"
    else:
        said = f"{size(outcome.taken)} of journals taken to {outcome.store}"
        if outcome.left:
            said += f", {size(outcome.left)} left"
        if outcome.to is not None and (outcome.copied or outcome.problem is None):
            said += f"; {outcome.copied} of {runs} had news and went to {outcome.to}"
        said += f" ({count(outcome.points, 'point')})"
    screen().print(plain(said), soft_wrap=True)
    for one in outcome.damage:
        notify(f"damaged: {one.path} at byte {one.offset}: {one.why}")
    if outcome.problem:
        notify(outcome.problem)
