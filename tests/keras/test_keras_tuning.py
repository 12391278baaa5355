"""Searches of KerasTuner are studies: a run for each trial, with what was fitted in it."""

from __future__ import annotations

from importlib import import_module
from pathlib import Path
from typing import Any

import numpy as np
import pytest

import autolog

keras_tuner: Any = import_module("keras_tuner")

ROWS = np.random.default_rng(0).random((16, 4)).astype("float32")
TARGETS = ROWS.sum(axis=1, keepdims=True)
DATA: dict[str, Any] = {"x": ROWS, "y": TARGETS, "validation_data": (ROWS, TARGETS), "verbose": 0}


@pytest.fixture
def build(keras: Any) -> Any:
    def build(choices: Any) -> Any:
        rate = choices.Choice("rate", [0.01, 0.1])
        model = keras.Sequential([keras.layers.Input((4,)), keras.layers.Dense(1)])
        model.compile(keras.optimizers.SGD(rate), "mse")
        return model

    return build


def _options(folder: Path, **more: Any) -> dict[str, Any]:
    return {"directory": str(folder), "project_name": "search", "objective": "val_loss", **more}


def test_each_trial_is_a_run_with_its_choices_series_and_score(
    on: Any, build: Any, tmp_path: Path
) -> None:
    tuner = keras_tuner.GridSearch(build, **_options(tmp_path))
    tuner.search(epochs=2, **DATA)
    (study,) = on.runs(kind="study")
    trials = on.runs(kind="trial")
    assert len(on.runs()) == 3
    assert [run.parent_id for run in trials] == [study.run_id] * 2
    assert {run.params["rate"] for run in trials} == {0.01, 0.1}
    for run in trials:
        assert run.status == "FINISHED"
        assert run.tags["trial_status"] == "COMPLETED"
        series = autolog.metric_history(run.run_id, "val_loss")
        assert list(series.step) == [0, 1]
        assert run.metrics["score"] == min(series.value)
    best = min(trials, key=lambda run: run.metrics["score"])
    assert study.tags["best_trial"] == best.run_id
    assert study.params["best.rate"] == best.params["rate"]
    assert study.metrics["best_score"] == best.metrics["score"]


def test_further_executions_of_a_trial_are_runs_below_it(
    on: Any, build: Any, tmp_path: Path
) -> None:
    options = _options(tmp_path, max_trials=1, executions_per_trial=2, seed=1)
    keras_tuner.RandomSearch(build, **options).search(epochs=1, **DATA)
    (trial,) = on.runs(kind="trial")
    (second,) = on.runs(kind="fit")
    assert second.parent_id == trial.run_id
    assert len(autolog.metric_history(trial.run_id, "loss").step) == 1


def test_a_trial_that_fails_has_failed_and_the_search_goes_on(on: Any, tmp_path: Path) -> None:
    class Odd(keras_tuner.RandomSearch):
        def run_trial(self, trial: Any, *_: Any, **__: Any) -> float:
            if trial.hyperparameters.Int("n", 0, 1, default=1) == 1:
                raise keras_tuner.errors.FailedTrialError("one is too many")
            return 0.5

    tuner = Odd(**_options(tmp_path, max_trials=2, seed=1))
    tuner.search()
    statuses = {run.params["n"]: run.status for run in on.runs(kind="trial")}
    assert statuses == {1: "FAILED", 0: "FINISHED"}
    (failed,) = (run for run in on.runs(kind="trial") if run.status == "FAILED")
    (told,) = on.events("trial_failed", failed)
    assert "one is too many" in told["message"]
    assert on.runs(kind="study")[0].status == "FINISHED"


def test_hyperband_and_a_resumed_search_keep_their_own_files(
    on: Any, build: Any, tmp_path: Path
) -> None:
    options = _options(tmp_path, max_epochs=2, factor=2, seed=1)
    tuner = keras_tuner.Hyperband(build, **options)
    tuner.search(**DATA)
    count = len(on.runs(kind="trial"))
    assert count == len(tuner.oracle.trials)
    again = keras_tuner.Hyperband(build, **options)
    again.search(**DATA)
    assert len(on.runs(kind="trial")) == count
    assert len(on.runs(kind="study")) == 2
    best = again.get_best_models(1)[0]
    best.evaluate(ROWS, TARGETS, verbose=0)
    study = on.runs(kind="study")[0]
    (trial,) = (run for run in on.runs() if run.run_id == study.tags["best_trial"])
    assert "ROWS/loss" in trial.metrics


def test_the_folds_of_a_scikit_learn_trial_are_pieces_of_it(recording: Any, tmp_path: Path) -> None:
    from sklearn.linear_model import Ridge

    autolog.autolog("keras", "sklearn", log_models="never")
    tuner = keras_tuner.SklearnTuner(
        oracle=keras_tuner.oracles.RandomSearchOracle(
            objective=keras_tuner.Objective("score", "max"), max_trials=2, seed=1
        ),
        hypermodel=lambda choices: Ridge(alpha=choices.Float("alpha", 0.1, 1.0)),
        directory=str(tmp_path),
        project_name="search",
    )
    tuner.search(ROWS, TARGETS[:, 0])
    assert sorted(run.kind for run in recording.runs()) == ["study", "trial", "trial"]
    assert all("score" in run.metrics for run in recording.runs(kind="trial"))
