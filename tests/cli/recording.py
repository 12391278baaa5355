"""A real store for the commands to read, and ways to run them."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import msgspec

RUNS = """
import math
import autolog

with autolog.start_run("läufe 🚀", experiment="größen", tags={"team": "a=b"}):
    autolog.log_params({"lr": 0.1, "opt": "adam", "sizes": [1, 2], "limit": math.inf})
    autolog.log_param("long", "word " * 100)
    for step in range(300):
        autolog.log_metric("loss", 5 / (step + 1) if step < 280 else math.nan, step=step)
    autolog.log_metrics({"flat": 1.0, "top": math.inf})
    autolog.log_metrics({"flat": 1.0})
    autolog.log_text("hello", "notes/läufe.txt")
    with autolog.start_run("child-one", experiment="größen"):
        autolog.log_metric("score", 0.5)
try:
    with autolog.start_run("[bold]broken[/bold] \\x1b[31m"):
        raise ValueError("the data is\\nempty")
except ValueError:
    pass
"""

FIT = """
from sklearn.datasets import load_iris
from sklearn.linear_model import LogisticRegression
from sklearn.preprocessing import StandardScaler

X, y = load_iris(return_X_y=True)
X_scaled = StandardScaler().fit_transform(X)
model = LogisticRegression().fit(X_scaled, y)
"""

SCORED_FIT = FIT.replace("LogisticRegression()", "LogisticRegression(C=0.5)") + (
    "X_test, y_test = X_scaled[::3], y[::3]\nmodel.score(X_test, y_test)\n"
)


def environment(store: Path | str, **more: str) -> dict[str, str]:
    """Return the environment of a subprocess, with nothing of the surrounding one's autolog."""
    foreign = ("AUTOLOG_", "COLUMNS", "NO_COLOR", "FORCE_COLOR", "PYTHONIOENCODING")
    env = {name: text for name, text in os.environ.items() if not name.startswith(foreign)}
    return {**env, "AUTOLOG_STORE": str(store), **more}


def python(*words: str, store: Path | str, cwd: Path, **env: str) -> subprocess.CompletedProcess:
    """Run the interpreter and return how it ended."""
    return subprocess.run(
        [sys.executable, *words],
        cwd=cwd,
        env=environment(store, **env),
        capture_output=True,
        stdin=subprocess.DEVNULL,
        text=True,
        encoding="utf-8",
        timeout=180,
    )


def command(*words: str, store: Path | str, cwd: Path, **env: str) -> subprocess.CompletedProcess:
    """Run `autolog WORDS` in a process of its own."""
    return python("-m", "autolog", *words, store=store, cwd=cwd, **env)


def record(source: str, store: Path, name: str, *, launched: bool = False) -> None:
    """Run a program that records into `store`."""
    script = store.parent / name
    script.write_text(source, encoding="utf-8")
    words = ["-m", "autolog", "run", str(script)] if launched else [str(script)]
    done = python(*words, store=store, cwd=store.parent)
    assert done.returncode == 0, done.stderr


def strict_json(text: str) -> Any:
    """Parse JSON as the standard has it: no NaN, no Infinity, nothing around it."""
    return msgspec.json.decode(text.encode())
