"""Peak memory of fitting a forest of some 500 MB, plain and with autolog, in fresh processes.

Run it with `python benchmarks/peak_memory.py [--megabytes 500] [--repeats 3]`.
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

SCRIPT = """
import resource, sys
{first}
import numpy as np
from sklearn.ensemble import RandomForestRegressor
rng = np.random.default_rng(0)
X, y = rng.normal(size=(20_000, 5)), rng.normal(size=20_000)
trees = max(int({megabytes} / 1.83), 1)  # a fully grown tree of 20,000 rows takes 1.83 MB
RandomForestRegressor(trees, random_state=0).fit(X, y)
print(resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1e3)
"""
FIRST = {
    "plain": "",
    "autolog (model above the limit)": "from autolog import autolog; autolog()",
    "autolog (model stored)": "from autolog import autolog; autolog(max_model_mb=10_000)",
}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--megabytes", type=int, default=500)
    parser.add_argument("--repeats", type=int, default=3)
    options = parser.parse_args()
    peaks: dict[str, list[float]] = {name: [] for name in FIRST}
    env = {key: text for key, text in os.environ.items() if not key.startswith("AUTOLOG_")}
    for _ in range(options.repeats):
        for name, first in FIRST.items():
            with tempfile.TemporaryDirectory() as folder:
                source = SCRIPT.format(first=first, megabytes=options.megabytes)
                done = subprocess.run(
                    [sys.executable, "-c", source],
                    cwd=folder,
                    env=env,
                    capture_output=True,
                    text=True,
                    check=True,
                )
            peaks[name].append(float(done.stdout.split()[-1]))
    plain = statistics.median(peaks["plain"])
    table = Table(title=f"peak resident memory, a forest of {options.megabytes} MB")
    for column in ("", "MB", "x plain"):
        table.add_column(column, justify="left" if not column else "right")
    for name, values in peaks.items():
        median = statistics.median(values)
        table.add_row(name, f"{median:.0f}", f"{median / plain:.3f}")
    Console().print(table)


if __name__ == "__main__":
    main()
