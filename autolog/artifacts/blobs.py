"""A folder of files named by their sha256: equal contents are stored once.

A blob is written to a temporary file first and renamed when it is whole, so a reader never sees
half of one and a killed writer leaves only a temporary file behind.
"""

from __future__ import annotations

import contextlib
import os
import secrets
from collections.abc import Generator
from pathlib import Path
from typing import Final

import msgspec

from autolog.errors import StoreError
from autolog.journal.descriptor import above_streams

__all__ = ["Blob", "BlobFolder", "BlobWriter"]

_PIECE: Final = 1 << 20
_SMALL: Final = 1 << 18
_NEW: Final = os.O_WRONLY | os.O_CREAT | os.O_EXCL | getattr(os, "O_CLOEXEC", 0)


class Blob(msgspec.Struct, frozen=True):
    """A stored file: its digest, its size in bytes and its place relative to the folder."""

    sha256: str
    size: int
    uri: str


class BlobWriter:
    """A file-like object that hashes what it writes; `blob` is set once it was kept."""

    def __init__(self, descriptor: int) -> None:
        import hashlib  # OpenSSL: a program that stores no file does not wait for it

        self._descriptor = descriptor
        self._digest = hashlib.sha256()
        self.size = 0
        self.unwanted = False
        self.blob: Blob | None = None

    def write(self, data: bytes | bytearray | memoryview) -> int:
        """Write all of `data`, in as many system calls as it takes."""
        view = memoryview(data)
        if view.ndim != 1 or view.format != "B":
            view = view.cast("B")
        self._digest.update(view)
        self.size += len(view)
        total = len(view)
        while view:
            view = view[os.write(self._descriptor, view) :]
        return total

    def discard(self) -> None:
        """Keep nothing of it."""
        self.unwanted = True

    def hexdigest(self) -> str:
        """Return the sha256 of everything written so far."""
        return self._digest.hexdigest()


class BlobFolder:
    """Stores and finds blobs below `root`; the folder is made with the first blob."""

    def __init__(self, root: Path) -> None:
        self.root = root

    @contextlib.contextmanager
    def writing(self) -> Generator[BlobWriter]:
        """Open a new blob for writing; it is kept only if the block ends without an exception.

        Raises:
            StoreError: the folder cannot be written.
        """
        temporary = self.root / "tmp" / secrets.token_hex(16)
        try:
            descriptor = self._create(temporary)
        except OSError as exc:
            raise self._unwritable(exc) from exc
        writer = BlobWriter(descriptor)
        try:
            yield writer
            if not writer.unwanted:
                writer.blob = self._named(temporary, writer.hexdigest(), writer.size)
        except OSError as exc:
            raise self._unwritable(exc) from exc
        finally:
            os.close(descriptor)
            if writer.blob is None:
                with contextlib.suppress(OSError):
                    temporary.unlink()

    @contextlib.contextmanager
    def scratch(self) -> Generator[Path]:
        """Lend a new folder on the same disk; what is left in it is removed at the end.

        Raises:
            StoreError: it cannot be made.
        """
        place = self.root / "tmp" / secrets.token_hex(16)
        try:
            place.mkdir(mode=0o700, parents=True)
        except OSError as exc:
            raise self._unwritable(exc) from exc
        try:
            yield place
        finally:
            for path in sorted(place.rglob("*"), reverse=True):
                with contextlib.suppress(OSError):
                    path.rmdir() if path.is_dir() else path.unlink()
            with contextlib.suppress(OSError):
                place.rmdir()

    def adopt(self, path: Path) -> Blob:
        """Store a file of a `scratch` folder by moving it; it is read once, to hash it.

        Raises:
            StoreError: it cannot be read or moved.
        """
        import hashlib

        digest, size = hashlib.sha256(), 0
        try:
            with open(path, "rb") as source:
                while piece := source.read(_PIECE):
                    digest.update(piece)
                    size += len(piece)
            path.chmod(0o600)
            return self._named(path, digest.hexdigest(), size)
        except OSError as exc:
            raise self._unwritable(exc) from exc

    def put(self, data: bytes) -> Blob:
        """Store bytes.

        Few bytes take one write under their own name, at a third of the cost of a file that is
        renamed: nothing speaks of the file before it is whole. What a killed process left of one
        differs in its size, and is replaced.
        """
        if len(data) <= _SMALL:
            import hashlib

            digest = hashlib.sha256(data).hexdigest()
            blob = Blob(digest, len(data), f"blobs/{digest[:2]}/{digest}")
            if self._written_at_once(f"{self.root}/{blob.uri}", data):
                return blob
        with self.writing() as writer:
            writer.write(data)
        assert writer.blob is not None
        return writer.blob

    def put_file(self, path: Path) -> Blob:
        """Store a copy of a file, a mebibyte at a time."""
        with open(path, "rb") as source, self.writing() as writer:
            while piece := source.read(_PIECE):
                writer.write(piece)
        assert writer.blob is not None
        return writer.blob

    def path(self, uri: str) -> Path:
        """Return where a blob lies.

        Raises:
            StoreError: the place would be outside of this folder.
        """
        path = self.root / uri
        if not path.resolve().is_relative_to(self.root.resolve()):
            raise StoreError(f"artifact {uri!r} lies outside of {self.root}")
        return path

    def _named(self, temporary: Path, digest: str, size: int) -> Blob:
        """Give a whole file its name in the folder."""
        uri = f"blobs/{digest[:2]}/{digest}"
        if not self._keep(temporary, self.root / uri, size):
            temporary.unlink()
        return Blob(digest, size, uri)

    def _keep(self, temporary: Path, target: Path, size: int) -> bool:
        """Move a whole file to its place; false if an equal one is there already.

        Renaming over a file would make ext4 write it to the disk at once (auto_da_alloc). The
        equal one is made as young as the new one: `autolog gc` removes old files that nothing
        names, and the record that names this one is yet to be written. Another user's file cannot
        be made young; it is replaced.
        """
        try:
            if target.stat().st_size == size:
                os.utime(target)
                return False
        except (FileNotFoundError, PermissionError):
            pass
        try:
            os.replace(temporary, target)  # noqa: PTH105
        except FileNotFoundError:
            target.parent.mkdir(parents=True, exist_ok=True)
            os.replace(temporary, target)  # noqa: PTH105
        return True

    def _written_at_once(self, path: str, data: bytes) -> bool:
        """Whether a file could be made that was not there, and took all of the bytes."""
        try:
            descriptor = above_streams(os.open(path, _NEW, 0o600))
        except OSError:  # it is there, or its folder is not: the long way finds out
            return False
        try:
            if os.write(descriptor, data) == len(data):
                return True
        except OSError:
            pass
        finally:
            os.close(descriptor)
        with contextlib.suppress(OSError):
            os.unlink(path)  # noqa: PTH108
        return False

    def _create(self, path: Path) -> int:
        try:
            return above_streams(os.open(path, _NEW, 0o600))
        except FileNotFoundError:
            path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
            return above_streams(os.open(path, _NEW, 0o600))

    def _unwritable(self, exc: OSError) -> StoreError:
        return StoreError(
            f"an artifact cannot be written to {self.root}: {exc.strerror or exc}."
            " Free some space there, or name another store with AUTOLOG_STORE."
        )
