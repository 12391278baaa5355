"""Watches training loops that the user wrote: each part of it is one line."""

from __future__ import annotations

import functools
from collections.abc import Callable
from typing import Final

from autolog.integration import Capture, Detach
from autolog_tensorflow import (
    checkpoints,
    datasets,
    describe,
    framework,
    functions,
    gradients,
    models,
    optimizers,
    summaries,
    trained,
)
from autolog_tensorflow.steps import tracking

__all__ = ["attach", "attach_keras", "attach_tf_keras"]

_PARTS: Final[tuple[Callable[[Capture], Detach], ...]] = (
    models.attach,
    gradients.attach,
    optimizers.attach,
    functions.attach,
    describe.attach,
    datasets.attach,
    trained.attach,
    summaries.attach,
    checkpoints.attach,
)
_OF_KERAS: Final[tuple[Callable[[Capture], Detach], ...]] = (optimizers.attach_keras,)
_OF_TF_KERAS: Final[tuple[Callable[[Capture], Detach], ...]] = (optimizers.attach_tf_keras,)


def attach(capture: Capture) -> Detach:
    """Watch TensorFlow itself."""
    framework.look_up()
    tracking.switch_on(capture)
    undo = [capture.on_settle(tracking.held.read), *(part(capture) for part in _PARTS)]
    read = capture.guarded(tracking.held.read)  # else it would be written to the next training
    return functools.partial(_detach, [read, *undo, tracking.switch_off])


def attach_keras(capture: Capture) -> Detach:
    """Watch Keras, where it runs on TensorFlow."""
    return functools.partial(_detach, [part(capture) for part in _OF_KERAS])


def attach_tf_keras(capture: Capture) -> Detach:
    """Watch tf_keras."""
    return functools.partial(_detach, [part(capture) for part in _OF_TF_KERAS])


def _detach(undo: list[Detach]) -> None:
    for one in undo:
        one()
