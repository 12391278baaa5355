"""What recording a raw PyTorch loop costs: the loop itself, and the program to its exit.

    python benchmarks/torch_loop.py [--repeats 7] [--steps 2000]

An MLP is trained for 2,000 steps of about 1.3 ms, every step recorded, plain and with `autolog()`,
in alternating fresh processes; a SummaryWriter that writes the same numbers stands beside. One
thread, so that CPU time means something. `loop` is the time of the steps alone, in wall and in CPU
seconds; `exit` is the CPU time of the whole process, with importing autolog, opening the run and
storing the final weights.

The second table is a model so small that little but the hooks is left: its difference to plain, by
the number of steps, is the cost of the hooks of one step: a backward, an optimizer step, a loss
function, and with a loader the batches as well.
"""

from __future__ import annotations

import argparse
import json
import os
import resource
import statistics
import subprocess
import sys
import tempfile
from pathlib import Path
from typing import Any

from rich.console import Console
from rich.table import Table

LOOP = """
import sys, json, time
leg, steps, width, batch, loader = sys.argv[1], *map(int, sys.argv[2:])
if leg == "autolog":
    from autolog import autolog
    autolog("torch")
import torch
from torch.nn import functional
torch.set_num_threads(1)
torch.manual_seed(0)
X, Y = torch.randn(8192 if loader else batch, width), torch.randn(8192 if loader else batch, 1)
model = torch.nn.Sequential(
    torch.nn.Linear(width, width), torch.nn.ReLU(), torch.nn.Linear(width, width),
    torch.nn.ReLU(), torch.nn.Linear(width, 1))
optimizer = torch.optim.SGD(model.parameters(), lr=0.001)
data = torch.utils.data.DataLoader(torch.utils.data.TensorDataset(X, Y), batch_size=batch)
writer = None
if leg == "tensorboard":
    from torch.utils.tensorboard import SummaryWriter
    writer = SummaryWriter("tensorboard")

def batches(count):
    while count > 0:
        if not loader:
            yield from ((X, Y) for _ in range(count))
            return
        for one in data:
            yield one
            count -= 1
            if not count:
                return

def train(count):
    for step, (x, y) in enumerate(batches(count)):
        optimizer.zero_grad()
        loss = functional.mse_loss(model(x), y)
        loss.backward()
        optimizer.step()
        if writer is not None:
            writer.add_scalar("train/loss", loss.item(), step)
            writer.add_scalar("lr", optimizer.param_groups[0]["lr"], step)

train(50)
wall, cpu = time.perf_counter(), time.process_time()
train(steps)
print(json.dumps([time.perf_counter() - wall, time.process_time() - cpu]))
"""


def run(leg: str, folder: Path, *numbers: int) -> tuple[float, float, float]:
    """Run one leg in a process of its own; give the loop's wall and CPU, and the process's CPU."""
    script = folder / "train.py"
    script.write_text(LOOP)
    env = {**os.environ, "AUTOLOG_STORE": str(folder / "store"), "OMP_NUM_THREADS": "1"}
    before = resource.getrusage(resource.RUSAGE_CHILDREN)
    words = [sys.executable, str(script), leg, *map(str, numbers)]
    done = subprocess.run(words, cwd=folder, env=env, capture_output=True, text=True, check=True)
    after = resource.getrusage(resource.RUSAGE_CHILDREN)
    wall, cpu = json.loads(done.stdout)
    used = after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime
    return wall, cpu, used


def compare(
    console: Console, title: str, legs: list[str], repeats: int, steps: int, *numbers: int
) -> None:
    """Run the legs in turn and print medians, their ratios to plain, and the cost of a step."""
    times: dict[str, list[tuple[float, float, float]]] = {leg: [] for leg in legs}
    with tempfile.TemporaryDirectory() as folder:
        for _ in range(repeats):
            for leg in legs:
                times[leg].append(run(leg, Path(folder), steps, *numbers))
    table = Table(title=title)
    for name in ("", "loop, wall s", "", "loop, CPU s", "", "us a step", "process, CPU s", ""):
        table.add_column(name, justify="right")
    middle = {
        leg: [statistics.median(one) for one in zip(*rows, strict=True)]
        for leg, rows in times.items()
    }
    plain = middle["plain"]
    for leg in legs:
        row: list[Any] = [leg]
        for at, (value, base) in enumerate(zip(middle[leg], plain, strict=True)):
            row += [f"{value:.3f}", f"x{value / base:.3f}"]
            if at == 1:
                pairs = zip(times[leg], times["plain"], strict=True)
                extra = statistics.median(one[1] - other[1] for one, other in pairs)
                row.append(f"{extra / steps * 1e6:+.1f}")
        table.add_row(*row)
    console.print(table)


def main() -> None:
    """Measure both."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--repeats", type=int, default=7)
    parser.add_argument("--steps", type=int, default=2000)
    given = parser.parse_args()
    console = Console()
    legs = ["plain", "autolog", "tensorboard"]
    title = f"MLP, {given.steps} steps of about 1.3 ms"
    compare(console, title, legs, given.repeats, given.steps, 384, 64, 0)
    compare(console, "tiny model", ["plain", "autolog"], given.repeats, 20_000, 4, 4, 0)
    compare(console, "tiny model, loader", ["plain", "autolog"], given.repeats, 20_000, 4, 4, 1)


if __name__ == "__main__":
    main()
