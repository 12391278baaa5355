"""`autolog demo`: an ordinary script on real data, recorded, listed, shown and loaded back."""

from __future__ import annotations

import importlib.util
import os
import shlex
import subprocess
import sys
import tempfile
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

import click

from autolog.cli.options import examples, json_option, reading, store_option
from autolog.errors import AutologError, IntegrationError

if TYPE_CHECKING:
    from rich.console import Console

    from autolog.entities import Run

__all__ = ["command"]

SCRIPT: Final = """\
from sklearn.datasets import load_digits
from sklearn.metrics import classification_report
from sklearn.model_selection import train_test_split
from sklearn.neural_network import MLPClassifier
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler

X, y = load_digits(return_X_y=True)
X_train, X_test, y_train, y_test = train_test_split(X, y, random_state=0)
model = make_pipeline(StandardScaler(), MLPClassifier((32,), max_iter=400, random_state=0))
model.fit(X_train, y_train)
print(classification_report(y_test, model.predict(X_test)))
"""
"""Nothing in it knows of autolog."""

_EXPERIMENT: Final = "demo"
_SHOWN: Final = 10
_MEANT_FOR_USERS_RUNS: Final = ("RUN_ID", "PARENT_RUN_ID", "RUN_NAME", "DISABLED", "TAGS")
"""Variables that would change the demonstration."""


@click.command("demo", epilog=examples("autolog demo", "autolog demo --store /tmp/try"))
@store_option
@json_option
def command(*, store: str | None, as_json: bool) -> None:
    """Train on scikit-learn's digits with an ordinary script, and look at what was recorded.

    The script is run as it is with `autolog run`, in the experiment "demo". Then its run is
    listed and shown, and its model is loaded back and predicts.
    """
    from autolog.cli.output import emit, screen

    if importlib.util.find_spec("sklearn") is None:
        raise IntegrationError(
            "the demo trains with scikit-learn, which is not installed:"
            " pip install 'autolog-ml[sklearn]'"
        )
    console = screen()
    with tempfile.TemporaryDirectory(prefix="autolog-demo-") as folder:
        script = Path(folder, "digits.py")
        script.write_text(SCRIPT, encoding="utf-8")
        if not as_json:
            _say(console, "An ordinary script, digits.py:")
            console.print(SCRIPT, style="cyan")
            _say(
                console,
                f"autolog run --experiment {_EXPERIMENT}{_option(store)} digits.py",
                command=True,
            )
        printed = _train(script, store)
        run = _recorded(store, script)
    if as_json:
        emit({"script": SCRIPT, "printed": printed, "run": run, **_predict(store, run)})
        return
    console.print(printed, soft_wrap=True)
    _look(console, store, run)


def _train(script: Path, store: str | None) -> str:
    """Run the script by `autolog run` and return what it printed."""
    from autolog.cli.output import screen

    options = ["--experiment", _EXPERIMENT, *(("--store", store) if store is not None else ())]
    ignored = {f"AUTOLOG_{name}" for name in _MEANT_FOR_USERS_RUNS}
    with screen(stderr=True).status("Training"):
        done = subprocess.run(  # noqa: S603  our own script
            [sys.executable, "-m", "autolog", "run", *options, str(script)],
            env={name: text for name, text in os.environ.items() if name not in ignored},
            capture_output=True,
            stdin=subprocess.DEVNULL,
            text=True,
            check=False,
        )
    if done.returncode != 0:
        raise AutologError(f"the demo's script failed:\n{done.stderr.rstrip()}")
    return done.stdout


def _recorded(store: str | None, script: Path) -> Run:
    """Return the run of the script, once the store has folded it."""
    with reading(store) as opened:
        runs = opened.runs(experiment=_EXPERIMENT, limit=20).runs
    mine = [run for run in runs if run.source == str(script)]
    if not mine:
        raise AutologError("the demo's training was not recorded; `autolog doctor` may say why")
    return mine[0]


def _look(console: Console, store: str | None, run: Run) -> None:
    from autolog.cli.ls import show_runs
    from autolog.cli.show import show_run

    option = _option(store)
    with reading(store) as opened:
        _say(console, f"autolog ls --experiment {_EXPERIMENT}{option}", command=True)
        show_runs(opened, opened.runs(experiment=_EXPERIMENT, limit=5).runs)
        _say(console, f"autolog show {run.name}{option}", command=True)
        show_run(opened, run.run_id)
    _say(console, f'>>> model = autolog.load_model("{run.name}"); model.predict(digits)')
    predicted = _predict(store, run)
    console.print(f"predicted  {' '.join(map(str, predicted['predicted']))}")
    console.print(f"true       {' '.join(map(str, predicted['true']))}")
    _say(console, "Next, with a script of your own:")
    for typed, said in (
        (f"autolog run{option} your_script.py", "record it as it is"),
        (f"autolog ls{option}", "see what was recorded"),
        ("autolog doctor", "see what else would be"),
    ):
        console.print(f"  {typed:{len(option) + 27}}  {said}", soft_wrap=True)


def _predict(store: str | None, run: Run) -> dict[str, Any]:
    """Load the model back and let it predict some of the digits."""
    from autolog import settings
    from autolog.cli.output import screen
    from autolog.tracking.reading import load_model

    datasets: Any = importlib.import_module("sklearn.datasets")
    if store is not None:
        settings.assign("store", store)
    with screen(stderr=True).status("Loading the model"):
        model = load_model(run.run_id)
        data, target = datasets.load_digits(return_X_y=True)
        predicted = model.predict(data[-_SHOWN:])
    return {"predicted": predicted.tolist(), "true": target[-_SHOWN:].tolist()}


def _option(store: str | None) -> str:
    return f" --store {shlex.quote(store)}" if store is not None else ""


def _say(console: Console, text: str, *, command: bool = False) -> None:
    console.print()
    console.print(f"$ {text}" if command else text, style="bold", soft_wrap=True)
