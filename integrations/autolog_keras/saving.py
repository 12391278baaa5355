"""Writes the archive that Keras' own `save` would write, at a third of its cost.

The layout is that of the installed version, since its own functions walk the model; HDF5 is written
by the low-level interface of h5py. A version whose functions are not those that are known here
writes the archive itself.
"""

from __future__ import annotations

import datetime as dt
import json
import sys
import types
import zipfile
from collections.abc import Iterator, Sequence
from importlib import import_module
from pathlib import Path
from typing import Any, Final, cast

from autolog_keras.hdf5 import write_groups
from autolog_keras.kinds import unwarned
from autolog_keras.ours import ours
from autolog_keras.walking import UnserialisableError, copied, is_known, state_of, undisturbed

__all__ = ["seed_generators", "write_archive", "write_weights"]

_AT_ONCE: Final = 64 << 20


def write_archive(model: Any, package: str, path: Path) -> str | None:
    """Write a `.keras` file; return why it is without what `compile` was given, if it is.

    Raises:
        UnserialisableError: its architecture cannot be written down.
    """
    if not is_known(package):
        _let_keras_write(model, package, path)
        return None
    config, why = _configuration(model, package)
    try:
        _write(model, package, config, path)
    except UnserialisableError:
        raise
    except Exception:  # a function has the name that is known, and does something else
        _let_keras_write(model, package, path)
        return None
    return why


def _let_keras_write(model: Any, package: str, path: Path) -> None:
    path.unlink(missing_ok=True)  # else Keras would say that it overwrites something
    keras: Any = sys.modules[package]
    with ours():
        keras.models.save_model(model, str(path))
    with zipfile.ZipFile(path) as archive:
        _checked(archive.read("config.json").decode())


def _configuration(model: Any, package: str) -> tuple[str, str | None]:
    """Return the configuration of a model as JSON, and why it is without that of `compile`.

    Raises:
        UnserialisableError: a part has none, or it could not be loaded again.
    """
    for layer in _layers(model):
        if type(layer).__name__ == "Lambda" and _is_lambda(getattr(layer, "function", None)):
            raise UnserialisableError(
                f"layer {layer.name!r} computes a lambda, which no safe format holds; a function"
                " registered by keras.saving.register_keras_serializable can be stored"
            )
    why: str | None = None
    if any(map(_is_lambda, _leaves(getattr(model, "_compile_config", None)))):
        why = "a lambda was given to compile()"
    else:
        try:
            return _checked(_serialised(model, package, compiled=True)), None
        except Exception as exc:
            why = f"{type(exc).__name__}: {exc}"
    try:
        return _checked(_serialised(model, package, compiled=False)), why
    except Exception as exc:
        raise UnserialisableError(str(exc)) from exc


def _write(model: Any, package: str, config: str, path: Path) -> None:
    keras: Any = sys.modules[package]
    metadata = {
        "keras_version": str(keras.__version__),
        "date_saved": dt.datetime.now().strftime("%Y-%m-%d@%H:%M:%S"),
    }
    weights, assets = path.with_name("model.weights.h5"), path.with_name("assets")
    try:
        write_groups(state_of(model, package, assets), weights)
        with zipfile.ZipFile(path, "w") as archive:
            archive.writestr("metadata.json", json.dumps(metadata))
            archive.writestr("config.json", config)
            if weights.stat().st_size <= _AT_ONCE:  # `write` does it in pieces of 8 kB
                archive.writestr(weights.name, weights.read_bytes())
            else:
                archive.write(weights, weights.name)
            for one in sorted(assets.rglob("*")):
                if one.is_file():
                    archive.write(one, f"assets/{one.relative_to(assets).as_posix()}")
    finally:
        weights.unlink(missing_ok=True)
        for one in sorted(assets.rglob("*"), reverse=True):
            one.rmdir() if one.is_dir() else one.unlink()
        if assets.is_dir():
            assets.rmdir()


def write_weights(model: Any, package: str, path: Path) -> None:
    """Write a `.weights.h5` file."""
    write_groups(state_of(model, package, None), path)


def seed_generators(model: Any) -> list[Any]:
    """Return what a model draws its dropout from; Keras' own files do not hold where it is."""
    found = [one for layer in _layers(model) for one in getattr(layer, "_seed_generators", ())]
    return list({id(one): one for one in found}.values())


def _serialised(model: Any, package: str, *, compiled: bool) -> str:
    library: Any = import_module(f"{package}.src.saving.serialization_lib")
    serialise: Any = library.serialize_keras_object
    if not compiled:

        def build_alone(thing: Any, config: dict[str, Any]) -> None:
            given = thing.get_build_config() if hasattr(thing, "get_build_config") else None
            if given is not None:
                config["build_config"] = library.serialize_dict(given)

        space: dict[str, Any] = {**vars(library), "get_build_and_compile_config": build_alone}
        serialise = copied(_undecorated(serialise), space)
    with undisturbed(package), library.ObjectSharingScope(), unwarned():
        return json.dumps(serialise(model))


def _checked(config: str) -> str:
    if '"__lambda__"' in config:
        raise UnserialisableError("a part of it is a lambda, which no safe format holds")
    return config


def _undecorated(function: Any) -> Any:
    return getattr(function, "__wrapped__", function)


def _layers(model: Any) -> list[Any]:
    flatten = getattr(model, "_flatten_layers", None)
    return list(flatten()) if flatten is not None else []


def _is_lambda(thing: Any) -> bool:
    return isinstance(thing, types.FunctionType) and thing.__name__ == "<lambda>"


def _leaves(thing: Any) -> Iterator[Any]:
    """Yield what `compile` was given, as Keras keeps it: in lists and dictionaries."""
    waiting: list[Any] = [getattr(thing, "config", None)]
    while waiting:
        one = waiting.pop()
        if isinstance(one, dict):
            waiting += cast("dict[Any, Any]", one).values()
        elif isinstance(one, (list, tuple)):
            waiting += cast("Sequence[Any]", one)
        else:
            yield one
