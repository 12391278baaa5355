"""The format of Keras' models: the `.keras` file, which Keras itself loads in its safe mode.

`model.keras` is the archive, `keras.json` says which package wrote it on which backend. A model
whose architecture cannot be written down leaves its weights in `model.weights.h5` and the reason.
Before Keras sees an archive it is made sure that it is made of Keras' own parts and of what the
user trusts, whatever the version checks by itself.
"""

from __future__ import annotations

import json
import sys
import warnings
import zipfile
from collections.abc import Iterator, Sequence
from importlib import import_module
from pathlib import Path, PurePosixPath
from typing import Any, Final, cast

from autolog_keras.kinds import backend_of, package_of
from autolog_keras.ours import ours
from autolog_keras.references import Reference, references
from autolog_keras.saving import (
    seed_generators,
    write_archive,
    write_weights,
)
from autolog_keras.walking import UnserialisableError, converter

__all__ = ["load", "save", "unknown"]

_ARCHIVE: Final = "model.keras"
_WEIGHTS: Final = "model.weights.h5"
_DESCRIPTION: Final = "keras.json"
_PACKAGES: Final = ("keras", "tf_keras")
_MEMBERS: Final = frozenset({"config.json", "metadata.json", _WEIGHTS})
_LARGEST_CONFIG: Final = 64 << 20
_EXPANSION: Final = 100
"""So many times its size in the archive a file may have; Keras compresses nothing."""
_SMALL: Final = 1 << 20


def save(model: Any, directory: Path) -> str | None:
    """Save a model; return what is lost of it, if not all of it could be stored.

    Raises:
        ValueError: it is no model of Keras, or has no weights to fall back to.
    """
    package = package_of(model)
    described: dict[str, Any] = {
        "package": package,
        "version": str(sys.modules[package].__version__),
        "backend": backend_of(package),
        "class": f"{type(model).__module__}.{type(model).__qualname__}",
    }
    lost: str | None = None
    try:
        why = write_archive(model, package, directory / _ARCHIVE)
        described["seeds"] = [_state_of(one) for one in seed_generators(model)]
        if why is not None:
            lost = f"without its loss, metrics and optimizer: {why}"
            described["uncompiled"] = why
    except UnserialisableError as exc:
        (directory / _ARCHIVE).unlink(missing_ok=True)
        write_weights(model, package, directory / _WEIGHTS)
        described["weights_only"] = str(exc)
        lost = f"without its architecture, as weights alone: {exc}"
    text = json.dumps(described, indent=1)
    (directory / _DESCRIPTION).write_text(text, encoding="utf-8")
    return lost


def unknown(directory: Path) -> list[str]:
    """Return what loading would import or read beyond Keras' own parts.

    Raises:
        ValueError: the archive holds what no model of Keras has.
    """
    if not (directory / _ARCHIVE).exists():
        return []
    return sorted({one.name for one in references(_checked(directory / _ARCHIVE))})


def load(directory: Path, trusted: Sequence[str] = ()) -> Any:
    """Load a model of Keras' own parts and of what is `trusted`.

    Raises:
        ValueError: something is not trusted or not to be found, or the weights alone were stored.
    """
    described = json.loads((directory / _DESCRIPTION).read_text(encoding="utf-8"))
    package = described["package"]
    if package not in _PACKAGES:
        raise ValueError(f"{package} is no package of Keras")
    archive = directory / _ARCHIVE
    if not archive.exists():
        raise ValueError(
            f"its weights alone were stored ({described.get('weights_only')}). Build the model and"
            f' load them: model.load_weights(autolog.get_artifact(RUN, "model/{_WEIGHTS}"))'
        )
    config = _checked(archive)
    strange = [one.name for one in references(config) if one.name not in trusted]
    if strange:
        raise ValueError(f"{', '.join(sorted(set(strange)))} is not trusted")
    keras: Any = import_module(package)
    compiled = config.pop("compile_config", None)
    found: dict[str, Any] = {}
    for one in references(config):
        found.update(_resolved(keras, one))
    try:
        for one in references(compiled):
            found.update(_resolved(keras, one))
    except ValueError as exc:
        compiled = None
        text = f"the model is loaded without its loss, metrics and optimizer: {exc}"
        warnings.warn(text, stacklevel=2)
    with ours():
        model = keras.models.load_model(
            str(archive), custom_objects=found, compile=compiled is not None, safe_mode=True
        )
    generators, seeds = seed_generators(model), described.get("seeds", [])
    if len(generators) == len(seeds):
        for generator, state in zip(generators, seeds, strict=True):
            generator.state.assign(state)
    return model


