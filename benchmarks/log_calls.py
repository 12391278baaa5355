"""What one point costs in the training loop, against a bare `os.write` of as many packed bytes.

Run it with `python benchmarks/log_calls.py [--calls 500] [--rounds 100] [--directory DIR]`.

All ways are timed in turn in each round, in CPU time of the thread (the kernel's included), and
the medians are shown, so that a busy machine weighs little and on all of them. `bare write` packs
the numbers of a record with one struct and writes the bytes, no more; the other calls include
building the dictionary, as a training loop does.
"""

from __future__ import annotations

import argparse
import os
import statistics
import struct
import tempfile
import time
from collections.abc import Callable
from pathlib import Path

from rich.console import Console
from rich.table import Table

import autolog
from autolog.ids import new_id
from autolog.journal.frame import FRAME
from autolog.journal.records import METRICS_HEAD
from autolog.journal.writer import Writer

Call = Callable[[int], object]
BARE = "bare write"


def bare(directory: Path, keys: int) -> Call:
    """Pack and write as many bytes as a record of `keys` points has."""
    head = FRAME.size + METRICS_HEAD.size - 8 * keys
    pack = struct.Struct(f"<{head}s" + "qd" * keys).pack
    flags = os.O_CREAT | os.O_WRONLY | os.O_APPEND
    fd = os.open(directory / f"bare{keys}", flags, 0o600)
    filler = bytes(head)

    def call(step: int) -> None:
        os.write(fd, pack(filler, *(step, 0.5) * keys))

    return call


def ways(directory: Path) -> dict[int, dict[str, Call]]:
    """Return every way to log one and five keys."""
    writer = Writer(directory / "journal", "benchmark")
    run = writer.run(new_id())
    live = autolog.start_run("calls")
    five = ("loss", "acc", "lr", "grad_norm", "time")
    values = [0.5] * 5
    return {
        5: {
            BARE: bare(directory, 5),
            "journal: Writer.points": lambda step: writer.points(run, five, values, step),
            "journal: Writer.metrics": lambda step: writer.metrics(
                run, {"loss": 0.5, "acc": 0.5, "lr": 0.5, "grad_norm": 0.5, "time": 0.5}, step
            ),
            "run.log_metrics": lambda step: live.log_metrics(
                {"loss": 0.5, "acc": 0.5, "lr": 0.5, "grad_norm": 0.5, "time": 0.5}, step
            ),
            "autolog.log_metrics": lambda step: autolog.log_metrics(
                {"loss": 0.5, "acc": 0.5, "lr": 0.5, "grad_norm": 0.5, "time": 0.5}, step=step
            ),
        },
        1: {
            BARE: bare(directory, 1),
            "journal: Writer.metrics": lambda step: writer.metrics(run, {"loss": 0.5}, step),
            "run.log_metric": lambda step: live.log_metric("loss", 0.5, step),
            "autolog.log_metric": lambda step: autolog.log_metric("loss", 0.5, step),
            "autolog.log_metric, no step": lambda _: autolog.log_metric("numbered", 0.5),
            "autolog.log_metrics": lambda step: autolog.log_metrics({"loss": 0.5}, step=step),
        },
    }


def seconds(call: Call, calls: int) -> float:
    start = time.thread_time()
    for step in range(calls):
        call(step)
    return (time.thread_time() - start) / calls


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--calls", type=int, default=500)
    parser.add_argument("--rounds", type=int, default=100)
    parser.add_argument("--directory", help="where to write; a temporary folder by default")
    options = parser.parse_args()
    table = Table(title=f"median of {options.rounds} rounds of {options.calls} calls each")
    table.add_column("call")
    for column in ("keys", "us/call", "us/point", "x bare write"):
        table.add_column(column, justify="right")
    with tempfile.TemporaryDirectory(dir=options.directory) as folder:
        os.environ["AUTOLOG_STORE"] = str(Path(folder, "store"))
        os.environ["AUTOLOG_PRINT"] = "never"
        for keys, calls in ways(Path(folder)).items():
            for call in calls.values():
                seconds(call, 1000)
            rounds = [
                {name: seconds(call, options.calls) for name, call in calls.items()}
                for _ in range(options.rounds)
            ]
            for name in calls:
                mine = statistics.median(one[name] for one in rounds) * 1e6
                ratio = statistics.median(one[name] / one[BARE] for one in rounds)
                figures = (f"{mine:.2f}", f"{mine / keys:.2f}", f"{ratio:.2f}")
                table.add_row(name, str(keys), *figures)
            table.add_section()
        autolog.end_run()
    Console().print(table)


if __name__ == "__main__":
    main()
