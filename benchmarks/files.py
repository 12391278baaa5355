"""Bringing runs and files in and out: time as a ratio to bare work, and peak memory of each.

Run it with `python benchmarks/files.py [--points 10000000] [--megabytes 2000]`. Each step is a
fresh process; memory is the growth of the peak over what the imports take.
"""

from __future__ import annotations

import argparse
import subprocess
import sys
import tempfile
from pathlib import Path

from rich.console import Console
from rich.table import Table

PRELUDE = """
import sys, time
from pathlib import Path
import numpy as np
def peak():
    lines = Path("/proc/self/status").read_text().splitlines()
    return next(int(line.split()[1]) for line in lines if line.startswith("VmHWM")) / 1e3
from dataclasses import replace
from autolog.artifacts.collection import collect, make_plan
from autolog.artifacts.repository import Repository
from autolog.artifacts.transfer import send
from autolog.bundle.reading import import_bundle
from autolog.bundle.writing import export
from autolog.store import open_store
from autolog.store.location import locate, prepare
from autolog.store.portrait import Points, Portrait, State
import pyarrow.parquet
root, points = Path(sys.argv[1]), int(sys.argv[2])
def store(name):
    prepare(locate(root / name))
    return open_store(locate(root / name))
a, b, c = store("a"), store("b"), store("c")
UID, KEYS = "a" * 32, 100
def histories():
    n = points // KEYS
    rng = np.random.default_rng(0)
    for key in range(KEYS):
        yield f"key/{key:03}", Points(
            np.arange(n), rng.normal(size=n), np.arange(n) * 1000 + 1_700_000_000_000_000,
            np.full(n, np.nan), np.zeros(n, np.int64), np.zeros(n, np.int64), [{"phase": "fit"}])
before, began, cpu = peak(), time.perf_counter(), time.process_time()
"""

END = """
print(time.perf_counter() - began, time.process_time() - cpu, peak() - before)
"""

STEPS = {
    "take in a run (100 metrics)": """
state = State(name="x", kind="run", status="FINISHED", ended_by="record", opened=True,
              experiment="exp", start_us=1, last_us=2, end_us=2)
a.take_in(Portrait(uid=UID, source="s", ver=1, state=state, contexts=[{"phase": "fit"}],
                   metrics=[f"key/{key:03}" for key in range(KEYS)], points=histories()))
""",
    "send it to another store": "send(a, b, UID)",
    "send it again after a change": """
from autolog.entities import Event
a.record_event(UID, Event(kind="note", time=1))
assert send(a, b, UID).points == 0
""",
    "export it": 'export(a, [UID], root / "bundle", version="0")',
    "import it": 'assert import_bundle(c, root / "bundle").points == points',
    "import it again": 'assert import_bundle(c, root / "bundle").points == 0',
    "gc: remove it": """
from sqlalchemy import update
from autolog.store.sql.schema import metadata
with c._database.write() as connection:
    connection.execute(update(metadata.tables["run"]).values(lifecycle="deleted", deleted_us=1))
assert collect(c, make_plan(c, older_than=1, rules=None, experiment=None)).runs == 1
""",
}

FILE_STEPS = {
    "bare copy with sha256": """
import hashlib
digest = hashlib.sha256()
with open(root / "large", "rb") as source, open(root / "bare", "wb") as target:
    while piece := source.read(1 << 20):
        digest.update(piece)
        target.write(piece)
(root / "bare").unlink()
""",
    "put a file": 'Repository(root / "files").put(root / "large")',
    "get it, verified": """
repository = Repository(root / "files")
[[stored]] = list(repository.iterate())
repository.get(stored.blob.uri, root / "copy")
(root / "copy").unlink()
""",
}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--points", type=int, default=10_000_000)
    parser.add_argument("--megabytes", type=int, default=2000)
    options = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder:
        table = _table(f"{options.points:,} points in a run", "points/s of CPU")
        for name, step in STEPS.items():
            _, cpu, peak = _run(step, folder, options.points)
            table.add_row(name, f"{options.points / cpu:,.0f}", f"{peak:.0f}")
        Console().print(table)
    with tempfile.TemporaryDirectory() as folder:
        with open(Path(folder, "large"), "wb") as file:
            file.writelines(
                number.to_bytes(8, "little") * 125_000 for number in range(options.megabytes)
            )
        table = _table(f"a file of {options.megabytes} MB", "x bare, of CPU")
        bare = None
        for name, step in FILE_STEPS.items():
            _, cpu, peak = _run(step, folder, 0)
            bare = bare or cpu
            table.add_row(name, f"{cpu / bare:.2f}", f"{peak:.0f}")
        Console().print(table)


def _table(title: str, rate: str) -> Table:
    table = Table(title=title)
    for column in ("", rate, "peak MB more"):
        table.add_column(column, justify="left" if not column else "right")
    return table


def _run(step: str, folder: str, points: int) -> list[float]:
    done = subprocess.run(
        [sys.executable, "-c", PRELUDE + step + END, folder, str(points)],
        capture_output=True,
        text=True,
        check=False,
    )
    if done.returncode:
        raise SystemExit(done.stderr)
    return [float(word) for word in done.stdout.split()]


if __name__ == "__main__":
    main()
