"""What one point costs in the training loop, against a bare `os.write` of as many packed bytes.

Run it with `python benchmarks/log_calls.py [--calls 4000] [--rounds 15] [--directory DIR]`.

Rounds of both sides alternate, and the medians are shown, so that a busy machine weighs on both.
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

import autolog
from autolog.ids import new_id
from autolog.journal.frame import FRAME
from autolog.journal.records import METRICS_HEAD
from autolog.journal.writer import Writer

KEYS = ("loss", "acc", "lr", "grad_norm", "time")


def bare(directory: Path, keys: int) -> Callable[[int], None]:
    """Pack and write as many bytes as a record of `keys` points has."""
    size = FRAME.size + METRICS_HEAD.size + 8 * keys
    head = size - 16 * keys
    pack = struct.Struct(f"<{max(head, 0)}s" + "qd" * keys).pack
    flags = os.O_CREAT | os.O_WRONLY | os.O_APPEND
    fd = os.open(directory / f"bare{keys}", flags, 0o600)
    filler = bytes(max(head, 0))

    def call(step: int) -> None:
        os.write(fd, pack(filler, *(step, 0.5) * keys))

    return call


def journal(directory: Path, keys: int) -> Callable[[int], None]:
    """Write one record of `keys` points, the dictionary made anew as a loop does."""
    writer = Writer(directory / f"journal{keys}", "benchmark")
    run = writer.run(new_id())
    if keys == 1:
        return lambda step: writer.metrics(run, {"loss": 0.5}, step)
    return lambda step: writer.metrics(
        run, {"loss": 0.5, "acc": 0.5, "lr": 0.5, "grad_norm": 0.5, "time": 0.5}, step
    )


def public(directory: Path, keys: int) -> Callable[[int], None]:
    """The same through `autolog.log_metrics`, as a script calls it."""
    os.environ["AUTOLOG_STORE"] = str(directory / f"store{keys}")
    os.environ["AUTOLOG_PRINT"] = "never"
    autolog.start_run(f"{keys} keys")
    if keys == 1:
        return lambda step: autolog.log_metrics({"loss": 0.5}, step=step)
    return lambda step: autolog.log_metrics(
        {"loss": 0.5, "acc": 0.5, "lr": 0.5, "grad_norm": 0.5, "time": 0.5}, step=step
    )


def seconds(call: Callable[[int], None], calls: int) -> float:
    start = time.perf_counter()
    for step in range(calls):
        call(step)
    return (time.perf_counter() - start) / calls


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--calls", type=int, default=4000)
    parser.add_argument("--rounds", type=int, default=15)
    parser.add_argument("--directory", help="where to write; a temporary folder by default")
    options = parser.parse_args()
    columns = ("keys", "us/call", "ns/point", "bare ns/point", "ratio")
    print(f"{'':22}" + "".join(f"{column:>15}" for column in columns))
    with tempfile.TemporaryDirectory(dir=options.directory) as folder:
        for keys in (1, len(KEYS)):
            for name, made in (("journal", journal), ("autolog.log_metrics", public)):
                row(name, keys, made(Path(folder), keys), bare(Path(folder), keys), options)
                autolog.end_run()


def row(
    name: str,
    keys: int,
    ours: Callable[[int], None],
    theirs: Callable[[int], None],
    options: argparse.Namespace,
) -> None:
    seconds(ours, 2000), seconds(theirs, 2000)
    calls = options.calls
    rounds = [(seconds(ours, calls), seconds(theirs, calls)) for _ in range(options.rounds)]
    mine = statistics.median(a for a, _ in rounds)
    base = statistics.median(b for _, b in rounds)
    ratio = statistics.median(a / b for a, b in rounds)
    figures = (keys, mine * 1e6, mine / keys * 1e9, base / keys * 1e9, ratio)
    print(f"{name:22}" + "".join(f"{figure:>15.4g}" for figure in figures))


if __name__ == "__main__":
    main()
