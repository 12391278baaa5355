"""All frameworks in one process: each training is one run, its own framework's, in either order.

Keras trains on TensorFlow and Lightning on PyTorch, and XGBoost's estimators are scikit-learn's
too: none of that may become a second run.
"""

from __future__ import annotations

import importlib.util
import json
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from autolog.discovery import discover
from tests.matrix import logged

ORDER = ["torch", "lightning", "tensorflow", "keras", "lightgbm", "xgboost", "sklearn"]

EXPECTED = {  # kind, a param, a series of four points, or of one epoch, format of the model
    "torch": ("loop", ("optimizer.lr", 0.1), ("train/loss", 4), "torch-safetensors"),
    "lightning": ("fit", ("trainer.max_epochs", 1), ("loss", 4), "pickle"),
    "tensorflow": ("loop", ("optimizer", "SGD"), ("train/loss", 4), "keras"),
    "keras": ("fit", ("batch_size", 8), ("loss", 1), "keras"),
    "lightgbm": ("fit", ("num_boost_round", 4), ("train-binary_logloss", 4), "lightgbm-text"),
    "xgboost": ("fit", ("n_estimators", 4), ("validation_0-logloss", 4), "xgboost-ubj"),
    "sklearn": ("fit", ("n_estimators", 4), ("train_score", 4), "pickle"),
}


def test_no_framework_is_left_out() -> None:
    found = discover()
    ours = found.integrations.keys() - found.third_party.keys()
    assert sorted(ORDER) == sorted(EXPECTED) == sorted(ours)


# Autolog comes on between the imports: in one order the first half is there already and the other
# half is waited for, in the other order it is the other way round.
@pytest.mark.parametrize("order", [ORDER, ORDER[::-1]], ids=["forwards", "backwards"])
def test_each_training_is_one_run_of_its_own_framework(
    recording: Any, tmp_path: Path, order: list[str]
) -> None:
    absent = [name for name in order if importlib.util.find_spec(name) is None]
    if absent:  # the child imports them: together they take half a minute
        pytest.skip(f"{', '.join(absent)} not installed")
    program = Path(__file__).with_name("everything.py")
    done = subprocess.run(
        [sys.executable, str(program), ",".join(order), str(len(order) // 2)],
        cwd=tmp_path,
        env={**os.environ, "KERAS_BACKEND": "tensorflow", "TF_CPP_MIN_LOG_LEVEL": "3"},
        capture_output=True,
        text=True,
        timeout=600,
        stdin=subprocess.DEVNULL,
    )
    assert done.returncode == 0, done.stderr
    found = json.loads(done.stdout.splitlines()[-1])
    assert found["lost"] == []
    assert found["applied"] == sorted(order)
    assert found["left"] == 0
    assert {name: len(made) for name, made in found["made"].items()} == dict.fromkeys(order, 1)
    runs = {run.run_id: run for run in recording.runs()}
    assert len(runs) == len(order)
    for name, (kind, (param, value), (series, points), stored) in EXPECTED.items():
        run = runs[found["made"][name][0]]
        assert (run.kind, run.status, run.parent_id) == (kind, "FINISHED", None), name
        assert run.params[param] == value
        assert len(logged.values(run, series)) == points, name
        assert logged.models(recording, run) == {"model": [stored]}, name
