"""The arguments of `fit` as parameters: what was given, and the defaults that decide the training.

Data and callbacks are no parameters; they are described elsewhere, here only whether they were
given. The size of a batch is what the data says that it is.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Final

from autolog_keras.callbacks import class_names
from autolog_keras.data import batch_size
from autolog_keras.kinds import listed

__all__ = ["fit_params"]

_NOT_PARAMS: Final = frozenset(
    {"self", "x", "y", "verbose", "callbacks", "batch_size", "sample_weight", "validation_data"}
)

_DEFAULTS: Final = (
    "epochs",
    "shuffle",
    "validation_split",
    "validation_freq",
    "initial_epoch",
    "steps_per_epoch",
    "class_weight",
)
"""What is worth knowing also where it was left as it is."""


def fit_params(bound: Mapping[str, Any], signature_defaults: Mapping[str, Any]) -> dict[str, Any]:
    """Return the parameters of one `fit`.

    Args:
        bound: the arguments by name, without defaults.
        signature_defaults: the defaults of the function that was called, by name.
    """
    params: dict[str, Any] = {
        name: bound.get(name, signature_defaults.get(name))
        for name in _DEFAULTS
        if name in bound or name in signature_defaults
    }
    params |= {
        name: value
        for name, value in bound.items()
        if name not in _NOT_PARAMS and name not in params
    }
    # Keras raises or ignores these, depending on the data: only what it uses is recorded
    size = batch_size(bound)
    if size is not None:
        params["batch_size"] = size
    params["sample_weight"] = bound.get("sample_weight") is not None
    params["validation_data"] = bound.get("validation_data") is not None
    names = class_names(listed(bound.get("callbacks")))
    if names:
        params["callbacks"] = names
    return params
