"""Where the files of a store lie: named by their sha256, in a folder or an object store.

The trainer writes through `BlobFolder`, which needs the standard library alone; everybody else
through this class, over fsspec. Both keep one layout: `blobs/ab/<sha256>` below the root, and
`tmp/` where files are written before they are whole. What an object store lacks is not asked of
it: nothing is appended or renamed there, and nothing is listed but by `iterate` and `sizes`.

Whatever is read is compared with the digest in its name.
"""

from __future__ import annotations

import contextlib
import hashlib
import io
import os
import re
import stat
import tempfile
import time
from collections.abc import Generator, Iterator
from datetime import datetime
from pathlib import Path
from typing import IO, Any, Final, cast

import msgspec

from autolog.artifacts.blobs import Blob, BlobFolder
from autolog.errors import NotFoundError, StoreError

__all__ = ["Repository", "Sizes", "Stored", "is_blob_uri"]

_PIECE: Final = 1 << 20
_URI: Final = re.compile(r"blobs/([0-9a-f]{2})/(\1[0-9a-f]{62})")
_FRESH: Final = 3600.0
"""Seconds for which an object counts as just written; far less than `autolog gc` waits."""
_GOING: Final = ".going"


class Stored(msgspec.Struct, frozen=True):
    """A blob as a listing shows it; `modified` is seconds since the epoch."""

    blob: Blob
    modified: float


class Sizes(msgspec.Struct, frozen=True):
    """How many blobs there are, and how many bytes they take together."""

    blobs: int
    bytes: int


def is_blob_uri(uri: str) -> bool:
    """Whether `uri` names a blob of the layout, and so nothing outside of it."""
    return _URI.fullmatch(uri) is not None


