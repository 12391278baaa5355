"""Kills programs that log, at random points, and counts what their acknowledged points became.

Run it with `python benchmarks/kill.py [--kills 200] [--seed N]` (Linux, about two minutes).

Each writer logs one metric with steps 0, 1, 2 ... and notes in shared memory, which outlives it,
each call that has returned. All processes of a program are killed with SIGKILL at one random
moment, in most scenes together with readers that fold the store in a loop. Then the store is
read. Folded: kills after which a reader had already folded. Lost: steps that were acknowledged and
are not there. Doubled: steps that are there twice. Beyond: steps that are there and can have been
neither acknowledged nor under way.
"""

from __future__ import annotations

import argparse
import mmap
import os
import random
import signal
import tempfile
import threading
import time
from collections import Counter
from collections.abc import Callable
from pathlib import Path

from rich.console import Console
from rich.progress import Progress
from rich.table import Table

import autolog
from autolog.ids import new_id

MANY = 8
LONGEST_S = 0.4
COLUMNS = ("kills", "folded", "acknowledged", "lost", "doubled", "beyond", "not KILLED")

Board = mmap.mmap
"""The number of acknowledged calls of each writer, as 8 bytes."""


def log(board: Board, writer: int, run: autolog.LiveRun) -> None:
    """Log for ever."""
    key, step = f"x{writer}", 0
    said = memoryview(board).cast("Q")  # stored at once: a kill leaves no half of a number
    while True:
        run.log_metric(key, step, step)
        step += 1
        said[writer] = step


def one_thread(board: Board, run_id: str) -> None:
    log(board, 0, autolog.start_run("killed", run_id=run_id))


def eight_threads(board: Board, run_id: str) -> None:
    run = autolog.start_run("killed", run_id=run_id)
    for writer in range(1, MANY):
        threading.Thread(target=log, args=(board, writer, run), daemon=True).start()
    log(board, 0, run)


def eight_processes(board: Board, run_id: str) -> None:
    for writer in range(MANY):
        if os.fork() == 0:
            log(board, writer, autolog.start_run("killed", run_id=run_id, resume="allow"))
    time.sleep(60)


def forked_after_start(board: Board, run_id: str) -> None:
    """A child inherits the run and the journal's descriptors, and logs to the run too."""
    run = autolog.start_run("killed", run_id=run_id)
    run.log_metric("before", 0)
    log(board, int(os.fork() == 0), run)


def fold_for_ever() -> None:
    while True:
        autolog.search_runs()


SCENES: dict[str, tuple[Callable[[Board, str], None], int, int]] = {
    "1 writer": (one_thread, 1, 0),
    "1 writer, 2 readers": (one_thread, 1, 2),
    f"{MANY} threads, 2 readers": (eight_threads, MANY, 2),
    f"{MANY} processes, 1 run, 2 readers": (eight_processes, MANY, 2),
    "a fork and its parent, 1 reader": (forked_after_start, 2, 1),
}
"""What a program does, how many writers that makes, and how many readers fold meanwhile."""


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--kills", type=int, default=200)
    parser.add_argument("--seed", type=int, default=None)
    options = parser.parse_args()
    source = random.Random(options.seed)
    os.environ["AUTOLOG_PRINT"] = "never"
    rows = {scene: Counter[str]() for scene in SCENES}
    # Without a refreshing thread: this process forks.
    with Progress(console=Console(stderr=True), auto_refresh=False) as progress:
        task = progress.add_task("killing", total=options.kills)
        for number in range(options.kills):
            scene = list(SCENES)[number % len(SCENES)]
            with tempfile.TemporaryDirectory() as folder:
                rows[scene].update(kill(scene, Path(folder), source.uniform(0, LONGEST_S)))
            progress.update(task, advance=1, refresh=True)
    table = Table(title=f"{options.kills} kills at random moments")
    table.add_column("scene", no_wrap=True)
    for column in COLUMNS:
        table.add_column(column, justify="right")
    for scene, counts in rows.items():
        table.add_row(scene, *(f"{counts[column]:,}" for column in COLUMNS))
    total = sum(rows.values(), Counter[str]())
    table.add_section()
    table.add_row("all", *(f"{total[column]:,}" for column in COLUMNS))
    Console(width=110).print(table)
    if total["lost"] or total["doubled"] or total["beyond"]:
        raise SystemExit(1)


def kill(scene: str, folder: Path, after: float) -> dict[str, int]:
    program, writers, readers = SCENES[scene]
    os.environ["AUTOLOG_STORE"] = str(folder / "store")
    board, run_id = mmap.mmap(-1, 8 * MANY), new_id()
    alive, held = os.pipe()  # closed by the last of the processes
    pids = [start(alive, program, board, run_id)]
    while not any(board[:]):  # the kill falls while it logs, not while it starts
        time.sleep(0.001)
    pids += [start(alive, fold_for_ever) for _ in range(readers)]
    os.close(held)
    time.sleep(after)
    for pid in pids:
        os.killpg(pid, signal.SIGKILL)
    for pid in pids:
        os.waitpid(pid, 0)
    while os.read(alive, 1):
        pass
    os.close(alive)
    folded = int((folder / "store" / "store.db").exists())
    counts = {"kills": 1, "folded": folded, "acknowledged": 0, "lost": 0, "doubled": 0, "beyond": 0}
    for writer, said in enumerate(memoryview(board).cast("Q")[:writers]):
        steps = found(run_id, f"x{writer}")
        counts["acknowledged"] += said
        counts["lost"] += sum(steps[step] == 0 for step in range(said))
        counts["doubled"] += sum(steps.values()) - len(steps)
        counts["beyond"] += sum(step > said for step in steps)  # one call may be under way
    counts["not KILLED"] = int(autolog.get_run(run_id).status != "KILLED")
    return counts


def found(run_id: str, key: str) -> Counter[int]:
    try:
        return Counter(autolog.metric_history(run_id, key).step.tolist())
    except autolog.NotFoundError:
        return Counter()


def start(alive: int, work: Callable[..., None], *given: object) -> int:
    """Fork a process that leads a group of its own."""
    pid = os.fork()
    if pid == 0:
        os.close(alive)
        os.setpgid(0, 0)
        try:
            work(*given)
        finally:
            os._exit(1)
    os.setpgid(pid, pid)  # here too: the child may not have come to it when it is to be killed
    return pid


if __name__ == "__main__":
    main()
