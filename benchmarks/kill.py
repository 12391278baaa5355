"""Kills a program that logs, at random points, and counts what its acknowledged points became.

Run it with `python benchmarks/kill.py [--kills 50]`. Each program logs with `log_metric` and
acknowledges every call that returned through a pipe. It is killed with SIGKILL at a random time;
in turn nothing else happens, a reader loops over the store meanwhile, or a child that the program
forked lives on. Then the store is read: points lost, points doubled, and the state of the run.
"""

from __future__ import annotations

import argparse
import os
import random
import signal
import subprocess
import sys
import tempfile
import time
from collections import Counter
from pathlib import Path

from rich.console import Console
from rich.progress import track
from rich.table import Table

WRITER = """
import os, sys, time
import autolog
run = autolog.start_run()
if {forks}:
    if os.fork() == 0:
        time.sleep(30)
        os._exit(0)
step = 0
while True:
    run.log_metric("x", step, step)
    os.write(1, b"%d\\n" % step)
    step += 1
"""
READER = """
import autolog
while True:
    for run in autolog.search_runs():
        try:
            autolog.metric_history(run.run_id, "x")
        except autolog.NotFoundError:
            pass
"""
SCENES = ("alone", "a reader loops", "a forked child lives on")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--kills", type=int, default=50)
    kills = parser.parse_args().kills
    rows = {scene: Counter() for scene in SCENES}
    for number in track(range(kills), "killing", console=Console(stderr=True)):
        scene = SCENES[number % len(SCENES)]
        with tempfile.TemporaryDirectory() as folder:
            rows[scene].update(kill(scene, Path(folder)))
    table = Table(title=f"{kills} kills")
    columns = ("kills", "acknowledged", "lost", "doubled", "not KILLED")
    for column in ("", *columns):
        table.add_column(column, justify="left" if not column else "right")
    for scene, counts in rows.items():
        table.add_row(scene, *(str(counts[column]) for column in columns))
    Console().print(table)


def kill(scene: str, folder: Path) -> dict[str, int]:
    env = {**os.environ, "AUTOLOG_STORE": str(folder / "store"), "AUTOLOG_PRINT": "never"}
    script = WRITER.format(forks=scene == SCENES[2])
    writer = subprocess.Popen(
        [sys.executable, "-c", script], stdout=subprocess.PIPE, env=env, start_new_session=True
    )
    assert writer.stdout is not None
    first = writer.stdout.readline()
    reader = None
    if scene == SCENES[1]:
        reader = subprocess.Popen([sys.executable, "-c", READER], env=env)
    deadline = time.monotonic() + random.uniform(0, 0.8)
    seen = first
    os.set_blocking(writer.stdout.fileno(), False)
    while time.monotonic() < deadline:
        seen += writer.stdout.read() or b""
    os.kill(writer.pid, signal.SIGKILL)
    writer.wait()
    seen += writer.stdout.read() or b""
    os.environ["AUTOLOG_STORE"] = env["AUTOLOG_STORE"]
    import autolog

    run = autolog.search_runs()[0]
    steps = Counter(autolog.metric_history(run.run_id, "x").step.tolist())
    if reader is not None:
        reader.kill()
        reader.wait()
    if scene == SCENES[2]:
        os.killpg(writer.pid, signal.SIGKILL)
    writer.stdout.close()
    acknowledged = [int(line) for line in seen.split(b"\n")[:-1]]
    return {
        "kills": 1,
        "acknowledged": len(acknowledged),
        "lost": sum(steps[step] == 0 for step in acknowledged),
        "doubled": sum(count - 1 for count in steps.values()),
        "not KILLED": int(run.status != "KILLED"),
    }


if __name__ == "__main__":
    main()
