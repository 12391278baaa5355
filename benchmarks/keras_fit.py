"""What recording a Keras training costs, on every backend, beside MLflow's and wandb's ways.

    python benchmarks/keras_fit.py [--repeats 7] [--backends tensorflow jax torch tf_keras]

The MLP that every Keras tutorial trains on MNIST (784, 512, 512, 10, with dropout; synthetic
images), 5 epochs of 100 steps of 128 rows and a validation after each. Every leg is a process of
its own, the legs take turns, and one thread computes, so that CPU time means something.

Of each leg two calls of `fit` are timed, in wall and in CPU seconds of all threads: the first one
traces and compiles as every script's does, the second one trains the same model on. `process` is
the CPU time of the whole process and what it started, from its start to its exit: imports,
activation, stored models, MLflow's database and wandb's service are in it. A ratio is the median
of the ratios to the plain leg of the same turn. `hooks` are the milliseconds in autolog's hooks.

A leg whose package is missing, or that does not work on a backend, is left out with a line.
"""

from __future__ import annotations

import argparse
import importlib
import importlib.util
import json
import os
import resource
import statistics
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from typing import Any

from rich.console import Console
from rich.table import Table

BACKENDS = ("tensorflow", "jax", "torch", "tf_keras")
LEGS = {
    "plain": None,
    "autolog": None,
    "autolog, no models": None,
    "mlflow": "mlflow",
    "mlflow, no models": "mlflow",
    "wandb offline": "wandb",
}
"""What is compared, and the package that it needs beside Keras."""

Timed = list[float]
"""First fit in wall and CPU seconds, second fit likewise, process CPU seconds, hooks in ms."""


def model(keras: Any) -> Any:
    """Make and compile the MLP."""
    layers = keras.layers
    made = keras.Sequential(
        [
            keras.Input((784,)),
            layers.Dense(512, activation="relu"),
            layers.Dropout(0.2),
            layers.Dense(512, activation="relu"),
            layers.Dropout(0.2),
            layers.Dense(10, activation="softmax"),
        ]
    )
    made.compile("adam", "sparse_categorical_crossentropy", metrics=["accuracy"])
    return made


def activate(leg: str, namespace: str, folder: Path) -> list[Any]:
    """Switch a tracker on as its users do; give the callbacks that it wants."""
    if leg == "autolog":
        from autolog import autolog

        autolog(silent=True)
    elif leg == "autolog, no models":
        from autolog import autolog

        autolog("keras", silent=True, log_models="never")
    elif leg.startswith("mlflow"):
        import mlflow

        mlflow.set_tracking_uri(f"sqlite:///{folder}/mlflow.db")
        mlflow.set_experiment("benchmark")
        flavor = "mlflow.tensorflow" if namespace == "tf_keras" else "mlflow.keras"
        importlib.import_module(flavor).autolog(log_models=leg == "mlflow", silent=True)
    elif leg == "wandb offline":
        import wandb

        wandb.init(mode="offline", dir=str(folder), settings=wandb.Settings(silent=True))
        return [importlib.import_module("wandb.integration.keras").WandbMetricsLogger()]
    return []


def one_leg(leg: str, namespace: str, folder: Path, epochs: int, steps: int) -> dict[str, Any]:
    """Train twice in this process; give the seconds, and what the tracker says that it recorded."""
    import numpy as np

    callbacks = activate(leg, namespace, folder)
    keras = importlib.import_module(namespace)
    if namespace == "keras" and keras.backend.backend() == "torch":
        importlib.import_module("torch").set_num_threads(1)
    keras.utils.set_random_seed(0)
    rows, held_out = 128 * steps, 2560
    generator = np.random.default_rng(0)
    images = generator.random((rows + held_out, 784), dtype=np.float32)
    labels = generator.integers(0, 10, rows + held_out)
    trained = model(keras)
    times: list[float] = []
    for _ in range(2):
        wall, cpu = time.perf_counter(), time.process_time()
        trained.fit(
            images[:rows],
            labels[:rows],
            batch_size=128,
            epochs=epochs,
            verbose=0,
            callbacks=callbacks,
            validation_data=(images[rows:], labels[rows:]),
        )
        times += [time.perf_counter() - wall, time.process_time() - cpu]
    return {"times": times, **recorded(leg)}


def recorded(leg: str) -> dict[str, Any]:
    """Say what was recorded, so that a tracker which records nothing is not called fast."""
    if leg.startswith("autolog"):
        import autolog

        hooks = sum(site.seconds for site in autolog.status().sites) * 1000
        runs = list(autolog.search_runs(order_by=["start_time"]))
        return {"hooks": hooks, "metrics": sorted(runs[0].metrics) if runs else []}
    if leg.startswith("mlflow"):
        import mlflow

        runs = mlflow.search_runs(output_format="list")
        return {"metrics": sorted(runs[-1].data.metrics) if runs else []}
    if leg == "wandb offline":
        import wandb

        found = sorted(dict(wandb.run.summary)) if wandb.run is not None else []
        wandb.finish()
        return {"metrics": found}
    return {"metrics": ["nothing"]}


