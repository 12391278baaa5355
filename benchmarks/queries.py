"""Searches over 10,000 runs of 20 params and 30 metrics, and a history of 100,000 points.

    python benchmarks/queries.py [--mlflow PYTHON] [--runs 10000] [--repeats 5]

Each figure is the median time of one public call (`autolog.search_runs`, `autolog.metric_history`),
opening the store and folding its journals included. MLflow gets the same data by bulk inserts into
its SQLite tables and answers the same calls in the same run, alternating with ours;
`--mlflow` names a Python that has it (without one, an environment is made for it).
"""

from __future__ import annotations

import argparse
import os
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from statistics import median

from rich.console import Console
from rich.table import Table

MLFLOW = "mlflow==3.17.2"
PARAMS, METRICS, POINTS = 20, 30, 100_000
RATES = {"90 %": 0.10, "25 %": 0.75, "5 %": 0.95, "0.5 %": 0.995}
HISTORY_RUN = f"{0:032x}"

CASES = {
    f"filter, sort by another, 100 of {rate}": (f"metrics.m0 > {above}", ["metrics.m1 DESC"], 100)
    for rate, above in RATES.items()
}
CASES["filter by a param, sort by a metric, 100"] = ("params.p0 = 'v3'", ["metrics.m1 DESC"], 100)
CASES["sort by a metric, 100"] = ("", ["metrics.m1 DESC"], 100)
CASES["newest 100"] = ("", [], 100)
FRAME, HISTORY = "all runs to a DataFrame", "history of 100,000 points to NumPy"

GOALS = {name: (30, 50) for name in CASES if name.startswith("filter, sort")}
GOALS |= {"sort by a metric, 100": (None, 50), FRAME: (20, None), HISTORY: (200, None)}

SHARED = """
import random, sys, time
from pathlib import Path
folder, runs, params, metrics, points = Path(sys.argv[1]), *map(int, sys.argv[2:6])

def rows():
    chosen = random.Random(0)
    for number in range(runs):
        yield (f"{number:032x}", 1_700_000_000_000 + number * 1000,
               {f"p{k}": f"v{chosen.randrange(10)}" for k in range(params)},
               {f"m{k}": chosen.random() for k in range(metrics)})

def curve():
    chosen = random.Random(1)
    return [chosen.random() for _ in range(points)]
"""

OURS = """
import autolog
from autolog.journal import records
from autolog.journal.writer import Writer
from autolog.store.location import locate, prepare
place = locate(folder / "store"); prepare(place)
writer = Writer(place.journal, place.uri)
for uid, start, params_of, metrics_of in rows():
    run = writer.run(uid)
    writer.append(records.RunOpen(run=run, name=f"SVC-{uid[-5:]}", kind="fit", experiment="bench",
                                  start_us=start * 1000))
    writer.append(records.Params(run=run, values=params_of))
    writer.metrics(run, metrics_of, 0, None, writer.context(), 0)
    writer.append(records.RunEnd(run=run, status="FINISHED", end_us=start * 1000 + 500_000))
run = writer.run(f"{0:032x}")
for step, value in enumerate(curve()):
    writer.metrics(run, {"curve": value}, step, None, writer.context(), 0)
writer.close()
"""

OUR_CALLS = """
import os
os.environ["AUTOLOG_STORE"] = str(folder / "store")
import autolog
def search(filter, order_by, limit):
    found = autolog.search_runs(filter or None, order_by=order_by, limit=limit)
    return [run.run_id for run in found]
def frame():
    return autolog.search_runs(limit=None).to_pandas().shape[0]
def history(run):
    return len(autolog.metric_history(run, "curve").value)
"""

THEIRS = """
import os
os.environ["MLFLOW_TRACKING_URI"] = f"sqlite:///{folder}/mlflow.db"
import sqlite3, mlflow
number = mlflow.create_experiment("bench")
database = sqlite3.connect(folder / "mlflow.db")
def put(table, columns, values):
    marks = ", ".join("?" * len(columns))
    database.executemany(f"INSERT INTO {table} ({', '.join(columns)}) VALUES ({marks})", values)
found = list(rows())
put("runs", ["run_uuid", "name", "source_type", "status", "start_time", "end_time", "user_id",
             "lifecycle_stage", "experiment_id", "artifact_uri"],
    [(u, f"SVC-{u[-5:]}", "LOCAL", "FINISHED", s, s + 500, "me", "active", number, f"/a/{u}")
     for u, s, _, _ in found])
put("params", ["run_uuid", "key", "value"],
    [(u, k, v) for u, _, p, _ in found for k, v in p.items()])
put("tags", ["run_uuid", "key", "value"],
    [(u, "mlflow.runName", f"SVC-{u[-5:]}") for u, _, _, _ in found])
for table in ("metrics", "latest_metrics"):
    put(table, ["run_uuid", "key", "value", "timestamp", "step", "is_nan"],
        [(u, k, v, s, 0, 0) for u, s, _, m in found for k, v in m.items()])
put("metrics", ["run_uuid", "key", "value", "timestamp", "step", "is_nan"],
    [(f"{0:032x}", "curve", v, step, step, 0) for step, v in enumerate(curve())])
database.commit()
"""

