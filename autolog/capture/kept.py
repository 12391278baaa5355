"""Trainings that are made of calls: their spans stay open between the calls.

`partial_fit` and the steps of a raw loop have no call that begins and ends the training. The first
step opens a span, the later ones go on in it, and between them it stands on no stack, so that
nothing else is taken for a part of it. The training ends when its object is collected, at
`end_run()`, at the end of the process, when a step raises, or when the thread begins another
training; its run then ended with its last step. A step that comes after that reopens the run, and
from then on other trainings of the thread do not end it any more: they alternate.
"""

from __future__ import annotations

import threading
import weakref
from collections.abc import Callable, Mapping
from typing import TYPE_CHECKING, Any, Final

from autolog.capture import suspension
from autolog.tracking import context, notices

if TYPE_CHECKING:
    from autolog.capture.spans import CaptureSpan
    from autolog.tracking.run import LiveRun

__all__ = ["Kept", "after_fork", "drop", "end_all", "find", "keep", "settle"]

_VARIES: Final = frozenset({"calls", "linked", "seconds", "shape"})
"""What differs between the reports of one preparation that is repeated for each step."""

_entries: dict[int, Kept] = {}
_lock = threading.RLock()


class Kept:
    """One training that is kept open, as long as its object lives.

    Args:
        span: what its calls write to.
        owner: the object that is trained, referred to weakly.
        around: the span that it was opened in, which must be there when it goes on.
        user_run: the run of the user that it was opened in, likewise.
    """

    def __init__(
        self,
        span: CaptureSpan,
        owner: object,
        around: CaptureSpan | None,
        user_run: LiveRun | None,
    ) -> None:
        self.span = span
        self.around = around
        self.user_run = user_run
        self.thread = threading.get_ident()
        self.callbacks: list[Callable[[], None]] = []
        self._calls = 0
        self._reported: set[str] = set()
        self._unconcluded = False
        self._settled = False
        self._alternates = False
        key = id(owner)

        def collected(reference: weakref.ref[Any]) -> None:
            entry = _entries.get(key)
            if entry is None or entry.reference is not reference:
                return
            del _entries[key]
            try:
                self.end()
            except Exception as exc:
                notices.fault("autolog's end of a training", exc)
            self.callbacks.clear()  # they may hold what the object was made of

        self.reference = weakref.ref(owner, collected)

    @property
    def in_call(self) -> bool:
        """Whether a step is in progress, in any thread."""
        return self._calls > 0

    def enter(self) -> None:
        """A step begins; a run that has ended goes on."""
        with _lock:
            self._calls += 1
        self.thread = threading.get_ident()
        run = self.span.run
        if run is None:
            return
        if self._settled:
            self._settled, self._alternates = False, True
        if self.span.opened_run and not run.active:
            run.reopen()
        if not self._unconcluded:
            self._unconcluded = True
            run.before_end(self._conclude)

    def leave(self, exception: BaseException | None = None) -> None:
        """A step has ended; what raises ends the training for now."""
        with _lock:
            self._calls -= 1
        run = self.span.run
        if run is None:
            return
        context.remember_trained(run)
        if self.span.opened_run:
            if self.span.role == "step":
                run.note_step()
            context.remember_loop(run)
            if exception is not None:
                run.end_by(exception)

    def is_news(self, report: Mapping[str, Any]) -> bool:
        """Whether a preparation step is not what an earlier step of this training had before it."""
        key = repr([item for item in report.items() if item[0] not in _VARIES])
        if key in self._reported:
            return False
        self._reported.add(key)
        return True

    def end(self) -> None:
        """End the training: a run that was opened for it ends with its last step."""
        run = self.span.run
        if run is not None and self.span.opened_run:
            run.end()
        self._conclude()

    def settle(self) -> None:
        """End a training that another one follows, unless the two alternate.

        One that goes on outside of any call (a coroutine) may be what trains now.
        """
        if self.span.role != "step":
            return
        if not self.in_call and not self._alternates and self._unconcluded:
            self._settled = True
            self.end()

    def _conclude(self) -> None:
        """Let the integration record what only the end knows, once after the last step."""
        if not self._unconcluded:
            return
        self._unconcluded = False
        with suspension.suspend():
            for callback in self.callbacks:
                try:
                    callback()
                except Exception as exc:  # as in any hook: the run's end is worth it without
                    where = f"{self.span.integration}, end of {self.span.name}"
                    notices.keep_with(self.span.run, where, exc)
                    notices.fault(f"autolog's {where}", exc)


def keep(
    span: CaptureSpan,
    owner: object,
    around: CaptureSpan | None = None,
    user_run: LiveRun | None = None,
) -> None:
    """Keep a span open for as long as `owner` lives; one without weak references ends as usual."""
    try:
        entry = Kept(span, owner, around, user_run)
    except TypeError:
        return
    span.kept = entry
    above = around.run if around is not None else user_run
    if above is not None and span.opened_run:
        above.before_end(entry.end)
    entry.enter()
    with _lock:
        _entries[id(owner)] = entry


def find(owner: object, around: CaptureSpan | None, user_run: LiveRun | None) -> CaptureSpan | None:
    """Return the span that a step of `owner` goes on in; one of another place has ended."""
    with _lock:
        entry = _entries.get(id(owner))
        if entry is None or entry.reference() is not owner:
            return None
        if entry.around is around and entry.user_run is user_run:
            return entry.span
    drop(owner)
    return None


def drop(owner: object) -> None:
    """End the training that is kept for `owner`: it is trained in another way from here on."""
    with _lock:
        entry = _entries.get(id(owner))
        if entry is None or entry.reference() is not owner or entry.in_call:
            return
        del _entries[id(owner)]
    entry.end()
    entry.callbacks.clear()


def settle(besides: CaptureSpan) -> None:
    """A training begins in this thread: the ones that were going on in it have ended."""
    if not _entries:
        return
    thread = threading.get_ident()
    for entry in list(_entries.values()):
        if entry.span is not besides and entry.thread == thread:
            entry.settle()


def end_all(integration: str) -> None:
    """End what an integration has kept open: it sees no further step."""
    for key, entry in list(_entries.items()):
        if entry.span.integration == integration:
            _entries.pop(key, None)
            entry.end()
            entry.callbacks.clear()


def after_fork() -> None:
    """In a forked child: the trainings of the parent are not ours to end."""
    global _lock
    _lock = threading.RLock()
    for entry in _entries.values():
        entry.callbacks.clear()
    _entries.clear()
