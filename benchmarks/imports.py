"""What `import autolog` and activation cost over bare Python, in fresh processes.

Run it with `python benchmarks/imports.py [--repeats 30]`.
"""

from __future__ import annotations

import argparse
import statistics
import subprocess
import sys
import tempfile
import time

from rich.console import Console
from rich.table import Table

CASES = {
    "bare Python": "pass",
    "import autolog": "import autolog",
    "import autolog; autolog.autolog()": "import autolog; autolog.autolog()",
    "start_run, log 100 points, end": "import autolog\nwith autolog.start_run() as run:\n"
    " for step in range(100): run.log_metric('x', 1.0, step)",
    "import wrapt": "import wrapt",
    "import sqlalchemy": "import sqlalchemy",
}
GOALS_MS = {"import autolog": 10, "import autolog; autolog.autolog()": 80}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--repeats", type=int, default=30)
    repeats = parser.parse_args().repeats
    times: dict[str, list[float]] = {name: [] for name in CASES}
    with tempfile.TemporaryDirectory() as folder:
        for repeat in range(repeats + 1):
            for name, source in CASES.items():
                started = time.perf_counter()
                subprocess.run([sys.executable, "-c", source], cwd=folder, check=True)
                if repeat:  # the first round writes bytecode
                    times[name].append(time.perf_counter() - started)
    bare = statistics.median(times["bare Python"])
    table = Table(title=f"start to exit, medians of {repeats}, in ms")
    for column in ("", "total", "over bare", "goal"):
        table.add_column(column, justify="left" if not column else "right")
    for name, seconds in times.items():
        median = statistics.median(seconds)
        goal = str(GOALS_MS.get(name, ""))
        table.add_row(name, f"{median * 1e3:.1f}", f"{(median - bare) * 1e3:.1f}", goal)
    Console().print(table)


if __name__ == "__main__":
    main()
