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
from collections.abc import Generator, Mapping
from pathlib import Path
from typing import Any

from autolog.artifacts.manifest import STAGED
from autolog.artifacts.repository import Repository
from autolog.discovery import discover, resolve
from autolog.entities import Artifact, Model
from autolog.errors import ModelError, StoreError
from autolog.integration import Format

__all__ = ["convert", "load", "owned_by_this_user"]


def load(model: Model, repository: Repository, *, trusted: bool) -> Any:
    """Load a stored model.

    Args:
        model: what the store knows of it.
        repository: where its blobs lie.
        trusted: its pickle may be loaded.

    Raises:
        ModelError: a file is missing or differs from what was stored, a format is unknown, or a
            pickle would have to be trusted.
    """
    if model.format == STAGED:
        if not trusted:
            raise ModelError(
                f"model {model.name!r} is stored as a pickle, which can run any code when it is"
                " loaded, and this store or file belongs to another user."
                " If you trust its author: load_model(..., allow_pickle=True)"
            )
        data = _read(model.files[0], repository)
        try:
            return pickle.loads(data)  # noqa: S301  own bytes, checked against their digest
        except Exception as exc:
            raise ModelError(_load_failure(model, exc)) from exc
    form = _format(model.format)
    if not (form.safe or trusted):
        raise ModelError(f"format {form.name} is not safe to load from somebody else's store")
    with tempfile.TemporaryDirectory(prefix="autolog-") as place:
        _lay_out(model, repository, Path(place))
        return resolve(form.load)(Path(place))


def convert(model: Model, instance: Any, repository: Repository) -> Model | None:
    """Store a loaded model in its safe format too; None if there is nothing to convert to.

    Raises:
        ModelError: the conversion failed; the message says why.
    """
    target = str(model.manifest.get("convert_to", STAGED))
    if model.format != STAGED or target == STAGED:
        return None
    form = _format(target)
    with tempfile.TemporaryDirectory(prefix="autolog-") as place:
        try:
            resolve(form.save)(instance, Path(place))
        except Exception as exc:
            raise ModelError(f"{model.name} cannot be saved as {form.name}: {exc}") from exc
        files: list[Artifact] = []
        for path in sorted(Path(place).rglob("*")):
            if path.is_file():
                blob = repository.put(path)
                name = f"{model.name}/{path.relative_to(place).as_posix()}"
                files.append(Artifact(path=name, size=blob.size, sha256=blob.sha256, uri=blob.uri))
    size = sum(file.size for file in files)
    details: dict[str, Any] = {**model.manifest, "converted_from": STAGED}
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


def _read(file: Artifact, repository: Repository) -> bytes:
    with _named(file):
        return repository.read(file.uri)


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
