"""What autologging costs a boosting training: 200 rounds, 5,000 x 20, two eval sets, one thread.

    python benchmarks/boosting_overhead.py [--framework xgboost] [--repeats 15] [--rounds 200]

Trains plain, with autolog and with autolog but without models, in turn in one process, and prints
the medians and their ratios to plain. Between trainings autolog is switched off altogether, so
plain is plain. CPU time is the figure to trust on a machine that does other work as well; `us/round`
is the CPU time over plain by round, all that is done at the end included.
"""

from __future__ import annotations

import argparse
import os
import statistics
import sys
import tempfile
import time
from collections.abc import Callable
from typing import Any

for variable in ("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS"):
    os.environ.setdefault(variable, "1")

import numpy as np
from rich.console import Console
from rich.table import Table

import autolog

Training = Callable[[], object]


def data() -> tuple[Any, Any]:
    """Return 5,000 rows of 20 features and a binary target."""
    random = np.random.default_rng(0)
    features = random.normal(size=(5000, 20))
    return features, (features[:, :5].sum(axis=1) + random.normal(size=5000) > 0).astype(int)


def xgboost(rounds: int) -> Training:
    """Return a training with `xgboost.train`."""
    import xgboost

    features, target = data()
    train = xgboost.DMatrix(features[:4000], label=target[:4000])
    test = xgboost.DMatrix(features[4000:], label=target[4000:])
    params = {"objective": "binary:logistic", "max_depth": 6, "nthread": 1}
    evals = [(train, "train"), (test, "test")]

    def training() -> object:
        return xgboost.train(params, train, rounds, evals=evals, verbose_eval=False)

    return training


FRAMEWORKS: dict[str, Callable[[int], Training]] = {"xgboost": xgboost}
"""A framework's training: given the rounds, it returns what is timed."""

ON: dict[str, dict[str, Any]] = {
    "plain": {},
    "autolog": {"silent": True},
    "autolog, no models": {"silent": True, "log_models": "never"},
}


def once(training: Training, framework: str, options: dict[str, Any]) -> tuple[float, float]:
    """Return wall and CPU seconds of one training."""
    if options:
        autolog.autolog(framework, **options)
    try:
        started = time.perf_counter(), time.process_time()
        training()
        return time.perf_counter() - started[0], time.process_time() - started[1]
    finally:
        autolog.disable()


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--framework", choices=sorted(FRAMEWORKS), default="xgboost")
    parser.add_argument("--repeats", type=int, default=15)
    parser.add_argument("--rounds", type=int, default=200)
    parser.add_argument("--profile", action="store_true", help="profile one training with autolog")
    options = parser.parse_args()
    training = FRAMEWORKS[options.framework](options.rounds)
    with tempfile.TemporaryDirectory() as place:
        os.environ["AUTOLOG_STORE"] = place
        for name in ON:
            once(training, options.framework, ON[name])  # imports and caches
        if options.profile:
            profile(training, options.framework)
            return
        found: dict[str, list[tuple[float, float]]] = {name: [] for name in ON}
        for _ in range(options.repeats):
            for name in ON:
                found[name].append(once(training, options.framework, ON[name]))
    report(options.framework, options.rounds, found)


def profile(training: Training, framework: str) -> None:
    """Print where the time of one training goes."""
    import cProfile
    import pstats

    autolog.autolog(framework, silent=True)
    with cProfile.Profile() as profiler:
        training()
    pstats.Stats(profiler, stream=sys.stdout).sort_stats("cumulative").print_stats(45)


def report(framework: str, rounds: int, found: dict[str, list[tuple[float, float]]]) -> None:
    table = Table(title=f"{framework}, {rounds} rounds, medians of {len(found['plain'])}")
    for column in ("", "wall s", "x plain", "CPU s", "x plain", "us/round"):
        table.add_column(column, justify="left" if not column else "right")
    base = [statistics.median(column) for column in zip(*found["plain"], strict=True)]
    for name, rows in found.items():
        wall, cpu = (statistics.median(column) for column in zip(*rows, strict=True))
        table.add_row(
            name,
            f"{wall:.4f}",
            f"{wall / base[0]:.3f}",
            f"{cpu:.4f}",
            f"{cpu / base[1]:.3f}",
            f"{(cpu - base[1]) / rounds * 1e6:.1f}",
        )
    Console().print(table)


if __name__ == "__main__":
    main()
