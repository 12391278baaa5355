"""Watches the models of Keras 3, on whatever backend it was imported with, and of tf_keras.

The two packages have the same callbacks under the same names and no class in common (quirk
keras-two-namespaces), so each is watched in the same way. Of Keras 3 the methods are those of the
trainer that the backend gives to `Model` as a base.
"""

from __future__ import annotations

import sys
from importlib import import_module
from typing import Any

from autolog.integration import Call, Capture, Detach, Hook
from autolog_keras import metrics, steps
from autolog_keras.batches import Batches
from autolog_keras.epochs import Epochs
from autolog_keras.evaluations import Evaluations
from autolog_keras.fits import Fits
from autolog_keras.recording import Recordings

__all__ = ["attach", "attach_legacy"]


def attach(capture: Capture) -> Detach:
    """Watch the models of Keras 3."""
    return _attach(capture, "keras")


def attach_legacy(capture: Capture) -> Detach:
    """Watch the models of tf_keras, which is Keras 2."""
    return _attach(capture, "tf_keras")


def _attach(capture: Capture, namespace: str) -> Detach:
    keras = sys.modules[namespace]
    callbacks: Any = import_module(f"{namespace}.callbacks")
    recordings = Recordings()
    trainer = _defining(keras.Model, "fit")
    fits = Fits(capture, recordings, namespace, trainer)
    epochs = Epochs(capture, recordings)
    evaluations = Evaluations(capture, recordings)

    def epoch_ended(call: Call, result: Any) -> None:
        epochs.ends(call, result)
        fits.epoch_ended(call, result)

    watch = capture.patch
    detaches: list[Detach] = [
        watch(
            trainer,
            "fit",
            Hook(enter=fits.begins, exit=fits.ends, error=fits.fails),
            role=fits.role_of,
            name=fits.name_of,
        ),
        watch(
            _defining(keras.Model, "evaluate"),
            "evaluate",
            Hook(enter=evaluations.begins, exit=evaluations.ends, error=evaluations.fails),
            role=evaluations.role_of,
            kind="eval",
        ),
        watch(_defining(keras.Model, "set_weights"), "set_weights", Hook(exit=fits.is_set_back)),
        watch(_defining(keras.Model, "predict"), "predict", Hook(exit=evaluations.predicted)),
        watch(
            callbacks.CallbackList,
            "on_train_begin",
            Hook(enter=epochs.training_begins, exit=fits.is_set_up),
        ),
        watch(callbacks.CallbackList, "on_epoch_begin", Hook(enter=epochs.begins)),
        watch(
            callbacks.CallbackList,
            "on_epoch_end",
            Hook(enter=epochs.is_over, exit=epoch_ended, error=epochs.fails),
        ),
        watch(callbacks.History, "on_epoch_end", Hook(enter=epochs.told)),
        watch(callbacks.CallbackList, "on_test_end", Hook(enter=evaluations.measured)),
        steps.attach(capture, trainer, namespace),
        metrics.attach(capture, namespace),
    ]
    if capture.options.every_n_batches > 0:
        batches = Batches(capture, recordings, capture.options.every_n_batches)
        detaches.append(capture.tap(callbacks.CallbackList, "on_train_batch_end", batches.tap))

    def detach() -> None:
        for one in reversed(detaches):
            one()

    return detach


def _defining(cls: type, method: str) -> type:
    """Return the class among the bases of `cls` that a method comes from."""
    return next(one for one in cls.__mro__ if method in vars(one))
