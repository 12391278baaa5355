"""Knows the files that runs wrote their models to, so that whoever loads one is linked to the run.

Each such file leaves a mark beside the journals: a symbolic link, named by a fingerprint of the
file, that points nowhere and says which run wrote it and after which step. It comes into being with
one system call, is found with one, and needs no database in the program that trains. The
fingerprint goes by content, so a file is known after it was moved or copied, to another machine
too if that sees the same journals.
"""

from __future__ import annotations

import contextlib
import os
import secrets
from pathlib import Path
from typing import TYPE_CHECKING, Final

from autolog.artifacts.copying import fingerprint
from autolog.integration import Origin

if TYPE_CHECKING:
    from autolog.store.location import Location

__all__ = ["find", "forget", "mark"]

_NAME: Final = 32
"""So many digits of a fingerprint name a mark."""


def mark(location: Location, path: str | Path, origin: Origin) -> str | None:
    """Say which run wrote a file; return the name of the mark, None if it could not be left."""
    folder = _folder(location)
    step = "" if origin.step is None else origin.step
    epoch = "" if origin.epoch is None else origin.epoch
    text = f"{origin.run_id},{step},{epoch},{origin.writer}"
    with contextlib.suppress(OSError):  # without it the run is recorded, and not found again
        name = fingerprint(path)[:_NAME]
        try:
            _link(folder, name, text)
        except FileNotFoundError:
            folder.mkdir(parents=True, exist_ok=True)
            _link(folder, name, text)
        return name
    return None


def find(location: Location, path: str | Path) -> Origin | None:
    """Return which run wrote a file, if that is known here."""
    folder = _folder(location)
    if not folder.is_dir():
        return None
    try:
        text = os.readlink(folder / fingerprint(path)[:_NAME])  # noqa: PTH115
        run_id, step, epoch, writer = text.split(",")
        return Origin(
            run_id=run_id,
            step=int(step) if step else None,
            epoch=int(epoch) if epoch else None,
            writer=writer,
        )
    except (OSError, ValueError):
        return None


def forget(location: Location, name: str) -> None:
    """Remove the mark of a file that was overwritten."""
    with contextlib.suppress(OSError):
        (_folder(location) / name).unlink()


def _folder(location: Location) -> Path:
    return location.journal / "checkpoints"


def _link(folder: Path, name: str, text: str) -> None:
    try:
        os.symlink(text, folder / name)  # noqa: PTH211
    except FileExistsError:  # another run has come to the same bytes: the last one counts
        if os.readlink(folder / name) == text:  # noqa: PTH115
            return
        temporary = folder / f".{secrets.token_hex(8)}"
        os.symlink(text, temporary)  # noqa: PTH211
        os.replace(temporary, folder / name)  # noqa: PTH105
