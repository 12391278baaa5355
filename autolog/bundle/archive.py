"""Bundles in one file: `.zip` or `.tar`. Only what a bundle consists of is ever unpacked."""

from __future__ import annotations

import contextlib
import shutil
import stat
import tarfile
import zipfile
import zlib
from collections.abc import Iterator
from pathlib import Path
from typing import IO, Any, Final

from autolog.bundle.layout import is_member
from autolog.errors import StoreError

__all__ = ["is_archive", "pack", "unpack"]

_SUFFIXES: Final = (".zip", ".tar")
_PIECE: Final = 1 << 20
_BROKEN: Final = (zipfile.BadZipFile, tarfile.TarError, EOFError, zlib.error)


def is_archive(path: Path) -> bool:
    """Whether a bundle of this name is one file."""
    return path.suffix in _SUFFIXES


def pack(folder: Path, target: Path, suffix: str) -> None:
    """Put the files of a bundle into one; they are compressed already."""
    paths = sorted(path for path in folder.rglob("*") if path.is_file() and path != target)
    if suffix == ".zip":
        with zipfile.ZipFile(target, "w", zipfile.ZIP_STORED, strict_timestamps=False) as archive:
            for path in paths:
                archive.write(path, path.relative_to(folder).as_posix())
    else:
        with tarfile.open(target, "w") as archive:
            for path in paths:
                archive.add(path, path.relative_to(folder).as_posix(), recursive=False)


def unpack(path: Path, folder: Path) -> None:
    """Unpack a bundle into an empty folder.

    Raises:
        StoreError: the file is damaged, or holds anything but the files of a bundle.
    """
    try:
        members = _zip_members(path) if zipfile.is_zipfile(path) else _tar_members(path)
        for name, source in members:
            if source is None or not is_member(name):
                raise StoreError(f"{path} holds {name!r}, which is no file of a bundle")
            target = folder / name
            target.parent.mkdir(parents=True, exist_ok=True)
            with contextlib.closing(source), target.open("xb") as file:
                shutil.copyfileobj(source, file, _PIECE)
    except _BROKEN as exc:
        why = str(exc).partition("\n")[0].rstrip(":-")
        raise StoreError(f"{path} is damaged or no bundle: {why}") from exc
    except FileExistsError as exc:
        raise StoreError(f"{path} is damaged: it holds {exc.filename} twice") from exc


def _zip_members(path: Path) -> Iterator[tuple[str, IO[bytes] | None]]:
    """Yield each file with its content; without one if it is a link or the like."""
    with zipfile.ZipFile(path) as archive:
        for info in archive.infolist():
            if info.is_dir():
                continue
            kind = stat.S_IFMT(info.external_attr >> 16)
            yield info.filename, archive.open(info) if kind in (0, stat.S_IFREG) else None


def _tar_members(path: Path) -> Iterator[tuple[str, Any]]:
    with tarfile.open(path, "r:*") as archive:
        for info in archive:
            if not info.isdir():
                yield info.name, archive.extractfile(info) if info.isreg() else None
