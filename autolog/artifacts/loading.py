"""How a stored model is loaded again, and stored in its safe format.

The trainer stages a pickle. Whoever loads it from their own embedded store gets it without a
flag, since those bytes are as trusted as the program that wrote them; from a store of somebody
else only a safe format is loaded unless pickles are allowed. The conversion to the integration's
safe format happens on the first load, not in the trainer.
"""

from __future__ import annotations

import contextlib
import os
import pickle
import tempfile
from collections.abc import Generator, Mapping, Sequence
from pathlib import Path
from typing import Any

from autolog.artifacts.manifest import STAGED
from autolog.artifacts.repository import Repository
from autolog.discovery import discover, resolve
from autolog.entities import Artifact, Model
from autolog.errors import ModelError, StoreError
from autolog.integration import Format

__all__ = ["convert", "load", "owned_by_this_user"]


def load(
    model: Model, repository: Repository, *, own: bool, trusted: Sequence[str] | None = None
) -> Any:
    """Load a stored model.

    Args:
        model: what the store knows of it.
        repository: where its blobs lie.
        own: its bytes are as trusted as this program, so a pickle may be loaded.
        trusted: construct only what the format knows as safe and types of these names.

    Raises:
        ModelError: a file is missing or differs from what was stored, a format is unknown, or a
            pickle or a type would have to be trusted.
    """
    if model.format == STAGED:
        return _unpickled(model, repository, own and trusted is None)
    form = _format(model.format)
    if not (form.safe or own):
        raise ModelError(f"format {form.name} is not safe to load from somebody else's store")
    with tempfile.TemporaryDirectory(prefix="autolog-") as place:
        _lay_out(model, repository, Path(place))
        vouched = None if own and trusted is None else trusted or ()
        with _explained(model):
            return _read_format(form, Path(place), vouched)


def convert(model: Model, instance: Any, repository: Repository) -> Model | None:
    """Store a loaded model in its safe format too; None if there is nothing to convert to.

    Raises:
        ModelError: the conversion failed; the message says why.
    """
    target = str(model.manifest.get("convert_to", STAGED))
    if model.format != STAGED or target == STAGED:
        return None
    if model.manifest.get("by_value"):
        raise ModelError(f"{target} cannot hold code of the training script, which this model has")
    form = _format(target)
    with tempfile.TemporaryDirectory(prefix="autolog-") as folder:
        place = Path(folder)
        try:
            resolve(form.save)(instance, place)
            unknown = _unknown(form, place)
            _read_format(form, place, unknown)  # a file that cannot be loaded is worth nothing
        except Exception as exc:
            raise ModelError(f"{form.name}: {type(exc).__name__}: {exc}") from exc
        files: list[Artifact] = []
        for path in sorted(place.rglob("*")):
            if path.is_file():
                blob = repository.put(path)
                name = f"{model.name}/{path.relative_to(place).as_posix()}"
                files.append(Artifact(path=name, size=blob.size, sha256=blob.sha256, uri=blob.uri))
    size = sum(file.size for file in files)
    details: dict[str, Any] = {**model.manifest, "converted_from": STAGED}
    if unknown:
        details["unknown_types"] = unknown
    return Model(
        name=model.name,
        format=form.name,
        safe=form.safe,
        size=size,
        files=files,
        manifest=details,
    )


def owned_by_this_user(*paths: Path | None) -> bool:
    """Whether all of these are files (None is what lies elsewhere) of this process's user."""
    if not hasattr(os, "getuid"):
        return None not in paths
    try:
        return all(path is not None and path.stat().st_uid == os.getuid() for path in paths)
    except OSError:
        return False


def _unpickled(model: Model, repository: Repository, allowed: bool) -> Any:
    if not allowed:
        raise ModelError(
            f"model {model.name!r} is stored as a pickle alone, which can run any code when it is"
            " loaded. In a store of your own load_model(...) without trusted= loads it, and stores"
            " it in a safe format if one can hold it. In the store of somebody else whom you"
            " trust: load_model(..., allow_pickle=True)"
        )
    file = model.files[0]
    with _named(file):
        data = repository.read(file.uri)
    with _explained(model):
        return pickle.loads(data)  # noqa: S301  own bytes, checked against their digest


def _read_format(form: Format, place: Path, vouched: Sequence[str] | None) -> Any:
    """Load a format; None for `vouched` takes every type that its files name."""
    if form.unknown is None:
        return resolve(form.load)(place)
    unknown = _unknown(form, place)
    strange = [name for name in unknown if vouched is not None and name not in vouched]
    if strange:
        known = [name for name in unknown if name not in strange]
        raise ModelError(
            f"it holds types that {form.name} does not know as safe: {', '.join(strange)}."
            f" If you trust their code: load_model(..., trusted={[*known, *strange]!r})"
        )
    return resolve(form.load)(place, unknown)


def _unknown(form: Format, place: Path) -> list[str]:
    return [] if form.unknown is None else list(resolve(form.unknown)(place))


def _lay_out(model: Model, repository: Repository, place: Path) -> None:
    for file in model.files:
        target = place / file.path.removeprefix(f"{model.name}/")
        if not target.resolve().is_relative_to(place.resolve()):
            raise ModelError(f"model {model.name!r} names a file outside of it: {file.path!r}")
        with _named(file):
            repository.get(file.uri, target)


@contextlib.contextmanager
def _named(file: Artifact) -> Generator[None]:
    try:
        yield
    except StoreError as exc:
        raise ModelError(f"{file.path} cannot be read: {exc}") from exc


@contextlib.contextmanager
def _explained(model: Model) -> Generator[None]:
    """Say of what a model failed to load, and what it was stored with."""
    try:
        yield
    except ModelError as exc:
        raise ModelError(f"model {model.name!r}: {exc}") from exc
    except Exception as exc:
        raise ModelError(_load_failure(model, exc)) from exc


def _load_failure(model: Model, exc: Exception) -> str:
    versions: Mapping[str, str] = model.manifest.get("versions", {})
    stored = ", ".join(f"{name} {version}" for name, version in versions.items())
    return (
        f"model {model.name!r} ({model.manifest.get('class')}) cannot be loaded:"
        f" {type(exc).__name__}: {exc}. It was stored by Python {model.manifest.get('python')}"
        + (f" with {stored}" if stored else "")
    )


def _format(name: str) -> Format:
    for integration in discover().integrations.values():
        for form in integration.formats:
            if form.name == name:
                return form
    raise ModelError(
        f"no installed integration knows the model format {name!r};"
        " install the one that stored it (`autolog doctor` lists those that are there)"
    )
