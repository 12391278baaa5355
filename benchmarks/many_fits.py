"""Memory and time of a thousand fits in one process: neither may grow.

Run it with `python benchmarks/many_fits.py [--fits 1000]`. The first hundred fits are left out of
the growth: they fill caches and import what is imported late. Plain fits show what the framework
itself takes.
"""

from __future__ import annotations

import argparse
import os
import subprocess
import sys
import tempfile

from rich.console import Console
from rich.table import Table

SCRIPT = """
import gc, os, time
{first}
import numpy as np
import psutil
from sklearn.linear_model import LogisticRegression
X = np.random.default_rng(0).normal(size=(1000, 20))
y = (X[:, :5].sum(axis=1) > 0).astype(int)
process, times, after = psutil.Process(), [], {{}}
for number in range({fits}):
    started = time.perf_counter()
    LogisticRegression(C=1 + number).fit(X, y)
    times.append(time.perf_counter() - started)
    if number + 1 in (100, {fits}):
        gc.collect()
        after[number + 1] = process.memory_info().rss / 1e6, len(gc.get_objects())
middle = lambda part: sorted(part)[len(part) // 2] * 1e3
(early, few), (late, many) = after[100], after[{fits}]
print(late - early, many - few, middle(times[100:200]), middle(times[-100:]), early)
"""

FIRST = {
    "plain": "",
    "autolog": "from autolog import autolog; autolog()",
    "autolog, no models": "from autolog import autolog; autolog(log_models='never')",
    "autolog, no data": "from autolog import autolog; autolog(log_datasets=False)",
}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--fits", type=int, default=1000)
    options = parser.parse_args()
    env = {key: text for key, text in os.environ.items() if not key.startswith("AUTOLOG_")}
    table = Table(title=f"{options.fits} fits of a LogisticRegression on 1000 x 20")
    table.add_column("")
    for column in ("MB grown", "objects grown", "ms early", "ms late", "MB at 100"):
        table.add_column(column, justify="right")
    for name, first in FIRST.items():
        with tempfile.TemporaryDirectory() as folder:
            source = SCRIPT.format(first=first, fits=options.fits)
            done = subprocess.run(
                [sys.executable, "-c", source],
                cwd=folder,
                env=env,
                capture_output=True,
                text=True,
                check=True,
            )
        grown, objects, early, late, start = map(float, done.stdout.split())
        times = (f"{early:.3f}", f"{late:.3f}")
        table.add_row(name, f"{grown:.2f}", f"{objects:.0f}", *times, f"{start:.0f}")
    Console().print(table)


if __name__ == "__main__":
    main()
