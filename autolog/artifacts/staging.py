"""Serialises a model while the trainer waits, within a limit known before a byte is written.

A framework's own format is written where the integration says that it is fast (`Format.native`);
everything else is pickled in one walk that copies no array, and converted to the safe format when
somebody asks for the model: that is not the trainer's work.
"""

from __future__ import annotations

import contextlib
from typing import Any, Final

import msgspec

from autolog.artifacts.blobs import Blob, BlobFolder, BlobWriter
from autolog.artifacts.walk import Sink, walk
from autolog.discovery import resolve
from autolog.errors import ModelError, StoreError
from autolog.integration import Format
from autolog.interruption import comes_from_outside

__all__ = ["Staged", "TooLarge", "stage"]

_PICKLE_FILE: Final = "model.pkl"


class Staged(msgspec.Struct, frozen=True):
    """A model's files in the store, by name.

    `form` is the format that they are in, None a pickle. `by_value`: code of `__main__` travels
    inside (cloudpickle). `fallback` says why the framework's own format could not hold it, or what
    of it is lost.
    """

    files: dict[str, Blob]
    form: Format | None = None
    by_value: bool = False
    fallback: str | None = None

    @property
    def size(self) -> int:
        """Bytes of all files."""
        return sum(blob.size for blob in self.files.values())


class TooLarge(msgspec.Struct, frozen=True):
    """The model was not kept: it takes `size` bytes."""

    size: int


def stage(
    model: Any, folder: BlobFolder, *, limit: int, native: Format | None = None
) -> Staged | TooLarge:
    """Write `model` into `folder` if that takes at most `limit` bytes.

    Args:
        model: any object.
        folder: the blobs of the store.
        limit: in bytes; of a native format the files are dropped again if they are larger.
        native: the framework's own format, tried first.

    Raises:
        ModelError: the model cannot be pickled; the message says which part of it.
        StoreError: the folder cannot be written.
    """
    if native is None:
        return _pickled(model, folder, limit, None)
    try:
        return _saved(model, folder, limit, native)
    except StoreError:
        raise
    except BaseException as exc:
        if comes_from_outside(exc):
            raise
        return _pickled(model, folder, limit, f"{native.name}: {type(exc).__name__}: {exc}")


def _saved(model: Any, folder: BlobFolder, limit: int, form: Format) -> Staged | TooLarge:
    with folder.scratch() as place:
        lost = resolve(form.save)(model, place)
        paths = [path for path in sorted(place.rglob("*")) if path.is_file()]
        if not paths:
            raise ModelError(f"{form.save} wrote no file")
        size = sum(path.stat().st_size for path in paths)
        if size > limit:
            return TooLarge(size)
        files = {path.relative_to(place).as_posix(): folder.adopt(path) for path in paths}
    return Staged(files, form, fallback=lost if isinstance(lost, str) else None)


def _pickled(model: Any, folder: BlobFolder, limit: int, fallback: str | None) -> Staged | TooLarge:
    with contextlib.ExitStack() as open_files:
        writing: list[tuple[Sink, BlobWriter]] = []

        def sink() -> Sink:
            """Make a sink, whose pieces go to a file from the moment that it spills."""

            def spill(piece: Any) -> None:
                if not writing or writing[-1][0] is not target:
                    writing.append((target, open_files.enter_context(folder.writing())))
                writing[-1][1].write(piece)

            target = Sink(limit, spill)
            return target

        try:
            target, by_value = walk(model, sink)
        except StoreError:
            raise
        except BaseException as exc:
            if comes_from_outside(exc):
                raise
            raise ModelError(
                f"{type(model).__name__} cannot be pickled ({type(exc).__name__}: {exc})."
                " Leave the part that is named out of the object's state (__getstate__),"
                ' or turn saving off with log_models="never".'
            ) from exc
        for owner, writer in writing:
            if owner is not target or target.too_large:
                writer.discard()
        if target.too_large:
            return TooLarge(target.size)
        whole = target.whole()
        if whole is not None:
            return Staged({_PICKLE_FILE: folder.put(whole)}, None, by_value, fallback)
        target.flush()
        writer = writing[-1][1]
    assert writer.blob is not None
    return Staged({_PICKLE_FILE: writer.blob}, None, by_value, fallback)
