"""One journal file as its writer holds it: appended to, never rewritten.

`end` and `seq` say what the file holds. Only `append` moves them, both at once, and after any
failure or interrupt the file's size decides what has happened.
"""

from __future__ import annotations

import contextlib
import errno
import os
import sys
from pathlib import Path
from typing import Any, Final
from zlib import crc32

from autolog.errors import JournalError
from autolog.journal.descriptor import above_streams
from autolog.journal.frame import PREFIX

if sys.platform == "win32":
    fcntl: Any = None
else:
    import fcntl

__all__ = ["JournalFile", "sync_folder"]

_FLAGS: Final = (
    os.O_CREAT
    | os.O_EXCL
    | os.O_APPEND
    | os.O_RDWR  # not O_WRONLY: NFS grants a shared lock only on what may be read
    | getattr(os, "O_CLOEXEC", 0)
    | getattr(os, "O_BINARY", 0)
)
_NO_SYNC: Final = {errno.EINVAL, errno.ENOSYS, errno.ENOTSUP}

_FULL: Final = sys.maxsize
"""Size of a file that has been left: whoever looks at `end` alone sees that it takes no more."""

_prefix = PREFIX.pack
_write = os.write
_sync_data = getattr(os, "fdatasync", os.fsync)


class JournalFile:
    """A file of this process's journal. `fd` is -1 while there is none."""

    __slots__ = ("_listed", "end", "fd", "path", "segment", "seq")

    def __init__(self) -> None:
        self.fd = -1
        self.path: Path | None = None
        self.end = 0
        self.seq = 0
        self.segment = 0
        self._listed = False

    def create(self, path: Path, segment: int, start: bytes, seq: int) -> None:
        """Create the file, lock it and write `start`, whose last record is number `seq`."""
        end = len(start)
        try:
            os.makedirs(path.parent, exist_ok=True)  # noqa: PTH103
            fd = above_streams(os.open(path, _FLAGS, 0o600))
        except OSError as error:
            raise JournalError(
                f"the journal {path} cannot be created: {_text(error)}. Make {path.parent} "
                "writable, or set AUTOLOG_JOURNAL_DIR or AUTOLOG_STORE to another place"
            ) from error
        try:
            # Before the header: who can read a header may ask for the lock. A file system
            # without locks leaves `lease_state` to the pid alone.
            if fcntl is not None:
                with contextlib.suppress(OSError):
                    fcntl.flock(fd, fcntl.LOCK_SH | fcntl.LOCK_NB)
            done = 0
            while done < end:
                done += _write(fd, start[done:])
            self._listed = False
            self.fd, self.path, self.segment, self.end, self.seq = fd, path, segment, end, seq
        except BaseException as error:
            with contextlib.suppress(OSError):
                os.close(fd)
            with contextlib.suppress(OSError):
                path.unlink()
            if isinstance(error, OSError):
                raise _unwritten(path, error) from error
            raise

    def append(self, body: bytes) -> None:
        """Append the record `seq + 1`, whole or not at all, with one write."""
        frame = _prefix(len(body), crc32(body)) + body
        size = len(frame)
        try:
            done = _write(self.fd, frame)
            if done != size:
                # Asking for the rest tells why it was refused, or completes the record.
                while done < size:
                    done += _write(self.fd, frame[done:])
            self.seq += 1
            self.end += size
        except OSError as error:
            self._take_back(0)
            raise _unwritten(self.path, error) from error
        except BaseException:
            self._take_back(size)
            raise

    def _take_back(self, whole: int) -> None:
        """Cut what a failed append left. One grown by exactly `whole` bytes had succeeded."""
        try:
            grown = os.fstat(self.fd).st_size - self.end
            if grown and grown == whole:
                self.seq += 1
                self.end += whole
            elif grown > 0:
                os.ftruncate(self.fd, self.end)
        except OSError:
            # A torn end that cannot be cut stays; what follows goes to the next file.
            self.leave()

    def sync(self) -> None:
        """Wait for the disk: for the file, and at first for the folder that lists it."""
        try:
            _sync_data(self.fd)
            if not self._listed and self.path is not None:
                self._listed = True
                sync_folder(self.path.parent)
        except OSError as error:
            if error.errno in _NO_SYNC:
                return
            raise JournalError(
                f"the journal {self.path} may not be on the disk: {_text(error)}. "
                "Check the disk, or set AUTOLOG_JOURNAL_DIR to another one"
            ) from error

    def deleted(self) -> bool:
        """Whether somebody has removed the file under us."""
        try:
            return os.fstat(self.fd).st_nlink == 0
        except OSError:
            return False

    def leave(self) -> None:
        """Close the descriptor without a word in the file (the lock goes with the last one)."""
        fd, self.fd, self.end = self.fd, -1, _FULL
        if fd >= 0:
            with contextlib.suppress(OSError):
                os.close(fd)


def sync_folder(folder: Path) -> None:
    """Wait until the disk lists what the folder does, where a folder can be waited for."""
    with contextlib.suppress(OSError):
        fd = os.open(folder, os.O_RDONLY)
        try:
            os.fsync(fd)
        finally:
            os.close(fd)


def _text(error: OSError) -> str:
    return error.strerror or type(error).__name__


def _unwritten(path: Path | None, error: OSError) -> JournalError:
    return JournalError(
        f"the journal {path} cannot be written: {_text(error)}. Nothing written before is lost. "
        "Free space there, or set AUTOLOG_JOURNAL_DIR to another place; the next call tries again"
    )