def _state_of(generator: Any) -> list[int]:
    keras: Any = sys.modules["keras"]
    return [int(one) for one in converter(keras.ops.convert_to_numpy)(generator.state)]


def _resolved(keras: Any, one: Reference) -> dict[str, Any]:
    """Return a class or function of the user's, by the names that Keras may look it up under."""
    if not one.attribute:  # a file, which Keras reads
        return {}
    thing = _registered(keras, one)
    if thing is None and one.module is not None:
        try:
            thing = getattr(import_module(one.module), one.attribute, None)
        except ImportError:
            thing = None
        thing = _registered(keras, one) or thing
    if thing is None:
        raise ValueError(
            f"{one.name} is not to be found. Import or define it first, or build the model and"
            f' load the weights: model.load_weights(autolog.get_artifact(RUN, "model/{_ARCHIVE}"))'
        )
    names = {one.attribute, one.registered or one.attribute}
    return dict.fromkeys(names, thing)


def _registered(keras: Any, one: Reference) -> Any:
    saving: Any = getattr(keras, "saving", None) or keras.utils
    for name in (one.registered, one.attribute):
        thing = saving.get_registered_object(name) if name is not None else None
        if thing is not None:
            return thing
    return None


def _checked(path: Path) -> dict[str, Any]:
    """Return the configuration in an archive that holds nothing else than Keras writes.

    Raises:
        ValueError: it does.
    """
    with zipfile.ZipFile(path) as archive:
        for member in archive.infolist():
            _check_member(member)
        if "config.json" not in archive.namelist():
            raise ValueError("it has no config.json")
        config = json.loads(archive.read("config.json"))
        if _WEIGHTS in archive.namelist():
            with archive.open(_WEIGHTS) as file:
                _check_weights(file)
    if not isinstance(config, dict):
        raise ValueError("its config.json is no configuration")  # noqa: TRY004
    return cast("dict[str, Any]", config)


def _check_member(member: zipfile.ZipInfo) -> None:
    name = member.filename
    parts = PurePosixPath(name).parts
    if "\\" in name or ".." in parts or name.startswith("/") or member.is_dir():
        raise ValueError(f"it holds a file that would lie elsewhere: {name!r}")
    if name not in _MEMBERS and parts[0] != "assets":
        raise ValueError(f"it holds a file that is none of Keras': {name!r}")
    if (member.external_attr >> 28) == 0xA:
        raise ValueError(f"it holds a link: {name!r}")
    if member.file_size > max(_SMALL, member.compress_size * _EXPANSION):
        raise ValueError(f"{name!r} would be {member.file_size:,} bytes, far more than it takes")
    if name.endswith(".json") and member.file_size > _LARGEST_CONFIG:
        raise ValueError(f"{name!r} is too large for a configuration")


def _check_weights(file: Any) -> None:
    """Refuse a file of weights that refers to other files, or claims a size that it has not."""
    h5py: Any = import_module("h5py")
    with h5py.File(file, "r") as weights:
        for name, data in _datasets(h5py, weights):
            if data.external or data.is_virtual:
                raise ValueError(f"the weights {name!r} are those of another file")
            stored = data.id.get_storage_size()
            if data.nbytes > max(_SMALL, stored * _EXPANSION):
                raise ValueError(f"the weights {name!r} are far larger than what is stored of them")


def _datasets(h5py: Any, group: Any) -> Iterator[tuple[str, Any]]:
    for name in group:
        link = group.get(name, getlink=True)
        if not isinstance(link, h5py.HardLink):
            raise ValueError(f"{name!r} in the weights is a link")  # noqa: TRY004
        part = group[name]
        if isinstance(part, h5py.Group):
            yield from _datasets(h5py, part)
        else:
            yield part.name, part
