"""Loops of `train_on_batch`: one call is one step, with the values that Keras returned for it.

Keras has read these values from the device by then, so they cost nothing more. What happens inside
such a call (an eager optimizer, losses of PyTorch, metrics) is a part of it. Values of
`test_on_batch` are recorded as `val_<name>` at the step before them: of several calls in a row the
last one counts.

An optimizer is announced when its model is compiled, because it matters which ones were there when
a loop began: the two halves of a GAN. A model that is trained by `fit` takes no part in loops.
"""

from __future__ import annotations

import sys
import threading
from collections.abc import Mapping
from typing import Any, Final

from autolog.integration import Capture, Detach, Tap
from autolog_keras.looping import Steppings
from autolog_keras.numbers import named

__all__ = ["attach"]

TRAIN: Final = "train_on_batch"
TEST: Final = "test_on_batch"


class _Here(threading.local):
    """What is known in this thread of the call under way."""

    logs: Any = None
    """The values of the call by name, before Keras makes a list of them."""


def attach(capture: Capture, trainer_class: Any, namespace: str) -> Detach:
    """Watch the loops over the models of one package.

    Args:
        capture: what autolog offers.
        trainer_class: the class that defines `fit` for the backend.
        namespace: `keras` or `tf_keras`.
    """
    steps = _Steps(capture, namespace)
    training = Tap(enter=steps.begin, exit=steps.trained, error=steps.failed)
    testing = Tap(enter=steps.begin, exit=steps.tested, error=steps.failed)
    # Of `compile` Keras asks whether it is the one of the class that defines it.
    watched = [
        ("compile", Tap(exit=steps.compiled)),
        ("fit", Tap(enter=steps.fits)),
        (TRAIN, training),
        (TEST, testing),
        ("_flatten_metrics_in_order", Tap(enter=steps.flattens)),
    ]
    undo = [
        capture.tap(cls, name, tap)
        for name, tap in watched
        for cls in trainer_class.__mro__
        if name in vars(cls)
    ]
    module = sys.modules[trainer_class.__module__]
    if hasattr(module, "flatten_metrics_in_order"):  # quirk keras-two-namespaces
        undo.append(capture.tap(module, "flatten_metrics_in_order", Tap(enter=steps.flattens)))
    undo.append(capture.on_settle(steps.settle))

    def detach() -> None:
        for one in undo:
            one()

    return detach


class _Steps:
    """The models that are trained by single batches, and their steps."""

    def __init__(self, capture: Capture, namespace: str) -> None:
        self._capture = capture
        self._namespace = namespace
        self._steppings = Steppings(capture)
        self._here = _Here()

    # -- what is there -----------------------------------------------------------------------

    def compiled(self, _: Any, args: tuple[Any, ...], __: Mapping[str, Any], ___: Any) -> None:
        """A model has got an optimizer."""
        if not self._capture.covered:
            self._steppings.of(args[0], built=True)

    def fits(self, args: tuple[Any, ...], _: Mapping[str, Any]) -> None:
        """A model is trained as a whole: no loop need wait for a step of it."""
        stepping = self._steppings.known(args[0])
        if stepping is not None:
            stepping.optimizer.left_out()

    # -- around a call -----------------------------------------------------------------------

    def begin(self, _: tuple[Any, ...], __: Mapping[str, Any]) -> Any:
        """A batch is given to a model; None inside of a training that is recorded otherwise."""
        if self._capture.covered:
            return None
        self._here.logs = None
        covering = self._capture.covering()
        covering.__enter__()
        return covering

    def flattens(self, args: tuple[Any, ...], _: Mapping[str, Any]) -> None:
        """Keras makes a list of values that have names: a method, or a function in tf_keras."""
        self._here.logs = args[-1] if isinstance(args[-1], dict) else args[0]

    def failed(
        self, state: Any, _: tuple[Any, ...], __: Mapping[str, Any], ___: BaseException
    ) -> None:
        """The call has raised: it was no step."""
        self._end(state)

    def _end(self, state: Any) -> Any:
        logs, self._here.logs = self._here.logs, None
        if state is not None:
            state.__exit__(None, None, None)
        return logs

    def trained(
        self, state: Any, args: tuple[Any, ...], kwargs: Mapping[str, Any], result: Any
    ) -> None:
        """A step was made."""
        logs = self._end(state)
        if state is None:
            return
        values = named(result, logs)
        stepping = self._steppings.of(args[0])
        if not stepping.steps:
            stepping.call_it(self._name(args, kwargs))
        self._steppings.settle()
        stepping.made(values)

    def tested(self, state: Any, args: tuple[Any, ...], _: Mapping[str, Any], result: Any) -> None:
        """A model was evaluated on a batch."""
        logs = self._end(state)
        stepping = self._steppings.known(args[0])
        if state is not None and stepping is not None and stepping.steps:
            stepping.evaluated = named(result, logs)

    def settle(self) -> None:
        """Record evaluations that no step has come after."""
        self._steppings.settle()

    def _name(self, args: tuple[Any, ...], kwargs: Mapping[str, Any]) -> str | None:
        return self._capture.receiver_named(self._namespace, TRAIN, len(args) - 1, kwargs)
