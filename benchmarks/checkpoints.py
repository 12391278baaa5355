"""What keeping a copy of a checkpoint costs the program that saves it.

Run: python benchmarks/checkpoints.py [--size 100] [--rounds 9] [--folder .]

Two programs train and save their state dict again and again under the same name, one with autolog
and one without, in turns; each `torch.save` is timed from call to return. What the end of the run
takes (the digests of the last and the best checkpoint) is said apart. `--folder` chooses the disk:
where the file system can share blocks (btrfs, xfs) the copy is free.
"""

from __future__ import annotations

import argparse
import os
import statistics
import subprocess
import sys
import tempfile
import time
from pathlib import Path

ARGUMENTS = argparse.ArgumentParser(description=__doc__.splitlines()[0])
ARGUMENTS.add_argument("--size", type=int, default=100, help="megabytes of weights")
ARGUMENTS.add_argument("--rounds", type=int, default=9)
ARGUMENTS.add_argument("--folder", default=".")
ARGUMENTS.add_argument("--program", choices=["plain", "autolog"], help="for its own use")

WIDTH = 1000
WARM = 3
"""The first saves make the files that later ones are written over."""


def program(name: str, size: int) -> None:
    """Save once for each line that is read, and answer how long that took."""
    import torch

    import autolog

    if name == "autolog":
        autolog.autolog("torch", max_model_mb=10 * size)
    torch.set_num_threads(1)
    layers = max(1, size * 1_000_000 // (4 * WIDTH * (WIDTH + 1)))
    model = torch.nn.Sequential(*[torch.nn.Linear(WIDTH, WIDTH) for _ in range(layers)])
    optimizer = torch.optim.SGD(model.parameters(), lr=1e-3)
    for at, _ in enumerate(sys.stdin):
        model(torch.ones(1, WIDTH)).mean().backward()
        optimizer.step()
        optimizer.zero_grad()
        if name == "autolog":
            autolog.log_metric("val/loss", 1 + at)
        began = time.perf_counter()
        torch.save(model.state_dict(), f"{name}.pt")
        print(time.perf_counter() - began, flush=True)
    run = autolog.last_run()
    began = time.perf_counter()
    if run is not None:
        run.end()
    print(time.perf_counter() - began, flush=True)


def main() -> None:
    """Print a table with the ratio of the two."""
    given = ARGUMENTS.parse_args()
    if given.program:
        program(given.program, given.size)
        return
    took: dict[str, list[float]] = {"plain": [], "autolog": []}
    with tempfile.TemporaryDirectory(dir=given.folder) as place:
        environment = {**os.environ, "AUTOLOG_STORE": f"{place}/store", "AUTOLOG_PRINT": "never"}
        command = [sys.executable, str(Path(__file__).resolve()), "--size", str(given.size)]
        programs = {
            name: subprocess.Popen(
                [*command, "--program", name],
                cwd=place,
                env=environment,
                stdin=subprocess.PIPE,
                stdout=subprocess.PIPE,
                text=True,
            )
            for name in took
        }
        for round_ in range(WARM + given.rounds):
            for name, one in programs.items():
                assert one.stdin is not None
                assert one.stdout is not None
                one.stdin.write("\n")
                one.stdin.flush()
                seconds = float(one.stdout.readline())
                if round_ >= WARM:
                    took[name].append(seconds)
        size = Path(place, "plain.pt").stat().st_size
        ends = [float(one.communicate()[0]) for one in programs.values()]
    plain = statistics.median(took["plain"])
    print(f"{size / 1e6:.0f} MB, {given.rounds} saves each, median (best)")
    for name, times in took.items():
        middle, best = statistics.median(times), min(times)
        print(f"{name:10} {middle * 1e3:8.1f} ms ({best * 1e3:.1f})   {middle / plain:.2f}x")
    print(f"end of the run {ends[-1] * 1e3:.1f} ms, once")


if __name__ == "__main__":
    main()
