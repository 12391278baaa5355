"""What autolog draws of data that is lazy or infinite, how late `fit` starts, what it imports.

    python benchmarks/lazy_data.py [--repeats 5] [--backends tensorflow jax torch tf_keras]

The first table trains on `tf.data` of 26 GB, repeated for ever, each batch made by a function that
counts, and on a generator without an end. `batches` is how many were made by the time that `fit`
returned; `drawn by us` is the difference of the medians to the plain leg and must be 0, but for
what TensorFlow reads ahead as time allows. `start` is the time from the call of `fit` to its first
batch, of a model that was trained before (so that no tracing hides it), in milliseconds, and
`delay` the difference of the medians.

The second table asks fresh processes what `import autolog; autolog.autolog()` does before Keras or
TensorFlow is imported: modules of frameworks in `sys.modules`, environment variables that changed,
and bytes on stderr, each of which must be 0; and how long importing Keras takes after it.
"""

from __future__ import annotations

import argparse
import importlib
import importlib.util
import json
import os
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from rich.console import Console
from rich.table import Table

BACKENDS = ("tensorflow", "jax", "torch", "tf_keras")
KINDS = ("tf.data", "generator")
ROWS = 128
BATCHES = 26 * 10**9 // (ROWS * 784 * 4)
"""So many batches of 128 float images of 784 numbers are 26 GB."""

FRAMEWORKS = ("jax", "keras", "lightning", "sklearn", "tensorflow", "tf_keras", "torch", "xgboost")

BEFORE = """
import json, os, sys
environment, modules = dict(os.environ), set(sys.modules)
{activate}
names = {{*os.environ, *environment}}
changed = sorted(name for name in names if os.environ.get(name) != environment.get(name))
tops = sorted({{name.partition(".")[0] for name in set(sys.modules) - modules}} & {frameworks!r})
import time
wall, cpu = time.perf_counter(), time.process_time()
import keras
took = time.perf_counter() - wall, time.process_time() - cpu
print(json.dumps([changed, tops, *took]))
"""


class Counted:
    """Batches that are made when they are asked for, and counted."""

    def __init__(self) -> None:
        import numpy as np

        self.count = 0
        self.first = 0.0
        self._images = np.zeros((ROWS, 784), "float32")
        self._labels = np.zeros((ROWS,), "int64")

    def batch(self, *_: Any) -> tuple[Any, Any]:
        """Make a batch."""
        if not self.count:
            self.first = time.perf_counter()
        self.count += 1
        return self._images, self._labels

    def generator(self) -> Iterator[tuple[Any, Any]]:
        """Make batches for ever."""
        while True:
            yield self.batch()

    def dataset(self) -> Any:
        """Give 26 GB as `tf.data`, repeated for ever."""
        tf: Any = importlib.import_module("tensorflow")

        def made(index: Any) -> tuple[Any, Any]:
            images, labels = tf.py_function(self.batch, [index], (tf.float32, tf.int64))
            return tf.ensure_shape(images, (ROWS, 784)), tf.ensure_shape(labels, (ROWS,))

        return tf.data.Dataset.range(BATCHES).map(made).repeat()


def one_leg(leg: str, kind: str, namespace: str) -> dict[str, Any]:
    """Train twice; give the batches that were made and the start of the second fit."""
    if leg == "autolog":
        from autolog import autolog

        autolog(silent=True)
    keras = importlib.import_module(namespace)
    model = keras.Sequential([keras.Input((784,)), keras.layers.Dense(10)])
    loss = keras.losses.SparseCategoricalCrossentropy(from_logits=True)
    model.compile("sgd", loss)
    batches, start = [], 0.0
    for _ in range(2):
        counted = Counted()
        data = counted.dataset() if kind == "tf.data" else counted.generator()
        called = time.perf_counter()
        model.fit(data, steps_per_epoch=5, epochs=2, verbose=0)
        batches.append(counted.count)
        start = counted.first - called
    return {"batches": batches, "start": start}


