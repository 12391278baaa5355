"""The same training without and with autolog, from the same seeds, and all that is left of it."""

from __future__ import annotations

import contextlib
import io
import random
import re
import sys
import warnings
from collections.abc import Callable
from importlib import import_module
from typing import Any

import numpy as np

import autolog

Train = Callable[[], tuple[Any, dict[str, Any]]]
"""Trains a model; gives it, and what else must be the same in both legs."""


def twice(keras: Any, train: Train) -> dict[str, Any]:
    """Train plainly, then with everything of autolog on, and demand the same bits; return them."""
    plain = observed(keras, train)
    autolog.autolog()
    watched = observed(keras, train)
    autolog.disable()
    assert watched.keys() == plain.keys()
    # Some are given once in a process: the first leg may have more.
    added = [one for one in watched.pop("warned") if one not in plain["warned"]]
    assert added == [], added
    del plain["warned"]
    for key, value in plain.items():
        assert watched[key] == value, key
    return watched


def observed(keras: Any, train: Train) -> dict[str, Any]:
    """Train once from the same seeds; return all that must not change."""
    keras.backend.clear_session()
    keras.utils.set_random_seed(7)  # of frameworks other than its backend Keras seeds none
    if "torch" in sys.modules:
        import_module("torch").manual_seed(7)
    if "tensorflow" in sys.modules:
        import_module("tensorflow").random.set_seed(7)
    out, err = io.StringIO(), io.StringIO()
    with (
        contextlib.redirect_stdout(out),
        contextlib.redirect_stderr(err),
        warnings.catch_warnings(record=True) as warned,
    ):
        warnings.simplefilter("always")
        model, others = train()
    history = model.history
    return {
        "weights": bits(model.variables),
        "optimizer": bits(model.optimizer.variables),
        "history": (history.history, getattr(history, "epoch", None), history.params),
        "attributes": sorted(vars(model)),
        "attributes of the optimizer": sorted(vars(model.optimizer)),
        "random numbers": draws(keras),
        "next name": keras.layers.Dense(1).name,
        "out": re.sub(r"\d+(us|ms|s)(/step|/epoch)?\b", "", out.getvalue()),
        "err": err.getvalue(),
        "warned": [(one.category.__name__, str(one.message)) for one in warned],
        **others,
    }


def bits(variables: Any) -> list[tuple[Any, ...]]:
    """Name, type and bytes of each variable."""
    found = []
    for one in variables:
        array = np.asarray(one.detach().cpu() if hasattr(one, "detach") else one.numpy())
        name = getattr(one, "path", None) or one.name
        found.append((name, str(array.dtype), array.shape, array.tobytes()))
    return found


def draws(keras: Any) -> list[Any]:
    """Draw from every generator there is: what comes next tells its state."""
    found: list[Any] = [random.getstate(), np.random.get_state(legacy=False)["state"]["pos"]]
    found += [random.random(), np.random.random(2).tolist()]
    if hasattr(keras, "random"):
        number = keras.random.uniform((2,))
        found.append(keras.ops.convert_to_numpy(number).tolist())
    if "torch" in sys.modules:
        found.append(import_module("torch").rand(2).tolist())
    if "tensorflow" in sys.modules:
        found.append(import_module("tensorflow").random.uniform((2,)).numpy().tolist())
        found.append(
            import_module("tensorflow").random.get_global_generator().state.numpy().tolist()
        )
    return found
