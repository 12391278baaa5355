"""What autologging costs a scikit-learn script, wall and CPU time to process exit.

    python benchmarks/autolog_overhead.py [--repeats 10] [--fits 20] [--mlflow PYTHON]

Runs the same script plain and with `autolog()`, in alternating fresh processes, and prints the
medians, the overhead per fit and its ratio to the plain fit. The overhead is (process with
autolog - plain process) / fits: it holds importing autolog, activation, the journal, the stored
models and the work at exit. `--mlflow` names a Python that has scikit-learn and MLflow, to put
MLflow's autolog into the same table (one repeat: it takes minutes).
"""

from __future__ import annotations

import argparse
import os
import resource
import statistics
import subprocess
import sys
import tempfile
import time
from pathlib import Path

from rich.console import Console
from rich.table import Table

SCRIPT = """
import sys, time
{first}
import numpy as np
from sklearn.linear_model import LogisticRegression
X = np.random.default_rng(0).normal(size=(1000, 20))
y = (X[:, :5].sum(axis=1) + np.random.default_rng(1).normal(size=1000) > 0).astype(int)
times = []
for number in range({fits}):
    started = time.perf_counter()
    LogisticRegression(C=1 + number).fit(X, y)
    times.append(time.perf_counter() - started)
print(sorted(times)[len(times) // 2])
"""

FIRST = {
    "plain": "",
    "autolog": "from autolog import autolog; autolog()",
    "autolog, no models": "from autolog import autolog; autolog(log_models='never')",
    "mlflow": "import mlflow; mlflow.set_tracking_uri('sqlite:///mlflow.db');"
    " mlflow.autolog(silent=True)",
}


def run(python: str, name: str, fits: int, folder: Path) -> tuple[float, float, float]:
    """Return wall seconds, CPU seconds and the median fit of one process."""
    path = folder / "script.py"
    path.write_text(SCRIPT.format(first=FIRST[name], fits=fits))
    env = {key: text for key, text in os.environ.items() if not key.startswith("AUTOLOG_")}
    before, started = resource.getrusage(resource.RUSAGE_CHILDREN), time.perf_counter()
    done = subprocess.run(
        [python, str(path)], cwd=folder, env=env, capture_output=True, text=True, check=True
    )
    wall = time.perf_counter() - started
    after = resource.getrusage(resource.RUSAGE_CHILDREN)
    cpu = after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime
    return wall, cpu, float(done.stdout.split()[-1])


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--repeats", type=int, default=10)
    parser.add_argument("--fits", type=int, default=20)
    parser.add_argument("--mlflow", metavar="PYTHON")
    options = parser.parse_args()
    names = ["plain", "autolog", "autolog, no models"]
    found: dict[str, list[tuple[float, float, float]]] = {name: [] for name in names}
    with tempfile.TemporaryDirectory() as place:
        folder = Path(place)
        for name in names:
            run(sys.executable, name, 1, folder)  # bytecode and file caches
        for _ in range(options.repeats):
            for name in names:
                found[name].append(run(sys.executable, name, options.fits, folder))
        if options.mlflow:
            found["plain (mlflow's Python)"] = [
                run(options.mlflow, "plain", options.fits, folder) for _ in range(3)
            ]
            found["mlflow"] = [run(options.mlflow, "mlflow", options.fits, folder)]
    report(found, options.fits)


def report(found: dict[str, list[tuple[float, float, float]]], fits: int) -> None:
    plain = [statistics.median(column) for column in zip(*found["plain"], strict=True)]
    table = Table(title=f"{fits} fits of LogisticRegression, 1000 x 20, medians")
    for column in ("", "wall s", "CPU s", "fit ms", "wall ms/fit over", "x fit", "CPU ms/fit over"):
        table.add_column(column, justify="left" if not column else "right")
    for name, rows in found.items():
        wall, cpu, fit = (statistics.median(column) for column in zip(*rows, strict=True))
        base = plain
        if name.startswith("mlflow"):
            columns = zip(*found["plain (mlflow's Python)"], strict=True)
            base = [statistics.median(column) for column in columns]
        over, cpu_over = (wall - base[0]) / fits * 1e3, (cpu - base[1]) / fits * 1e3
        table.add_row(
            name,
            f"{wall:.3f}",
            f"{cpu:.3f}",
            f"{fit * 1e3:.2f}",
            f"{over:.2f}",
            f"{over / (base[2] * 1e3):.2f}",
            f"{cpu_over:.2f}",
        )
    Console().print(table)


if __name__ == "__main__":
    main()
