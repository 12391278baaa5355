"""`tf.train.Checkpoint`: which run wrote one, and which trainings begin from it.

A checkpoint is several files with one prefix. Its `.index` holds the checksums of all tensors, so
by that file it is known again, also after it was moved or copied. The files stay where they are: an
event of the run names them. Variables that are restored only when they are built are looked for
once more before the next step.
"""

from __future__ import annotations

import contextlib
import os
import weakref
from collections.abc import Mapping
from importlib import import_module
from typing import Any, Final, cast

from autolog.integration import Capture, Detach, Loop, Origin, Span, Tap
from autolog_tensorflow.callers import is_called_by_keras
from autolog_tensorflow.current import on_step
from autolog_tensorflow.steps import tracking

__all__ = ["attach"]

_INDEX: Final = ".index"
_MOST: Final = 16
"""So many checkpoints are remembered at most until the next step: there may be none."""


def attach(capture: Capture) -> Detach:
    """Watch checkpoints being written and read."""
    if not capture.options.checkpoints:
        return lambda: None
    train: Any = import_module("tensorflow").train
    seen = _Checkpoints(capture, train.TrackableView)
    undo = [
        # `restore` reads, too, and so does a manager.
        capture.tap(train.Checkpoint, "read", Tap(exit=seen.read)),
        capture.tap(train.Checkpoint, "save", Tap(exit=seen.written)),
        capture.tap(train.Checkpoint, "write", Tap(exit=seen.written)),
        capture.tap(train.CheckpointManager, "save", Tap(exit=seen.saved)),
        on_step(cast("Any", capture.guarded(seen.steps))),
    ]

    def detach() -> None:
        for one in undo:
            one()

    return detach


class _Checkpoints:
    """The checkpoints that this process writes and reads."""

    def __init__(self, capture: Capture, view: Any) -> None:
        self._capture = capture
        self._view = view
        self._restored: list[tuple[weakref.ref[Any], Origin]] = []
        """Checkpoints that were read and have made no step since."""

    # -- writing -----------------------------------------------------------------------------

    def written(self, _: Any, args: tuple[Any, ...], __: Mapping[str, Any], result: Any) -> None:
        """A checkpoint was written; in a graph nothing is written yet, and it has no name."""
        self._note(args[0], result)

    def saved(self, _: Any, args: tuple[Any, ...], __: Mapping[str, Any], result: Any) -> None:
        """A manager has saved its checkpoint, or has found that it is not time yet."""
        self._note(args[0].checkpoint, result)

    def _note(self, checkpoint: Any, result: Any) -> None:
        if not isinstance(result, (str, bytes)) or is_called_by_keras():
            return
        path = os.path.abspath(os.fsdecode(result))  # noqa: PTH100
        tracking.held.read()
        span, step = self._span(checkpoint)
        if span is None:
            return
        self._capture.wrote(path + _INDEX, span, step=step)
        span.event("checkpoint", {"path": path, "step": step})

    def _span(self, checkpoint: Any) -> tuple[Span | None, int | None]:
        """Find the training whose variables a checkpoint holds, and its newest step."""
        loop = self._loop_over(self._variables(checkpoint))
        if loop is not None:
            return loop.span, loop.step
        return self._capture.current(), None

    def _loop_over(self, variables: list[Any]) -> Loop | None:
        current = self._capture.loop()
        if current is not None and current.knows(variables):
            return current
        return next(iter(tracking.loops_over(frozenset(map(id, variables)))), None)

    # -- reading -----------------------------------------------------------------------------

    def read(self, _: Any, args: tuple[Any, ...], kwargs: Mapping[str, Any], __: Any) -> None:
        """The values of a checkpoint were taken, or will be when its variables are built."""
        checkpoint, *rest = args
        given = rest[0] if rest else kwargs.get("save_path")
        if not isinstance(given, (str, bytes, os.PathLike)):
            return
        path = os.path.abspath(os.fsdecode(cast("str", given)))  # noqa: PTH100
        origin = self._capture.origin(path + _INDEX)
        if origin is None:
            return
        variables = self._variables(checkpoint)
        loop = self._loop_over(variables)
        if loop is not None:
            told = {"run": origin.run_id, "step": origin.step}
            loop.span.event("checkpoint_loaded", told)
            return
        self._capture.restored(variables, origin)
        self._restored = [*self._restored[1 - _MOST :], (weakref.ref(checkpoint), origin)]

    def steps(self) -> None:
        """A step was made and is about to be recorded: by now its variables are there."""
        if not self._restored:
            return
        restored, self._restored = self._restored, []
        for reference, origin in restored:
            checkpoint = reference()
            if checkpoint is not None:
                self._capture.restored(self._variables(checkpoint), origin)

    # -- what is in one ----------------------------------------------------------------------

    def _variables(self, checkpoint: Any) -> list[Any]:
        """Return the variables that a checkpoint reaches, as TensorFlow and as Keras have them."""
        found: dict[int, Any] = {}
        variable: Any = import_module("tensorflow").Variable
        for one in self._view(checkpoint).descendants():
            if isinstance(one, variable):
                found[id(one)] = one
                continue
            held: Any = None
            with contextlib.suppress(Exception):  # it has none, or is not built
                held = one.variables
            if isinstance(held, (list, tuple)):
                found |= {id(each): each for each in cast("list[Any]", held)}
        return [*found.values()]