THEIR_CALLS = """
import os
os.environ["MLFLOW_TRACKING_URI"] = f"sqlite:///{folder}/mlflow.db"
import mlflow, numpy
def search(filter, order_by, limit):
    found = mlflow.search_runs(search_all_experiments=True, filter_string=filter,
                               order_by=order_by, max_results=limit, output_format="list")
    return [run.info.run_id for run in found]
def frame():
    return mlflow.search_runs(search_all_experiments=True).shape[0]
def history(run):
    points = mlflow.MlflowClient().get_metric_history(run, "curve")
    return len(numpy.array([point.value for point in points]))
"""

SERVE = """
for line in sys.stdin:
    started = time.perf_counter()
    found = eval(line)
    print(repr((time.perf_counter() - started, found)), flush=True)
"""


class Side:
    """A process of one of the two that answers calls and says how long each took."""

    def __init__(self, python: str, fill: str, calls: str, arguments: list[str]) -> None:
        env = {k: v for k, v in os.environ.items() if not k.startswith(("AUTOLOG_", "MLFLOW_"))}
        env |= {"MLFLOW_DISABLE_TELEMETRY": "true", "PYTHONWARNINGS": "ignore"}
        started = time.perf_counter()
        subprocess.run([python, "-c", SHARED + fill, *arguments], check=True, env=env)
        self.filled = time.perf_counter() - started
        self._process = subprocess.Popen(
            [python, "-c", SHARED + calls + SERVE, *arguments],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
            env=env,
        )

    def call(self, expression: str):
        """Return the seconds an expression took, and its value."""
        assert self._process.stdin is not None
        assert self._process.stdout is not None
        print(expression, file=self._process.stdin, flush=True)
        return eval(self._process.stdout.readline())

    def close(self) -> None:
        """Let the process end."""
        self._process.communicate()


def mlflow_python(given: str | None, folder: Path) -> str:
    """Return a Python that has MLflow, in a new environment if none is given."""
    if given:
        return given
    subprocess.run([sys.executable, "-m", "venv", folder / "mlflow"], check=True)
    python = str(folder / "mlflow" / "bin" / "python")
    subprocess.run([python, "-m", "pip", "install", "-q", MLFLOW], check=True)
    return python


def measure(ours: Side, theirs: Side | None, expression: str, repeats: int):
    """Return both medians in seconds; the answers must be the same."""
    first = ours.call(expression)[1]
    if theirs is not None:
        assert theirs.call(expression)[1] == first, expression
    mine: list[float] = []
    other: list[float] = []
    for number in range(repeats):
        mine.append(ours.call(expression)[0])
        if theirs is not None and number < max(1, repeats // 2):
            other.append(theirs.call(expression)[0])
    return median(mine), median(other) if other else None


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--runs", type=int, default=10_000)
    parser.add_argument("--repeats", type=int, default=5)
    parser.add_argument("--mlflow", metavar="PYTHON")
    parser.add_argument("--ours-only", action="store_true", help="measure no MLflow")
    options = parser.parse_args()
    with tempfile.TemporaryDirectory() as place:
        folder = Path(place)
        arguments = [place, *map(str, (options.runs, PARAMS, METRICS, POINTS))]
        theirs = None
        if not options.ours_only:
            python = mlflow_python(options.mlflow, folder)
            theirs = Side(python, THEIRS, THEIR_CALLS, arguments)
        ours = Side(sys.executable, OURS, OUR_CALLS, arguments)
        folding = ours.call("search('', [], 1)")[0]
        documents = ours.call("frame()")[0]
        calls = {name: f"search{case!r}" for name, case in CASES.items()}
        calls |= {FRAME: "frame()", HISTORY: f"history({HISTORY_RUN!r})"}
        found = {name: measure(ours, theirs, call, options.repeats) for name, call in calls.items()}
        for side in (ours, theirs):
            if side is not None:
                side.close()
    report(found, options.runs)
    print(
        f"journalled in {ours.filled:.1f} s, folded in {folding:.1f} s,"
        f" all documents and summaries made in {documents:.1f} s"
    )


def report(found: dict, runs: int) -> None:
    table = Table(title=f"{runs:,} runs x {PARAMS} params x {METRICS} metrics, medians")
    for column in ("", "autolog ms", "MLflow ms", "ratio", "goal"):
        table.add_column(column, justify="left" if not column else "right")
    for name, (mine, other) in found.items():
        times, below = GOALS.get(name, (None, None))
        goal = [f">= {times}x" if times else "", f"< {below} ms" if below else ""]
        table.add_row(
            name,
            f"{mine * 1e3:.1f}",
            f"{other * 1e3:,.0f}" if other else "",
            f"{other / mine:.0f}x" if other else "",
            ", ".join(part for part in goal if part),
        )
    Console(width=110).print(table)


if __name__ == "__main__":
    main()
