"""The model of a fit, stored as it is when the fit is over.

Nothing of the model is read before its size is known to be within the user's limits, which follows
from the shapes of its variables.
"""

from __future__ import annotations

import inspect
import math
import re
import sys
import tempfile
from collections.abc import Sequence
from pathlib import Path
from typing import Any, Final, cast

from autolog.integration import Capture, Snapshot, Span
from autolog_keras.kinds import backend_of, package_of
from autolog_keras.ours import ours

__all__ = ["signature", "size", "store", "versions"]

_BITS: Final = re.compile(r"\d+")


def store(capture: Capture, span: Span, model: Any, *, name: str = "model") -> None:
    """Store a model with its run, and a SavedModel beside it if the user wants one.

    Args:
        capture: what autolog offers.
        span: the training.
        model: the model as it is now.
        name: what it is called among the models of the run.
    """
    span.model(
        Snapshot(
            model=model,
            format="keras",
            signature=signature(model),
            versions=versions(model),
            size=size(model),
            name=name,
        )
    )
    if capture.options.saved_model and span.owns_run:
        _store_saved_model(capture, span, model)


def _store_saved_model(capture: Capture, span: Span, model: Any) -> None:
    """Store a SavedModel beside; that it cannot be made is no fault of the training's."""
    package = package_of(model)
    if backend_of(package) != "tensorflow":
        capture.notice("saved_model", "a SavedModel needs Keras on TensorFlow; none was stored")
        return
    with tempfile.TemporaryDirectory(prefix="autolog-") as folder:
        place = Path(folder)
        try:
            with ours():
                if package == "tf_keras":
                    model.save(folder, save_format="tf")
                else:
                    told = inspect.signature(model.export).parameters
                    model.export(folder, **({"verbose": False} if "verbose" in told else {}))
        except Exception as exc:
            why = f"{type(exc).__name__}: {exc}"
            capture.notice("saved_model", f"no SavedModel could be stored: {why}")
            return
        for path in sorted(place.rglob("*")):
            if path.is_file():
                span.file(str(path), f"saved_model/{path.relative_to(place).as_posix()}")


def size(model: Any) -> int:
    """Return the bytes of all variables, also the optimizer's; no value is read."""
    found = {id(one): one for one in [*_listed(model), *_listed(_attribute(model, "optimizer"))]}
    return sum(_bytes(one) for one in found.values())


def signature(model: Any) -> dict[str, Any]:
    """Describe what a model takes and gives, as far as it is known without calling it."""
    described: dict[str, Any] = {}
    for key, names in (("inputs", "input_names"), ("outputs", "output_names")):
        tensors = _attribute(model, key)
        if not isinstance(tensors, (list, tuple)) or not tensors:
            continue
        told: Any = _attribute(model, names)
        called = cast("list[Any]", told) if isinstance(told, (list, tuple)) else []
        described[key] = [
            _described(one, called[at] if at < len(called) else None)
            for at, one in enumerate(cast("Sequence[Any]", tensors))
        ]
    return described


def versions(model: Any) -> dict[str, str]:
    """Return what must be installed to load a model: its package and the backend of that."""
    package = package_of(model)
    keras: Any = sys.modules[package]
    found = {package.replace("_", "-"): str(keras.__version__)}
    name = backend_of(package)
    backend = sys.modules.get(name)
    if backend is not None:
        found[name] = str(getattr(backend, "__version__", ""))
    return found


def _described(tensor: Any, name: Any) -> dict[str, Any]:
    shape: Any = _attribute(tensor, "shape")
    dtype: Any = _attribute(tensor, "dtype")
    return {
        "name": str(name if name is not None else _attribute(tensor, "name")),
        "shape": [None if one is None else int(one) for one in shape]
        if shape is not None
        else None,
        "dtype": str(getattr(dtype, "name", dtype)),
    }


def _listed(thing: Any) -> list[Any]:
    """Return the variables of a model or an optimizer; in tf_keras they may be a function's."""
    found = _attribute(thing, "variables")
    if callable(found) and not isinstance(found, (list, tuple)):
        found = found()
    return list(cast("Sequence[Any]", found)) if isinstance(found, (list, tuple)) else []


def _bytes(variable: Any) -> int:
    shape: Any = _attribute(variable, "shape")
    dtype: Any = _attribute(variable, "dtype")
    bits = _BITS.search(str(getattr(dtype, "name", dtype)))
    width = max(1, int(bits.group()) // 8) if bits is not None else 1
    return math.prod(int(one or 0) for one in shape) * width if shape is not None else 0


def _attribute(thing: Any, name: str) -> Any:
    """Return an attribute that may be a property which raises before the model is built."""
    try:
        return getattr(thing, name, None)
    except Exception:
        return None
