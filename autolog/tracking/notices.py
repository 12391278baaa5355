"""Things the user should know, said once: on the run, in `status()`, and counted at the end."""

from __future__ import annotations

import contextlib
import sys
import threading
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Final

from autolog.errors import AutologError

if TYPE_CHECKING:
    from autolog.tracking.run import LiveRun

__all__ = ["Notice", "count", "every", "fault", "keep_with", "tell"]


@dataclass(slots=True)
class Notice:
    """Something said once: `key` names the kind, `count` how often it came up."""

    key: str
    text: str
    count: int = 1


_MAX: Final = 1000
"""More different notices than this are counted under their keys alone."""

_notices: dict[str, Notice] = {}
_told: set[tuple[str, str]] = set()
_lock = threading.RLock()  # whatever a garbage collection ends may have something to tell


def tell(key: str, text: str, run: LiveRun | None = None, *, about: str | None = None) -> None:
    """Note something; it is written to the log once, and once to each run it concerns.

    Args:
        key: the kind of notice.
        text: what to say.
        run: the run it concerns.
        about: what makes two notices the same; by default their texts.
    """
    if run is not None and run.rank is not None:
        run = None  # a rank above 0 journals what the user logs, and nothing else
    same = f"{key}: {about or text}"
    with _lock:
        if len(_notices) >= _MAX and same not in _notices:
            same = key
        known = _notices.get(same)
        if known is not None:
            known.count += 1
        else:
            _notices[same] = Notice(key, text)
        new_to_run = run is not None and (same, run.run_id) not in _told
        if run is not None and len(_told) < 100 * _MAX:
            _told.add((same, run.run_id))
    if known is None:
        _log(text)
    if run is not None and new_to_run:
        run.log_event("notice", {"key": key, "text": text})


def _log(text: str) -> None:
    """Write to the logger `autolog`, if the program has made it and anything handles its records.

    A logger that we made ourselves would be seen: pytest attaches its handler to every logger
    that there is, and the program's tests would find a record that is not theirs.
    """
    logging = sys.modules.get("logging")
    if logging is None:
        return
    logger: Any = logging.root.manager.loggerDict.get("autolog")
    if isinstance(logger, logging.Logger) and logger.hasHandlers():
        logger.warning("%s", text)


def fault(where: str, exception: BaseException) -> None:
    """Note an error of our own; it changes nothing for the user."""
    tell(
        "logging_error",
        f"{where} failed ({type(exception).__name__}: {exception}{_place(exception)});"
        " the training is not affected."
        " Details: autolog.status(); to switch an integration off: autolog(exclude=(...))",
        about=f"{where} {type(exception).__name__}",
    )


def _place(exception: BaseException) -> str:
    """Where it was raised: what a report of the error needs."""
    trace = exception.__traceback__
    if trace is None:
        return ""
    while trace.tb_next is not None:
        trace = trace.tb_next
    return f", in {trace.tb_frame.f_code.co_filename}:{trace.tb_lineno}"


def keep_with(run: LiveRun | None, where: str, exception: BaseException) -> None:
    """Keep an error of our own with the run that it was met in."""
    if run is None or run.rank is not None:
        return
    with contextlib.suppress(AutologError):  # it may be the journal itself that fails
        message = f"{where}: {type(exception).__name__}: {exception}"
        run.log_event("logging_error", {"message": message})


def count() -> int:
    """Return how many different things there are to tell."""
    return len(_notices)


def every() -> tuple[Notice, ...]:
    """Return all notices of this process."""
    with _lock:
        return tuple(_notices.values())
