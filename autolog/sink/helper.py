"""The helper process: takes the journals of one store to its server, for as long as it takes.

It survives the trainers. A server that cannot be reached is a normal state: the journals are the
queue, and it tries again for ever, more and more rarely. It ends when no writer lives and
nothing is left.
"""

from __future__ import annotations

import os
import secrets
import signal
import sys
import time
import traceback
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Final

from autolog.errors import AutologError
from autolog.journal.files import WriterFiles, list_writers
from autolog.sink.state import HelperState, hurry_path, lock_path, write_state
from autolog.store.location import Location

if TYPE_CHECKING:
    from autolog.store import Store

__all__ = ["BEAT_SECONDS", "Helper", "pauses", "serve"]

BEAT_SECONDS: Final = 15.0
"""How often a living writer is said to live."""

_LOOK_SECONDS: Final = 0.2
_LOOK_SHARE: Final = 20
"""Looking takes no more than this part of the time, however many journals wait."""
_SHIP_SECONDS: Final = 1.0
_LINGER_SECONDS: Final = 3.0
_LONGEST_PAUSE: Final = 60.0


def serve(location: Location) -> bool:
    """Ship the journals of `location` until nothing is left; False if another helper does."""
    from filelock import FileLock, Timeout

    while True:
        try:
            with FileLock(lock_path(location), blocking=False):
                Helper(location).run()
        except Timeout:
            return False
        # A trainer that saw the lock just before its release has started no helper.
        if not any(_alive(files) for files in list_writers(location.journal)):
            return True


def detach() -> None:
    """Leave the session of the program that started this process, and all that it had open."""
    if hasattr(os, "setsid"):
        os.setsid()
        signal.signal(signal.SIGHUP, signal.SIG_IGN)
        os.nice(10)
    os.closerange(3, os.sysconf("SC_OPEN_MAX") if hasattr(os, "sysconf") else 1024)


def pauses() -> Iterator[float]:
    """Yield seconds to wait after each failure in a row: growing, capped, with full jitter."""
    longest = 1.0
    while True:
        yield 0.1 + (longest - 0.1) * secrets.randbelow(1000) / 1000
        longest = min(2 * longest, _LONGEST_PAUSE)


@dataclass(frozen=True, slots=True)
class _Seen:
    """The journals at one moment: whose writers live, and how large each file is."""

    alive: list[str]
    sizes: dict[Path, int]


class Helper:
    """One helper at work; the caller holds the store's helper lock."""

    def __init__(self, location: Location) -> None:
        self.location = location
        self.state = HelperState(pid=os.getpid())
        self._store: Store | None = None
        self._shipped = _Seen([], {})
        self._pauses = pauses()

    def run(self) -> None:
        """Ship until no writer lives and nothing is left."""
        idle_since: float | None = None
        last = 0.0
        while True:
            now = time.monotonic()
            seen = _look(self.location)
            pause = max(_LOOK_SECONDS, _LOOK_SHARE * (time.monotonic() - now))
            news = seen != self._shipped
            due = news and (self._hurried() or now - last >= _SHIP_SECONDS)
            if due or (seen.alive and now - last >= BEAT_SECONDS):
                last = now
                if not self._try():
                    time.sleep(next(self._pauses))
                    continue
            if news or seen.alive:
                idle_since = None
            elif idle_since is None:
                idle_since = now
            elif now - idle_since >= _LINGER_SECONDS:
                self._close()
                return
            time.sleep(pause)

    def _try(self) -> bool:
        try:
            self._ship()
        except Exception as error:
            self._fail(error)
            return False
        self._pauses = pauses()
        return True

    def _ship(self) -> None:
        from autolog.store import open_store
        from autolog.store.fold import fold

        if self._store is None:
            self._store = open_store(self.location)
        # Looked at before: what is appended meanwhile is shipped by the next turn.
        seen = _look(self.location)
        report = fold(self._store)
        if not self._store.writable:
            raise AutologError(f"{self.location.uri} may not be written by this user")
        self._store.beat(seen.alive, BEAT_SECONDS)
        self._store.refresh(report.runs)
        sizes = {path: size for path, size in seen.sizes.items() if path.exists()}
        self._shipped = _Seen(seen.alive, sizes)
        self._say(HelperState(pid=os.getpid(), shipped=report.cursors))

    def _fail(self, error: Exception) -> None:
        self._close()
        if not isinstance(error, AutologError):
            traceback.print_exc()
        self._say(
            HelperState(
                pid=os.getpid(),
                shipped=self.state.shipped,
                error=str(error) or type(error).__name__,
                failing_since=self.state.failing_since or time.time(),
                tries=self.state.tries + 1,
            )
        )

    def _say(self, state: HelperState) -> None:
        if state != self.state:
            self.state = state
            try:
                write_state(self.location, state)
            except OSError as error:  # a full disk: shipping goes on
                print(error, file=sys.stderr)  # noqa: T201

    def _close(self) -> None:
        store, self._store = self._store, None
        if store is not None:
            store.close()

    def _hurried(self) -> bool:
        try:
            hurry_path(self.location).unlink()
        except OSError:
            return False
        return True


def _alive(files: WriterFiles) -> bool:
    return files.state() == "alive"


def _look(location: Location) -> _Seen:
    writers = list_writers(location.journal)
    sizes: dict[Path, int] = {}
    for files in writers:
        for path in files.segments.values():
            try:
                sizes[path] = path.stat().st_size
            except OSError:
                continue
    return _Seen([files.uid for files in writers if _alive(files)], sizes)
