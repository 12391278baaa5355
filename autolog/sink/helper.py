"""The helper process of one store: ships to its server, beats, and measures what programs use.

It survives the trainers. A server that cannot be reached is a normal state: the journals are the
queue, and it tries again for ever, more and more rarely. An embedded store is left to its readers.
The process ends when no writer lives and nothing is left.
"""

from __future__ import annotations

import os
import secrets
import signal
import sys
import time
import traceback
from collections.abc import Iterator
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

from autolog.errors import AutologError
from autolog.journal import beats
from autolog.journal.files import WriterFiles, list_writers
from autolog.journal.lease import Identity, lease_state, this_process
from autolog.journal.records import SAMPLER, Header
from autolog.sink.launch import unshipped
from autolog.sink.pace import interval
from autolog.sink.state import HelperState, hurry_path, lock_path, write_state
from autolog.store.location import Location

if TYPE_CHECKING:
    from autolog.sink.sampler import Sampler
    from autolog.store import Store

__all__ = ["BEAT_SECONDS", "Helper", "pauses", "serve"]

BEAT_SECONDS: Final = 15.0
"""How often a living writer is said to live."""

_LOOK_SECONDS: Final = 0.2
_GLANCE_SECONDS: Final = 1.0
"""Nobody waits for the helper of an embedded store."""
_LOOK_SHARE: Final = 20
"""Looking takes no more than this part of the time, however many journals wait."""
_SHIP_SECONDS: Final = 1.0
_LINGER_SECONDS: Final = 3.0
_LONGEST_PAUSE: Final = 60.0
_ASKED_SECONDS: Final = 1.0


def serve(location: Location) -> bool:
    """Serve the programs that write to `location` until none is left; False if another does."""
    from filelock import FileLock, Timeout

    while True:
        try:
            # Whoever asks whether a helper runs holds the lock for a moment, too.
            with FileLock(lock_path(location), timeout=_ASKED_SECONDS, poll_interval=0.02):
                Helper(location).run()
        except Timeout:
            return False
        # A trainer that saw the lock just before its release has started no helper.
        if not _look(location).alive:
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
    programs: list[tuple[WriterFiles, Header]] = field(default_factory=list[Any], compare=False)
    """Those of the living that this process can see with its own eyes."""


class Helper:
    """One helper at work; the caller holds the store's helper lock."""

    def __init__(self, location: Location) -> None:
        self.location = location
        self.state = HelperState(pid=os.getpid())
        self._store: Store | None = None
        self._shipped = _Seen([], {})
        self._pauses = pauses()
        self._sampler: Sampler | None = None
        self._beaten = float("-inf")

    def run(self) -> None:
        """Serve until no writer lives and nothing is left."""
        self._prepare_to_sample()
        idle_since: float | None = None
        last = 0.0
        while True:
            now = time.monotonic()
            seen = _look(self.location)
            least = _LOOK_SECONDS if self.location.remote else min(_GLANCE_SECONDS, interval(0))
            pause = max(least, _LOOK_SHARE * (time.monotonic() - now))
            self._sample(seen, now)
            news = self.location.remote and seen != self._shipped
            due = news and (self._hurried() or now - last >= _SHIP_SECONDS)
            beating = self.location.remote and seen.alive and now - last >= BEAT_SECONDS
            if due or beating:
                last = now
                if not self._try():
                    time.sleep(next(self._pauses))
                    continue
            if news or seen.alive:
                idle_since = None
            elif idle_since is None:
                idle_since = now
            elif now - idle_since >= _LINGER_SECONDS:
                self._end()
                return
            time.sleep(pause)

    def _prepare_to_sample(self) -> None:
        why = None
        try:
            from autolog.sink.sampler import Sampler

            self._sampler = Sampler(self.location)
        except ImportError as error:  # the installation is broken; shipping needs none of it
            why = str(error)
        self._say(replace(self.state, sampling=why), always=not self.location.remote)

    def _sample(self, seen: _Seen, now: float) -> None:
        """Measure and beat; whatever fails there, shipping goes on."""
        try:
            if not self.location.remote and now - self._beaten >= BEAT_SECONDS:
                self._beaten = now
                for files, _ in seen.programs:
                    beats.give(self.location.journal, files.uid, BEAT_SECONDS)
            sampled = self._sampler is not None and self._sampler.turn(seen.programs)
            if sampled and self.state.sampling is not None:
                self._say(replace(self.state, sampling=None))
        except Exception as error:
            why = str(error) or type(error).__name__
            if self.state.sampling != why:
                traceback.print_exc()
                self._say(replace(self.state, sampling=why))

    def _end(self) -> None:
        sampler = self._sampler
        if sampler is not None and sampler.path is not None:
            try:
                sampler.close()
                if self.location.remote and self._try():
                    self._remove_samples(sampler.uid)
            except Exception:
                traceback.print_exc()
        self._close()

    def _remove_samples(self, uid: str) -> None:
        """Remove the samples that are stored: a fold keeps a file whose writer still lives."""
        files = list(self.location.journal.glob(f"{uid}.*.alj"))
        if not unshipped(self.location, files):
            for path in files:
                path.unlink()

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
        self._say(
            HelperState(pid=os.getpid(), shipped=report.cursors, sampling=self.state.sampling)
        )

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
                sampling=self.state.sampling,
            )
        )

    def _say(self, state: HelperState, *, always: bool = False) -> None:
        if always or state != self.state:
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


def _look(location: Location) -> _Seen:
    me = this_process()
    sizes: dict[Path, int] = {}
    alive: list[str] = []
    programs: list[tuple[WriterFiles, Header]] = []
    for files in list_writers(location.journal):
        newest = files.segments[max(files.segments)]
        header = files.header()
        if header is None:
            if location.remote and files.state() == "alive":
                alive.append(files.uid)
        elif header.role != SAMPLER and lease_state(header, newest) == "alive":
            mine = _is_mine(header, newest, me, location)
            if mine:
                programs.append((files, header))
            if mine or location.remote:
                alive.append(files.uid)
        for path in files.segments.values():
            try:
                sizes[path] = path.stat().st_size
            except OSError:
                continue
    return _Seen(alive, sizes, programs)


def _is_mine(header: Header, newest: Path, me: Identity, location: Location) -> bool:
    """Whether a living writer is a process of this user that this one can see."""
    try:
        owner = newest.stat().st_uid
    except OSError:
        return False
    return (
        header.store == location.uri.encode(errors="backslashreplace").decode()
        and (header.host, header.boot, header.pid_namespace) == (me.host, me.boot, me.pid_namespace)
        and (not hasattr(os, "getuid") or owner == os.getuid())
    )