def run(leg: str, backend: str, epochs: int, steps: int) -> tuple[Timed, list[str]] | str:
    """Run one leg in a process of its own; give its times, or why it does not work."""
    with tempfile.TemporaryDirectory() as folder:
        namespace = "tf_keras" if backend == "tf_keras" else "keras"
        env = {
            **os.environ,
            "AUTOLOG_STORE": f"{folder}/store",
            "AUTOLOG_PRINT": "never",
            "KERAS_BACKEND": "tensorflow" if backend == "tf_keras" else backend,
            "OMP_NUM_THREADS": "1",
            "TF_CPP_MIN_LOG_LEVEL": "3",
            "TF_NUM_INTEROP_THREADS": "1",
            "TF_NUM_INTRAOP_THREADS": "1",
            "XLA_FLAGS": "--xla_cpu_multi_thread_eigen=false",
        }
        if backend == "tf_keras":  # the Keras that MLflow's and wandb's callbacks are then made of
            env["TF_USE_LEGACY_KERAS"] = "1"
        words = ["--leg", leg, "--namespace", namespace, "--folder", folder]
        words += ["--epochs", str(epochs), "--steps", str(steps)]
        before = resource.getrusage(resource.RUSAGE_CHILDREN)
        done = subprocess.run(
            [sys.executable, "-W", "ignore", str(Path(__file__).resolve()), *words],
            cwd=folder,
            env=env,
            capture_output=True,
            text=True,
            check=False,
        )
        after = resource.getrusage(resource.RUSAGE_CHILDREN)
    if done.returncode != 0:
        return (done.stderr.strip() or "no message").splitlines()[-1]
    found = json.loads(done.stdout.splitlines()[-1])
    if not found["metrics"]:
        return "it recorded no metric"
    used = after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime
    return [*found["times"], used, found.get("hooks", 0.0)], found["metrics"]


def compare(console: Console, backend: str, given: argparse.Namespace) -> None:
    """Run the legs of one backend in turn, and print their medians and ratios."""
    legs = [leg for leg in LEGS if not given.legs or leg in given.legs or leg == "plain"]
    for leg in list(legs):
        needs = LEGS[leg]
        if needs is not None and importlib.util.find_spec(needs) is None:
            console.print(f"{backend}: {leg} is left out: {needs} is not installed")
            legs.remove(leg)
    times: dict[str, list[Timed]] = {leg: [] for leg in legs}
    for turn in range(given.repeats):
        for leg in list(legs) if turn % 2 else legs[::-1]:
            found = run(leg, backend, given.epochs, given.steps)
            if isinstance(found, str):
                console.print(f"{backend}: {leg} is left out: {found}")
                legs.remove(leg)
                continue
            times[leg].append(found[0])
    if "plain" not in legs:
        return
    title = f"{backend}: {given.epochs} epochs x {given.steps} steps, medians of {given.repeats}"
    table = Table(title=title)
    for name in ("", "1st fit, wall s", "", "CPU s", "", "2nd fit, wall s", "", "CPU s", ""):
        table.add_column(name, justify="right" if name else "left")
    for name in ("process, CPU s", "", "hooks, ms"):
        table.add_column(name, justify="right")
    for leg in legs:
        columns = list(zip(*times[leg], strict=True))
        plain = list(zip(*times["plain"], strict=True))
        row = [leg]
        for own, base in zip(columns[:5], plain[:5], strict=True):
            ratio = statistics.median(one / other for one, other in zip(own, base, strict=True))
            row += [f"{statistics.median(own):.3f}", f"x{ratio:.3f}"]
        hooks = statistics.median(columns[5])
        table.add_row(*row, f"{hooks:.1f}" if leg.startswith("autolog") else "")
    console.print(table)


def main() -> None:
    """Read the command line and measure."""
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("--repeats", type=int, default=7)
    parser.add_argument("--epochs", type=int, default=5)
    parser.add_argument("--steps", type=int, default=100)
    parser.add_argument("--backends", nargs="+", choices=BACKENDS, default=BACKENDS)
    parser.add_argument("--legs", nargs="+", choices=list(LEGS))
    parser.add_argument("--leg", choices=list(LEGS), help=argparse.SUPPRESS)
    parser.add_argument("--namespace", help=argparse.SUPPRESS)
    parser.add_argument("--folder", type=Path, help=argparse.SUPPRESS)
    given = parser.parse_args()
    if given.leg is not None:
        found = one_leg(given.leg, given.namespace, given.folder, given.epochs, given.steps)
        print(json.dumps(found))
        return
    console = Console(width=150)
    for backend in given.backends:
        package = {"jax": "jax", "torch": "torch"}.get(backend, backend)
        if importlib.util.find_spec(package) is None:
            console.print(f"{backend}: left out: {package} is not installed")
            continue
        compare(console, backend, given)


if __name__ == "__main__":
    main()
