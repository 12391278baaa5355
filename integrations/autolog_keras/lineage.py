"""Where models come from: files that a run wrote, loaded by this process or a later one.

Whatever writes a model that was trained here, `ModelCheckpoint` too, leaves word whose file it is.
A model that is loaded from it belongs to that run: if the run is of this process its evaluations
go there, else to a run of kind `eval` that names it, and a fit says what it goes on from.
"""

from __future__ import annotations

import os
from collections.abc import Mapping
from importlib import import_module
from pathlib import Path
from typing import Any, Final

from autolog.integration import Capture, Detach, Origin, Span, Tap
from autolog_keras import checkpoints
from autolog_keras.ours import is_ours

__all__ = ["attach", "attach_legacy"]

_INSIDE: Final = (
    "model.weights.h5",
    "variables/variables.data-00000-of-00001",
)
"""By what the folders are known that a model may be saved as: Keras' and TensorFlow's."""
_SHARD: Final = ".data-00000-of-00001"


def attach(capture: Capture) -> Detach:
    """Watch what Keras 3 saves and loads."""
    return _attach(capture, "keras")


def attach_legacy(capture: Capture) -> Detach:
    """Watch what tf_keras saves and loads."""
    return _attach(capture, "tf_keras")


def _attach(capture: Capture, namespace: str) -> Detach:
    api: Any = import_module(f"{namespace}.src.saving.saving_api")
    model: Any = import_module(namespace).Model
    lineage = _Lineage(capture)
    taps = [
        capture.tap(api, "save_model", Tap(exit=lineage.saved)),
        capture.tap(model, "save_weights", Tap(exit=lineage.saved)),
        capture.tap(api, "load_model", Tap(exit=lineage.loaded)),
        capture.tap(model, "load_weights", Tap(exit=lineage.weights_loaded)),
    ]

    def detach() -> None:
        for untap in taps:
            untap()

    return detach


class _Lineage:
    """Follows models into files and out of them."""

    def __init__(self, capture: Capture) -> None:
        self._capture = capture
        self._spans: dict[str, Span] = {}
        """The trainings of this process that have written a file, by their runs."""

    def saved(self, _: Any, args: tuple[Any, ...], kwargs: Mapping[str, Any], __: Any) -> None:
        """A model, the first argument, was written to the second."""
        model = args[0] if args else kwargs.get("model")
        path = _file_of(args[1] if len(args) > 1 else kwargs.get("filepath"))
        if path is None or model is None or is_ours():
            return
        span, epoch = self._training_of(model)
        if span is not None and span.run_id is not None:
            self._spans[span.run_id] = span
            self._capture.wrote(path, span, step=epoch)
            if epoch is not None:
                target: Any = args[1] if len(args) > 1 else kwargs["filepath"]
                recording = span.state["keras.recording"]
                checkpoints.written(recording, self._capture, os.fsdecode(target))

    def loaded(self, _: Any, args: tuple[Any, ...], kwargs: Mapping[str, Any], model: Any) -> None:
        """A model was made of a file."""
        origin = self._origin(args[0] if args else kwargs.get("filepath"))
        if origin is not None:
            self._comes_from(model, origin)

    def weights_loaded(
        self, _: Any, args: tuple[Any, ...], kwargs: Mapping[str, Any], __: Any
    ) -> None:
        """A model has taken the weights of a file."""
        model = args[0]
        origin = self._origin(args[1] if len(args) > 1 else kwargs.get("filepath"))
        if origin is None:
            return
        span, epoch = self._training_of(model)
        if span is not None and (epoch is not None or span.trained_by == origin.run_id):
            told = {"run": origin.run_id, "step": origin.step}
            span.event("checkpoint_loaded", told)  # the training goes on, or was wound back
        else:
            self._comes_from(model, origin)

    def _training_of(self, model: Any) -> tuple[Span | None, int | None]:
        """Return the training that a model is in, with its epoch, or the one that it was in."""
        span = self._capture.current()
        recording = span.state.get("keras.recording") if span is not None else None
        if recording is not None and recording.model is model:
            return span, max(0, recording.epoch)
        known = self._capture.producer(model)
        return (known.span if known is not None else None), None

    def _origin(self, given: Any) -> Origin | None:
        path = _file_of(given)
        return self._capture.origin(path) if path is not None and not is_ours() else None

    def _comes_from(self, model: Any, origin: Origin) -> None:
        span = self._spans.get(origin.run_id)
        if span is not None:
            self._capture.produced(model, span)
        else:
            self._capture.loaded(model, trained_by=origin.run_id)


def _file_of(given: Any) -> str | None:
    """Return the file that stands for what was written: itself, or the weights in a folder."""
    if not isinstance(given, (str, os.PathLike)):
        return None
    path = Path(os.fspath(given))  # pyright: ignore[reportUnknownArgumentType]
    places = [path, path.with_name(path.name + _SHARD), *(path / name for name in _INSIDE)]
    return next((str(one) for one in places if one.is_file()), None)
