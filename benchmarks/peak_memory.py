"""Peak memory of large trainings, plain and with autolog, in fresh processes.

Run it with `python benchmarks/peak_memory.py [--only sparse] [--megabytes 500] [--repeats 3]`.

*forest*: a model of some 500 MB. *sparse*: a million rows and ten thousand columns, ten values a
row, which would take 80 GB if anybody made them dense. *model*: autolog alone stores 500 MB.
"""

from __future__ import annotations

import argparse
import os
import statistics
import subprocess
import sys
import tempfile

from rich.console import Console
from rich.table import Table

FOREST = """
import numpy as np
from sklearn.ensemble import RandomForestRegressor
rng = np.random.default_rng(0)
X, y = rng.normal(size=(20_000, 5)), rng.normal(size=20_000)
trees = max(int({megabytes} / 1.83), 1)  # a fully grown tree of 20,000 rows takes 1.83 MB
RandomForestRegressor(trees, random_state=0).fit(X, y)
"""

SPARSE = """
import numpy as np
from scipy import sparse
from sklearn.linear_model import SGDClassifier
rng = np.random.default_rng(0)
rows, each = 1_000_000, 10
places = rng.integers(0, 10_000, rows * each, dtype=np.int32)
starts = np.arange(0, rows * each + 1, each, dtype=np.int32)
X = sparse.csr_matrix((rng.normal(size=rows * each), places, starts), shape=(rows, 10_000))
y = rng.integers(0, 2, rows)
SGDClassifier(max_iter=1, tol=None, random_state=0).fit(X, y)
"""

MODEL = """
import numpy as np
from sklearn.base import BaseEstimator
class Weights(BaseEstimator):
    def fit(self, X, y=None):
        self.weights_ = np.ones({megabytes} * 125_000)
        return self
    def predict(self, X):
        return X
Weights().fit(np.zeros((10, 2)))
"""

TRAININGS = {"forest": FOREST, "sparse": SPARSE, "model": MODEL}

FIRST = {
    "plain": "",
    "autolog (model above the limit)": "from autolog import autolog; autolog(max_model_mb=0.001)",
    "autolog (model stored)": "from autolog import autolog; autolog(max_model_mb=10_000)",
}

PEAK = "import resource\nprint(resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1e3)\n"


def peak(first: str, training: str) -> float:
    """Return the most memory that a process had resident, in MB."""
    env = {key: text for key, text in os.environ.items() if not key.startswith("AUTOLOG_")}
    with tempfile.TemporaryDirectory() as folder:
        done = subprocess.run(
            [sys.executable, "-c", f"{first}\n{training}\n{PEAK}"],
            cwd=folder,
            env=env,
            capture_output=True,
            text=True,
            check=True,
        )
    return float(done.stdout.split()[-1])


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--only", choices=TRAININGS)
    parser.add_argument("--megabytes", type=int, default=500)
    parser.add_argument("--repeats", type=int, default=3)
    options = parser.parse_args()
    table = Table(title="peak resident memory")
    for column in ("training", "", "MB", "x plain"):
        table.add_column(column, justify="right" if column in ("MB", "x plain") else "left")
    for training, source in TRAININGS.items():
        if options.only not in (None, training):
            continue
        script = source.replace("{megabytes}", str(options.megabytes))
        peaks: dict[str, list[float]] = {name: [] for name in FIRST}
        for _ in range(options.repeats):
            for name, first in FIRST.items():
                peaks[name].append(peak(first, script))
        plain = statistics.median(peaks["plain"])
        for name, values in peaks.items():
            median = statistics.median(values)
            table.add_row(training, name, f"{median:.0f}", f"{median / plain:.3f}")
    Console().print(table)


if __name__ == "__main__":
    main()