def child(words: list[str], backend: str, folder: str) -> subprocess.CompletedProcess[str]:
    """Run a process on a backend."""
    env = {
        **os.environ,
        "AUTOLOG_STORE": f"{folder}/store",
        "AUTOLOG_PRINT": "never",
        "KERAS_BACKEND": "tensorflow" if backend == "tf_keras" else backend,
        "TF_CPP_MIN_LOG_LEVEL": "3",
    }
    done = subprocess.run(
        [sys.executable, "-W", "ignore", *words],
        cwd=folder,
        env=env,
        capture_output=True,
        text=True,
        check=False,
    )
    if done.returncode != 0:
        raise SystemExit(done.stderr)
    return done


def lazy(console: Console, backends: list[str], repeats: int) -> None:
    """Count batches and time starts."""
    table = Table(title=f"lazy data, medians of {repeats}")
    for name in ("", "data", "batches", "drawn by us", "start, ms", "delay, ms"):
        table.add_column(name, justify="right" if name not in ("", "data") else "left")
    with tempfile.TemporaryDirectory() as folder:
        for backend in backends:
            namespace = "tf_keras" if backend == "tf_keras" else "keras"
            for kind in KINDS:
                found: dict[str, list[dict[str, Any]]] = {"plain": [], "autolog": []}
                for turn in range(repeats):
                    for leg in list(found) if turn % 2 else list(found)[::-1]:
                        words = [str(Path(__file__).resolve()), "--leg", leg, "--kind", kind]
                        done = child([*words, "--namespace", namespace], backend, folder)
                        found[leg].append(json.loads(done.stdout.splitlines()[-1]))
                counts = [[sum(one["batches"]) for one in found[leg]] for leg in found]
                start = [statistics.median(one["start"] for one in found[leg]) for leg in found]
                table.add_row(
                    backend,
                    kind,
                    str(statistics.median(counts[1])),
                    f"{statistics.median(counts[1]) - statistics.median(counts[0]):+g}",
                    f"{start[1] * 1000:.1f}",
                    f"{(start[1] - start[0]) * 1000:+.1f}",
                )
    console.print(table)


def before_keras(console: Console, backends: list[str], repeats: int) -> None:
    """Look at what activation leaves behind before Keras is imported."""
    table = Table(title=f"before Keras is imported, medians of {repeats}")
    for name in ("", "frameworks", "variables", "stderr, bytes", "import keras, wall s", "CPU s"):
        table.add_column(name, justify="right" if name else "left")
    activations = {"plain": "", "autolog": "import autolog; autolog.autolog()"}
    with tempfile.TemporaryDirectory() as folder:
        for backend in backends:
            if backend == "tf_keras":  # the import of it is TensorFlow's
                continue
            rows: dict[str, list[list[Any]]] = {leg: [] for leg in activations}
            said = dict.fromkeys(activations, 0)
            for turn in range(repeats):
                for leg in list(rows) if turn % 2 else list(rows)[::-1]:
                    source = BEFORE.format(activate=activations[leg], frameworks=set(FRAMEWORKS))
                    done = child(["-c", source], backend, folder)
                    rows[leg].append(json.loads(done.stdout.splitlines()[-1]))
                    said[leg] = max(said[leg], len(done.stderr))
            for leg, found in rows.items():
                wall, cpu = (statistics.median(one[at] for one in found) for at in (2, 3))
                table.add_row(
                    f"{backend}, {leg}",
                    " ".join(found[0][1]) or "0",
                    " ".join(found[0][0]) or "0",
                    str(said[leg] - said["plain"]),
                    f"{wall:.2f}",
                    f"{cpu:.2f}",
                )
    console.print(table)


def main() -> None:
    """Read the command line and measure."""
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("--repeats", type=int, default=5)
    parser.add_argument("--backends", nargs="+", choices=BACKENDS, default=BACKENDS)
    parser.add_argument("--leg", choices=("plain", "autolog"), help=argparse.SUPPRESS)
    parser.add_argument("--kind", choices=KINDS, help=argparse.SUPPRESS)
    parser.add_argument("--namespace", help=argparse.SUPPRESS)
    given = parser.parse_args()
    if given.leg is not None:
        print(json.dumps(one_leg(given.leg, given.kind, given.namespace)))
        return
    console = Console(width=130)
    backends = [one for one in given.backends if importlib.util.find_spec(one) is not None]
    lazy(console, backends, given.repeats)
    before_keras(console, backends, given.repeats)


if __name__ == "__main__":
    main()
