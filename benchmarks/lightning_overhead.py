"""What recording a Lightning training costs, beside Lightning's own loggers.

    python benchmarks/lightning_overhead.py [--repeats 5] [--scripts 3]

The first table trains 5 epochs of 100 steps of a small MLP, logging its loss on every step, without
a logger, with `CSVLogger` and with autolog, in turn in one process, and gives medians and their
ratios to no logger. Between trainings autolog is switched off altogether.

The second table is a script with one such training in alternating fresh processes, timed to their
exit: importing autolog, activation, the stored model and the work at exit are all in it.
"""

from __future__ import annotations

import argparse
import itertools
import logging
import os
import resource
import statistics
import subprocess
import sys
import tempfile
import time
import warnings
from pathlib import Path
from typing import Any

from rich.console import Console
from rich.table import Table

LEGS = ("no logger", "CSVLogger", "autolog")


def module_and_data() -> tuple[Any, Any]:
    """Make the MLP and 100 batches of 32 rows."""
    import lightning.pytorch as pl
    import torch
    from torch.utils.data import DataLoader, TensorDataset

    class Mlp(pl.LightningModule):
        def __init__(self) -> None:
            super().__init__()
            sizes = (64, 128, 128, 10)
            pairs = itertools.pairwise(sizes)
            layers = [part for pair in pairs for part in (torch.nn.Linear(*pair), torch.nn.ReLU())]
            self.layers = torch.nn.Sequential(*layers[:-1])

        def training_step(self, batch: Any, _: int) -> Any:
            loss = torch.nn.functional.cross_entropy(self.layers(batch[0]), batch[1])
            self.log("train_loss", loss)
            return loss

        def configure_optimizers(self) -> Any:
            return torch.optim.Adam(self.parameters(), lr=1e-3)

    torch.manual_seed(0)
    rows = torch.randn(3200, 64)
    data = TensorDataset(rows, torch.randint(0, 10, (3200,)))
    return Mlp(), DataLoader(data, batch_size=32)


def train(leg: str, folder: str) -> tuple[float, float]:
    """Train once; return seconds of wall and of CPU time."""
    import lightning.pytorch as pl

    logger: Any = pl.loggers.CSVLogger(folder) if leg == "CSVLogger" else False
    module, data = module_and_data()
    trainer = pl.Trainer(
        accelerator="cpu",
        devices=1,
        max_epochs=5,
        logger=logger,
        log_every_n_steps=1,
        enable_checkpointing=False,
        enable_progress_bar=False,
        enable_model_summary=False,
    )
    wall, cpu = time.perf_counter(), time.process_time()
    trainer.fit(module, data)
    return time.perf_counter() - wall, time.process_time() - cpu


def quiet() -> None:
    """Let Lightning and torch say nothing, and take one core."""
    import lightning.pytorch  # noqa: F401  it sets its own levels
    import torch

    torch.set_num_threads(1)
    warnings.simplefilter("ignore")
    for name in ("lightning.pytorch", "lightning.fabric"):
        logging.getLogger(name).setLevel(logging.ERROR)


def in_one_process(repeats: int, folder: str) -> dict[str, list[tuple[float, float]]]:
    """Train each leg in turn."""
    import autolog

    quiet()
    times: dict[str, list[tuple[float, float]]] = {leg: [] for leg in LEGS}
    hooks: list[float] = []
    for turn in range(repeats + 1):
        order = LEGS if turn % 2 else LEGS[::-1]
        for leg in order:
            if leg == "autolog":
                autolog.autolog("lightning", silent=True, store=folder)
            took = train(leg, folder)
            if leg == "autolog" and turn:
                hooks.append(sum(site.seconds for site in autolog.status().sites))
            autolog.disable()
            if turn:  # the first of each only warms up
                times[leg].append(took)
    print(f"inside autolog's hooks: {statistics.median(hooks) * 1000:.1f} ms a training")
    return times


def to_the_exit(repeats: int, folder: str) -> dict[str, list[tuple[float, float]]]:
    """Time whole processes."""
    times: dict[str, list[tuple[float, float]]] = {leg: [] for leg in LEGS}
    environment = {**os.environ, "AUTOLOG_PRINT": "never"}
    for turn in range(repeats):
        for leg in LEGS if turn % 2 else LEGS[::-1]:
            before = resource.getrusage(resource.RUSAGE_CHILDREN)
            started = time.perf_counter()
            subprocess.run(
                [sys.executable, __file__, "--leg", leg, "--folder", folder],
                check=True,
                env=environment,
            )
            wall = time.perf_counter() - started
            after = resource.getrusage(resource.RUSAGE_CHILDREN)
            cpu = after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime
            times[leg].append((wall, cpu))
    return times


def show(title: str, times: dict[str, list[tuple[float, float]]]) -> None:
    """Print medians and their ratios to no logger."""
    table = Table("", "wall s", "ratio", "cpu s", "ratio", title=title)
    medians = {
        leg: [statistics.median(one[at] for one in took) for at in range(2)]
        for leg, took in times.items()
    }
    base = medians["no logger"]
    for leg, (wall, cpu) in medians.items():
        table.add_row(
            leg, f"{wall:.3f}", f"x{wall / base[0]:.3f}", f"{cpu:.3f}", f"x{cpu / base[1]:.3f}"
        )
    Console().print(table)


def main() -> None:
    """Read the command line and measure."""
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("--repeats", type=int, default=5)
    parser.add_argument("--scripts", type=int, default=3)
    parser.add_argument("--leg", choices=LEGS)
    parser.add_argument("--folder")
    given = parser.parse_args()
    if given.leg is not None:
        if given.leg == "autolog":
            from autolog import autolog

            autolog("lightning", store=given.folder)
        quiet()
        train(given.leg, given.folder)
        return
    with tempfile.TemporaryDirectory() as folder:
        os.chdir(folder)
        store = str(Path(folder) / "store")
        show("5 epochs x 100 steps, one process", in_one_process(given.repeats, store))
        if given.scripts:
            title = "a script with one training, to its exit"
            show(title, to_the_exit(given.scripts, store))


if __name__ == "__main__":
    main()
