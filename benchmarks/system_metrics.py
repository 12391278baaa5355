"""What measuring a run from outside costs: the start in the program, and the helper's own CPU.

Run it with `python benchmarks/system_metrics.py [--seconds 20]`. The start is timed in the program
that asks for a helper. A sample is timed for a program alone and for one with 16 worker processes
(a DataLoader's). The share is that of the whole helper process while it serves one program at its
usual pace, its own start left out. What a log call costs is in `log_calls.py`.
"""

from __future__ import annotations

import argparse
import os
import statistics
import subprocess
import sys
import tempfile
import time
from pathlib import Path

import psutil
from rich.console import Console
from rich.table import Table

from autolog.journal.lease import locked
from autolog.sink.gpus import Gpus
from autolog.sink.launch import start_helper
from autolog.sink.state import lock_path, read_state
from autolog.sink.usage import Usage, tree
from autolog.store.location import Location, locate, prepare

_PROGRAM = """
import os, subprocess, sys, time
import autolog
with autolog.start_run() as run:
    children = [subprocess.Popen(["sleep", "600"]) for _ in range(int(sys.argv[1]))]
    print("ready", flush=True)
    end = time.monotonic() + float(sys.argv[2])
    while time.monotonic() < end:
        run.log_metric("loss", 0.5)
        time.sleep(0.0013)
for child in children:
    child.kill()
    child.wait()
"""


def program(location: Location, workers: int, seconds: float) -> subprocess.Popen[str]:
    """Start a program with worker processes that logs every 1.3 ms."""
    return subprocess.Popen(
        [sys.executable, "-c", _PROGRAM, str(workers), str(seconds)],
        env={**os.environ, "AUTOLOG_STORE": location.address, "AUTOLOG_SYSTEM_METRICS": "always"},
        stdout=subprocess.PIPE,
        text=True,
    )


def start_ms(folder: Path, rounds: int) -> float:
    """Return the median milliseconds that the start takes the program that asks for it."""
    taken: list[float] = []
    for at in range(rounds):
        location = locate(folder / f"start{at}" / ".autolog")
        prepare(location)
        begin = time.perf_counter()
        start_helper(location)
        taken.append(1000 * (time.perf_counter() - begin))
        while read_state(location) is None or locked(lock_path(location)):
            time.sleep(0.1)  # it finds nobody to serve; the next start shall have the machine
    return statistics.median(taken)


def sample_ms(location: Location, workers: int) -> float:
    """Return the median CPU milliseconds of one sample of a program."""
    process = program(location, workers, 600)
    assert process.stdout is not None
    process.stdout.readline()
    root, usage, gpus = psutil.Process(process.pid), Usage(), Gpus()
    taken: list[float] = []
    for _ in range(50):
        begin = time.thread_time()
        processes = tree(root)
        usage.sample(processes)
        gpus.sample({one.pid for one in processes}, {})
        taken.append(1000 * (time.thread_time() - begin))
    for one in [*root.children(recursive=True), root]:
        one.kill()
    process.communicate()
    return statistics.median(taken)


def helper_share(location: Location, seconds: float) -> tuple[float, float]:
    """Return the helper's CPU in percent of a core, and its resident megabytes."""
    process = program(location, 0, seconds + 30)
    while (state := read_state(location)) is None or not locked(lock_path(location)):
        time.sleep(0.1)
    time.sleep(3)
    helper = psutil.Process(state.pid)
    before, begin = helper.cpu_times(), time.monotonic()
    time.sleep(seconds)
    after, passed = helper.cpu_times(), time.monotonic() - begin
    used = after.user + after.system - before.user - before.system
    resident = helper.memory_info().rss / 1e6
    process.kill()
    process.communicate()
    return 100 * used / passed, resident


def main() -> None:
    """Measure and print a table."""
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("--seconds", type=float, default=20.0)
    seconds: float = parser.parse_args().seconds
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        share, resident = helper_share(locate(folder / "share" / ".autolog"), seconds)
        rows = {
            "start, in the program (wall)": f"{start_ms(folder, 7):.2f} ms",
            "one sample, 1 process (CPU)": f"{sample_ms(locate(folder / 'one'), 0):.2f} ms",
            "one sample, 17 processes (CPU)": f"{sample_ms(locate(folder / 'many'), 16):.2f} ms",
            "helper, usual pace (CPU)": f"{share:.2f} % of a core",
            "helper, resident": f"{resident:.0f} MB",
        }
        table = Table("what", "cost")
        for what, cost in rows.items():
            table.add_row(what, cost)
        Console().print(table)
        time.sleep(8)  # the last helpers end by themselves


if __name__ == "__main__":
    main()
