"""Files that models were saved to, and the models that are loaded from them."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest

import autolog

ROWS = np.random.default_rng(0).random((16, 4)).astype("float32")
TARGETS = ROWS.sum(axis=1, keepdims=True)


def _line(keras: Any) -> Any:
    model = keras.Sequential([keras.layers.Input((4,)), keras.layers.Dense(1)])
    model.compile("sgd", "mse")
    return model


def _trained(keras: Any) -> Any:
    model = _line(keras)
    model.fit(ROWS, TARGETS, epochs=2, verbose=0)
    return model


def _in_another_process() -> None:
    """Forget which trainings were of this process."""
    autolog.disable()
    autolog.autolog("keras", log_models="never")


@pytest.mark.parametrize("name", ["model.keras", "model.weights.h5"])
def test_a_model_from_a_file_is_linked_to_the_run_that_wrote_it(
    keras: Any, on: Any, tmp_path: Path, name: str
) -> None:
    path = tmp_path / name
    model = _trained(keras)
    model.save(path) if name.endswith(".keras") else model.save_weights(str(path))
    trained = on.run()
    _in_another_process()

    if name.endswith(".keras"):
        loaded = keras.models.load_model(str(path))
    else:
        loaded = _line(keras)
        loaded.load_weights(str(path))
    loaded.evaluate(ROWS, TARGETS, verbose=0)
    (evaluation,) = on.runs(kind="eval")
    assert evaluation.tags["evaluates"] == trained.run_id
    assert "ROWS/loss" in evaluation.metrics

    loaded.fit(ROWS, TARGETS, verbose=0)
    later = [run for run in on.runs(kind="fit") if run.run_id != trained.run_id]
    assert [run.tags["resumed_from"] for run in later] == [trained.run_id]


def test_a_checkpoint_of_this_process_is_evaluated_in_its_run(
    keras: Any, on: Any, tmp_path: Path
) -> None:
    path = str(tmp_path / "best.keras")
    keep = keras.callbacks.ModelCheckpoint(path, monitor="loss", save_best_only=True)
    model = _line(keras)
    model.fit(ROWS, TARGETS, epochs=2, callbacks=[keep], verbose=0)
    keras.models.load_model(path).evaluate(ROWS, TARGETS, verbose=0)
    assert "ROWS/loss" in on.run().metrics


def test_weights_that_are_wound_back_in_a_fit_are_an_event(
    keras: Any, on: Any, tmp_path: Path
) -> None:
    path = str(tmp_path / "first.weights.h5")

    class WindBack(keras.callbacks.Callback):
        def on_epoch_end(self, epoch: int, logs: Any = None) -> None:
            if epoch == 0:
                self.model.save_weights(path)
            elif epoch == 2:
                self.model.load_weights(path)

    _line(keras).fit(ROWS, TARGETS, epochs=3, callbacks=[WindBack()], verbose=0)
    (told,) = on.events("checkpoint_loaded")
    assert told == {"run": on.run().run_id, "step": 0}


def test_what_autolog_loads_itself_counts_once(keras: Any, recording: Any) -> None:
    autolog.autolog("keras")
    _trained(keras)
    trained = recording.run()
    autolog.load_model(trained.run_id).fit(ROWS, TARGETS, verbose=0)
    later = [run for run in recording.runs() if run.run_id != trained.run_id]
    assert [run.tags["resumed_from"] for run in later] == [trained.run_id]
