"""The models that a loop ends with, stored in the format of Keras.

Models are referred to weakly: one that is gone when its training ends leaves nothing to store, and
its run says so. A `tf.Module` that is no model of Keras has no format of its own.
"""

from __future__ import annotations

import functools
import math
import weakref
from importlib.util import find_spec
from typing import Any, Final

from autolog.integration import Capture, Detach, Loop, Snapshot, Span
from autolog_tensorflow import models
from autolog_tensorflow.current import on_loop
from autolog_tensorflow.steps import tracking

__all__ = ["attach"]

_STATE: Final = "tensorflow.models"
_FORMAT: Final = "keras"

_Known = dict[str, tuple[weakref.ref[Any], str]]
"""By the name of an optimizer: the model that it trains, and the class of that."""


def attach(capture: Capture) -> Detach:
    """Learn which models are trained, and store them when that ends."""
    if find_spec("autolog_keras") is None:
        return lambda: None
    return on_loop(capture.guarded(_seen))


def _seen(loop: Loop, optimizer: Any) -> None:
    """An optimizer has made its first step in a loop."""
    span = loop.span
    tracked = tracking.of(optimizer)
    model = models.of_variables(tracked.parameters())
    if model is None or not span.owns_run or not _is_of_keras(model):
        return
    known: _Known = span.state.setdefault(_STATE, {})
    if not known:
        span.at_end(functools.partial(_store, span, known))
    if all(reference() is not model for reference, _ in known.values()):
        label = tracked.known.label if tracked.known is not None else ""
        known[label or str(len(known))] = (weakref.ref(model), type(model).__name__)


def _store(span: Span, known: _Known) -> None:
    """Store the models as they are now."""
    gone = [name for reference, name in known.values() if reference() is None]
    if gone:
        text = (
            f"no model {', '.join(sorted(set(gone)))} was stored: it was gone when its training was"
            " known to be over. model.save it where it is trained, or autolog.log_model(model)"
        )
        span.event("notice", {"key": "model_gone", "text": text})
    for label, (reference, name) in known.items():
        model = reference()
        if model is not None:
            span.model(
                Snapshot(
                    model=model,
                    format=_FORMAT,
                    name="model" if len(known) == 1 else f"{name}-{label}",
                    size=sum(_bytes(one) for one in model.variables),
                )
            )


def _is_of_keras(model: Any) -> bool:
    return any(
        cls.__name__ == "Model" and cls.__module__.startswith(("keras.", "tf_keras."))
        for cls in type(model).__mro__
    )


def _bytes(variable: Any) -> int:
    dtype = getattr(variable.dtype, "name", variable.dtype)
    digits = "".join(one for one in str(dtype) if one.isdigit())
    return math.prod(int(size or 0) for size in variable.shape) * max(int(digits or 8) // 8, 1)
