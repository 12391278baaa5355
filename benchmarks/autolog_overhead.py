"""What autologging costs: trainings in one process, and a whole script to its exit.

    python benchmarks/autolog_overhead.py [--repeats 15] [--fits 20] [--mlflow PYTHON]
    python benchmarks/autolog_overhead.py --case grid-2 --profile

The first table trains plain, with autolog and with autolog but without models, in turn in one
process, and gives medians and their ratios to plain. Between trainings autolog is switched off
altogether, so plain is plain; imports and caches are warm. CPU time is the figure to trust on a
machine that does other work as well; worker processes are not in it.

The second table is a script of a few fits, plain and with `autolog()`, in alternating fresh
processes, timed to their exit: importing autolog, activation, the journal, the stored models and
the work at exit are all in it. `--mlflow` names a Python that has scikit-learn and MLflow, to put
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
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
from rich.console import Console
from rich.table import Table

import autolog

Training = Callable[[], object]

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

ON: dict[str, dict[str, Any]] = {
    "plain": {},
    "autolog": {"silent": True},
    "autolog, no models": {"silent": True, "log_models": "never"},
}


def data(rows: int) -> tuple[Any, Any]:
    """Return rows of 20 features and a binary target."""
    random = np.random.default_rng(0)
    features = random.normal(size=(rows, 20))
    return features, (features[:, :5].sum(axis=1) + random.normal(size=rows) > 0).astype(int)


def logistic() -> Training:
    """Return ten fits of a logistic regression, 1,000 x 20."""
    from sklearn.linear_model import LogisticRegression

    features, target = data(1000)

    def training() -> object:
        for strength in range(1, 11):
            LogisticRegression(C=strength).fit(features, target)
        return None

    return training


def grid(jobs: int) -> Training:
    """Return a grid search of 20 candidates and 3 folds."""
    from sklearn.linear_model import LogisticRegression
    from sklearn.model_selection import GridSearchCV

    features, target = data(1000)
    candidates = {"C": np.logspace(-3, 3, 20).tolist()}

    def training() -> object:
        search = GridSearchCV(LogisticRegression(), candidates, cv=3, n_jobs=jobs)
        return search.fit(features, target)

    return training


def xgboost() -> Training:
    """Return `xgboost.train`, 200 rounds, 5,000 x 20, two eval sets, one thread."""
    import xgboost

    features, target = data(5000)
    train = xgboost.DMatrix(features[:4000], label=target[:4000])
    test = xgboost.DMatrix(features[4000:], label=target[4000:])
    params = {"objective": "binary:logistic", "max_depth": 6, "nthread": 1}
    evals = [(train, "train"), (test, "test")]

    def training() -> object:
        return xgboost.train(params, train, 200, evals=evals, verbose_eval=False)

    return training


def lightgbm() -> Training:
    """Return `lightgbm.train`, 200 rounds, 5,000 x 20, two eval sets, one thread."""
    import lightgbm

    features, target = data(5000)
    train = lightgbm.Dataset(features[:4000], target[:4000], free_raw_data=False)
    test = lightgbm.Dataset(features[4000:], target[4000:], reference=train, free_raw_data=False)
    params = {"objective": "binary", "num_threads": 1, "verbose": -1}

    def training() -> object:
        return lightgbm.train(params, train, 200, valid_sets=[train, test])

    return training


CASES: dict[str, Callable[[], Training]] = {
    "logistic": logistic,
    "grid-1": lambda: grid(1),
    "grid-2": lambda: grid(2),
    "xgboost": xgboost,
    "lightgbm": lightgbm,
}
"""What is trained; `logistic` is ten fits."""


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--case", action="append", choices=sorted(CASES))
    parser.add_argument("--repeats", type=int, default=15)
    parser.add_argument("--fits", type=int, default=20)
    parser.add_argument("--mlflow", metavar="PYTHON")
    parser.add_argument("--profile", action="store_true", help="profile each case with autolog")
    options = parser.parse_args()
    table = Table(title=f"trainings in one process, medians of {options.repeats}")
    for column in ("", "", "wall ms", "x plain", "CPU ms", "x plain", "CPU ms over"):
        table.add_column(column, justify="right" if column else "left")
    with tempfile.TemporaryDirectory() as place:
        os.environ["AUTOLOG_STORE"] = place
        for name in options.case or CASES:
            training = CASES[name]()
            for variant in ON.values():
                once(training, variant)  # imports and caches
            if options.profile:
                profile(training)
            else:
                compare(name, training, options.repeats, table)
    if options.profile:
        return
    Console().print(table)
    if options.case is None or options.mlflow:
        processes(options)


def compare(name: str, training: Training, repeats: int, table: Table) -> None:
    """Time a training in each variant, in turn, and add the rows."""
    found: dict[str, list[tuple[float, float]]] = {variant: [] for variant in ON}
    for _ in range(repeats):
        for variant, given in ON.items():
            found[variant].append(once(training, given))
    base = [statistics.median(column) for column in zip(*found["plain"], strict=True)]
    for variant, rows in found.items():
        wall, cpu = (statistics.median(column) for column in zip(*rows, strict=True))
        figures = (wall * 1e3, wall / base[0], cpu * 1e3, cpu / base[1], (cpu - base[1]) * 1e3)
        written = (
            f"{one:.2f}" if index % 2 == 0 else f"{one:.3f}" for index, one in enumerate(figures)
        )
        table.add_row(name if variant == "plain" else "", variant, *written)


def once(training: Training, options: dict[str, Any]) -> tuple[float, float]:
    """Return wall and CPU seconds of one training."""
    if options:
        autolog.autolog(**options)
    try:
        started = time.perf_counter(), time.process_time()
        training()
        return time.perf_counter() - started[0], time.process_time() - started[1]
    finally:
        autolog.disable()


def profile(training: Training) -> None:
    """Print where the time of one training goes."""
    import cProfile
    import pstats

    autolog.autolog(silent=True)
    with cProfile.Profile() as profiler:
        training()
    autolog.disable()
    pstats.Stats(profiler, stream=sys.stdout).sort_stats("cumulative").print_stats(45)


def processes(options: argparse.Namespace) -> None:
    """Time whole scripts."""
    names = list(ON)
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