class Repository:
    """Stores, finds and removes blobs below a root.

    Args:
        root: a folder, or a URL that fsspec knows, such as `memory://name`.
        **options: what fsspec's file system of that URL takes.
    """

    def __init__(self, root: str | os.PathLike[str], **options: Any) -> None:
        place = os.fspath(root)
        self._fs, path = _file_system(place, options)
        self._local = _is_local(self._fs)
        self._root = os.path.abspath(path) if self._local else path.rstrip("/")  # noqa: PTH100
        self._folder = BlobFolder(Path(self._root))
        self.root = place

    def put(self, source: bytes | Path | IO[bytes], *, expect: str | None = None) -> Blob:
        """Store bytes, a file or a stream, a mebibyte at a time; equal contents are stored once.

        Args:
            source: what to store; a stream is read to its end.
            expect: the sha256 that it must have.

        Raises:
            StoreError: the repository cannot be written, or the digest is not `expect`; nothing
                is kept then.
        """
        with _opened(source) as stream:
            return self._put_local(stream, expect) if self._local else self._put(stream, expect)

    def renew(self, sha256: str, size: int) -> bool:
        """Whether a blob is there whole, and counts as just stored, so that nobody collects it.

        An object store cannot make an object young: one that was not stored within the hour is to
        be written again, and the answer is no.
        """
        uri = _uri(sha256)
        try:
            if self._local:
                path = self._folder.path(uri)
                if path.stat().st_size != size:
                    return False
                os.utime(path)
                return True
            info = self._fs.info(self._name(uri))
        except OSError:
            return False
        fresh = self._modified(info) > time.time() - _FRESH
        return fresh and int(info["size"]) == size

    def open(self, uri: str) -> IO[bytes]:
        """Open a blob to be read from its start to its end.

        Raises:
            NotFoundError: it is not there.
            StoreError: it is not what was stored; this comes from the read that reaches its end.
        """
        return io.BufferedReader(_Verified(self._open(uri), self._name(uri), _digest(uri)), _PIECE)

    def read(self, uri: str) -> bytes:
        """Return a whole blob; see `open`."""
        with self.open(uri) as stream:
            return b"".join(iter(lambda: stream.read(_PIECE), b""))

    def get(self, uri: str, path: Path) -> None:
        """Copy a blob to a file, which appears there only once it is whole and verified.

        Raises:
            StoreError: the blob is not there or not what was stored.
        """
        path.parent.mkdir(parents=True, exist_ok=True)
        descriptor, temporary = tempfile.mkstemp(dir=path.parent, prefix=".autolog-")
        try:
            with os.fdopen(descriptor, "wb") as target, self.open(uri) as source:
                while piece := source.read(_PIECE):
                    target.write(piece)
            os.replace(temporary, path)  # noqa: PTH105
        except BaseException:
            Path(temporary).unlink(missing_ok=True)
            raise

    def path(self, uri: str) -> Path | None:
        """Return the file of a blob; None if blobs are no files here."""
        return self._folder.path(uri) if self._local else None

    def delete(self, uri: str) -> None:
        """Remove a blob that is there."""
        with self._explained(uri):
            self._fs.rm_file(self._name(uri))

    def discard(self, uri: str, *, before: float) -> bool:
        """Remove a blob unless somebody has stored the same again since `before`.

        In a folder it is moved away first and looked at then: who stores it at the same time
        has either made it fresh before it was moved, and it is put back, or finds it missing and
        writes it anew.
        """
        if not self._local:
            if self._modified(self._fs.info(self._name(uri))) >= before:
                return False
            self.delete(uri)
            return True
        path = self._folder.path(uri)
        going = self._folder.root / "tmp" / f"{path.name}{_GOING}"
        going.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
        os.replace(path, going)  # noqa: PTH105
        if going.stat().st_mtime >= before:
            _put_back(going, path)
            return False
        going.unlink()
        return True

    def put_back(self) -> None:
        """Undo what a `discard` that was killed has left half done."""
        for going in self._folder.root.glob(f"tmp/*{_GOING}") if self._local else ():
            digest = going.name.removesuffix(_GOING)
            _put_back(going, self._folder.root / _uri(digest))

    def iterate(self) -> Iterator[list[Stored]]:
        """List every blob, those with the same first two digits at a time, in their order."""
        for prefix in self._list("blobs", "directory"):
            name = str(prefix["name"]).rstrip("/").rpartition("/")[2]
            found: list[Stored] = []
            for entry in self._list(f"blobs/{name}", "file"):
                uri = f"blobs/{name}/{str(entry['name']).rpartition('/')[2]}"
                if is_blob_uri(uri):
                    blob = Blob(_digest(uri), int(entry["size"]), uri)
                    found.append(Stored(blob, self._modified(entry)))
            yield found

    def temporary(self) -> Iterator[tuple[Path, int, float]]:
        """List files that were not finished: path, bytes, time of the last write."""
        for path in sorted(self._folder.root.glob("tmp/**/*")) if self._local else ():
            with contextlib.suppress(FileNotFoundError):
                found = path.stat()
                if path.suffix != _GOING and stat.S_ISREG(found.st_mode):
                    yield path, found.st_size, found.st_mtime

    def drop(self, temporary: Path) -> None:
        """Remove a file that was not finished, and the folders that it leaves empty."""
        temporary.unlink()
        for folder in temporary.parents:
            if folder.parent == self._folder.root:  # tmp itself stays
                return
            with contextlib.suppress(OSError):
                folder.rmdir()

    def sizes(self) -> Sizes:
        """Count the blobs and their bytes, by listing all of them."""
        blobs = size = 0
        for group in self.iterate():
            blobs += len(group)
            size += sum(stored.blob.size for stored in group)
        return Sizes(blobs, size)

    def _put_local(self, stream: IO[bytes], expect: str | None) -> Blob:
        with self._folder.writing() as writer:
            while piece := stream.read(_PIECE):
                writer.write(piece)
            _check(writer.hexdigest(), expect, stream)
        assert writer.blob is not None
        return writer.blob

    def _put(self, stream: IO[bytes], expect: str | None) -> Blob:
        """Write an object whole; its name is known when all of it was read, so that waits on disk.

        No object store keeps two writers of one name apart, and here they write the same.
        """
        digest, size = hashlib.sha256(), 0
        with tempfile.TemporaryDirectory(prefix="autolog-") as place:
            spool = Path(place, "blob")
            with spool.open("wb") as file:
                while piece := stream.read(_PIECE):
                    digest.update(piece)
                    size += file.write(piece)
            name = digest.hexdigest()
            _check(name, expect, stream)
            blob = Blob(name, size, _uri(name))
            if not self.renew(name, size):
                with self._explained(blob.uri):
                    self._fs.put_file(str(spool), self._name(blob.uri))
        return blob

    def _open(self, uri: str) -> Any:
        with self._explained(uri):
            return self._fs.open(self._name(uri), "rb")

    def _list(self, uri: str, kind: str) -> list[dict[str, Any]]:
        try:
            entries = self._fs.ls(f"{self._root}/{uri}", detail=True)
        except FileNotFoundError:
            return []
        return sorted((e for e in entries if e["type"] == kind), key=lambda e: str(e["name"]))

    def _name(self, uri: str) -> str:
        """Return where an object is.

        Raises:
            StoreError: the place would be outside of the root.
        """
        if not is_blob_uri(uri):
            raise StoreError(f"{uri!r} is no file of this store: blobs/ab/<sha256> is expected")
        if self._local:  # a link in the folder may still lead out of it
            return str(self._folder.path(uri))
        return f"{self._root}/{uri}"

    @staticmethod
    def _modified(entry: dict[str, Any]) -> float:
        for name in ("mtime", "LastModified", "last_modified", "created", "updated"):
            moment = entry.get(name)
            if isinstance(moment, datetime):
                return moment.timestamp()
            if isinstance(moment, (int, float)):
                return float(moment)
        return time.time()  # unknown: never old enough to be collected

    @contextlib.contextmanager
    def _explained(self, uri: str) -> Generator[None]:
        try:
            yield
        except FileNotFoundError as exc:
            raise NotFoundError(f"the file {uri} is gone from {self.root}") from exc
        except OSError as exc:
            why = exc.strerror or exc
            raise StoreError(f"{uri} of {self.root} cannot be read or written: {why}") from exc


