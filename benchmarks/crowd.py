"""Many processes on one store: no error surfaces, and every point is there once.

Two crowds: 64 processes that log to one SQLite store for a while, two readers folding all along;
and 32 that write one run on Postgres, each folding for itself. Every call that returned counts as
acknowledged; afterwards the store must hold exactly those.

    python benchmarks/crowd.py [--seconds 60] [--postgres URI]
"""

from __future__ import annotations

import argparse
import os
import subprocess
import sys
import tempfile
import time
from pathlib import Path

from autolog.ids import new_id

LOGGER = """
import os, sys, time
import autolog
number, seconds, run_id = int(sys.argv[1]), float(sys.argv[2]), sys.argv[3] or None
with autolog.start_run(f"w{number}", run_id=run_id, resume="allow" if run_id else "never") as run:
    end, step = time.monotonic() + seconds, 0
    while time.monotonic() < end:
        run.log_metrics({f"a{number}": step, "b": number, "c": 1.0, "d": -step, "e": 0.5}, step)
        step += 1
        time.sleep(0.0005)  # 64 on two cores: the store is tested, not the scheduler
    print(step)
"""

READER = """
import sys, time
from autolog.tracking.reading import open_store
end, turns = time.monotonic() + float(sys.argv[1]), 0
while time.monotonic() < end:
    store = open_store()
    store.runs(limit=20)
    store.close()
    turns += 1
    time.sleep(0.05)
print(turns)
"""


def start(code: str, *words: object, **environment: str) -> subprocess.Popen:
    return subprocess.Popen(
        [sys.executable, "-c", code, *map(str, words)],
        env={**os.environ, "AUTOLOG_PRINT": "never", "OMP_NUM_THREADS": "1", **environment},
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )


def crowd(uri: str, writers: int, readers: int, seconds: float, run_id: str) -> None:
    """Run a crowd and compare what it acknowledged with what the store has."""
    from autolog.tracking.reading import open_store

    began = time.monotonic()
    processes = [
        start(LOGGER, number, seconds, run_id, AUTOLOG_STORE=uri) for number in range(writers)
    ]
    watchers = [start(READER, seconds, AUTOLOG_STORE=uri) for _ in range(readers)]
    counts, errors = [], []
    for process in processes + watchers:
        out, err = process.communicate()
        if process.returncode or err.strip():
            errors.append(err.strip()[-300:] or f"exit {process.returncode}")
        counts.append(int(out or 0))
    acknowledged, looks = counts[:writers], sum(counts[writers:])
    took = time.monotonic() - began
    folding = time.monotonic()
    store = open_store(uri)
    folding = time.monotonic() - folding
    wrong = 0
    for number, steps in enumerate(acknowledged):
        history = store.history(run_id or f"w{number}", f"a{number}")
        wrong += history.step.tolist() != list(range(steps))
    if run_id:
        wrong += len(store.history(run_id, "b")) != sum(acknowledged)
    store.close()
    print(
        f"{uri.partition('://')[0]:12} {writers} writers {seconds:.0f} s: {5 * sum(acknowledged):,}"
        f" points acknowledged, {looks} looks by {readers} readers, {len(errors)} errors,"
        f" {wrong} writers with lost or doubled points ({took:.0f} s, last fold {folding:.1f} s)"
    )
    for error in errors[:5]:
        print("   ", error)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.split("\n", 1)[0])
    parser.add_argument("--seconds", type=float, default=60)
    parser.add_argument("--postgres", metavar="URI", default=os.environ.get("AUTOLOG_POSTGRES"))
    given = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder:
        crowd(str(Path(folder, "store")), 64, 2, given.seconds, "")
    if given.postgres:
        with tempfile.TemporaryDirectory() as folder:
            os.environ["XDG_DATA_HOME"] = folder
            crowd(given.postgres, 32, 2, given.seconds, new_id())


if __name__ == "__main__":
    main()