class _Verified(io.RawIOBase):
    """Reads a file once through, and refuses to end it if its digest is another."""

    def __init__(self, file: Any, name: str, expected: str) -> None:
        self._file = file
        self._name = name
        self._expected = expected
        self._digest = hashlib.sha256()

    def readable(self) -> bool:
        return True

    def readinto(self, buffer: Any) -> int:
        piece: bytes = self._file.read(len(buffer))
        if not piece and len(buffer) and self._digest.hexdigest() != self._expected:
            raise StoreError(f"{self._name} is not what was stored: its sha256 differs")
        self._digest.update(piece)
        buffer[: len(piece)] = piece
        return len(piece)

    def close(self) -> None:
        self._file.close()
        super().close()


def _file_system(place: str, options: dict[str, Any]) -> tuple[Any, str]:
    from fsspec.core import url_to_fs  # type: ignore[reportMissingTypeStubs]
    from fsspec.implementations.local import (  # type: ignore[reportMissingTypeStubs]
        LocalFileSystem,
    )

    if "://" not in place:  # a folder may be called `a::b`, which fsspec would take for a chain
        return LocalFileSystem(), place
    try:
        return cast("Any", url_to_fs)(place, **options)
    except (ImportError, ValueError) as exc:
        raise StoreError(f"artifacts cannot be kept in {place}: {exc}") from exc


def _is_local(fs: Any) -> bool:
    protocols = (fs.protocol,) if isinstance(fs.protocol, str) else fs.protocol
    return "file" in protocols


@contextlib.contextmanager
def _opened(source: bytes | Path | IO[bytes]) -> Generator[IO[bytes]]:
    if isinstance(source, bytes):
        yield io.BytesIO(source)
    elif isinstance(source, Path):
        with source.open("rb") as stream:
            yield stream
    else:
        yield source


def _check(digest: str, expect: str | None, stream: IO[bytes]) -> None:
    if expect not in (None, digest):
        name = getattr(stream, "name", "a file")
        raise StoreError(f"{name} is damaged: its sha256 is {digest}, {expect} was expected")


def _put_back(going: Path, path: Path) -> None:
    """Give a blob its place again, unless somebody has written it anew."""
    if path.exists():
        going.unlink()
    else:
        path.parent.mkdir(parents=True, exist_ok=True)
        os.replace(going, path)  # noqa: PTH105


def _uri(digest: str) -> str:
    return f"blobs/{digest[:2]}/{digest}"


def _digest(uri: str) -> str:
    return uri.rpartition("/")[2]
