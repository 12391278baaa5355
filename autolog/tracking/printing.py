"""The two lines on stderr: one when the first run opens, one at the end.

Only on a terminal or in a notebook (setting `print`), never in a worker process, and never on
stdout.
"""

from __future__ import annotations

import os
import re
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Final

from autolog import settings
from autolog.tracking import notices, ranks

if TYPE_CHECKING:
    from autolog.store.location import Location
    from autolog.tracking.run import LiveRun

__all__ = [
    "closing",
    "ended",
    "evaluated",
    "left_behind",
    "lower_is_better",
    "opened",
    "reopened",
    "waiting",
]

_LOWER_IS_BETTER: Final = ("loss", "error", "mse", "rmse", "mae", "mape", "deviance", "inertia")
_ALSO_AS_WORDS: Final = frozenset(
    {"err", "nll", "bce", "ce", "ppl", "perplexity", "wer", "cer", "fid"}
)


class _Tally:
    """What this process has to say at its end."""

    def __init__(self) -> None:
        self.pid = os.getpid()
        self.runs = 0
        self.by_status: dict[str, int] = {}
        self.best: dict[str, tuple[float, str]] = {}
        self.place = ""
        self.last_name = ""


_tally = _Tally()


def opened(run: LiveRun) -> None:
    """Say once where the runs of this process go."""
    _tally.runs += 1
    _tally.last_name = run.name
    if _tally.runs > 1:
        return
    location = run.recorder.location
    _tally.place = location.uri if location.remote else _short(location.root)
    text = f"recording run {run.name} of experiment {run.experiment} in {_tally.place}"
    if location.notice:
        run.log_event("notice", {"key": "store", "text": location.notice})
        text = f"{text} ({location.notice})"
    _say(text)


def ended(run: LiveRun) -> None:
    """Count an ended run."""
    _tally.by_status[run.status] = _tally.by_status.get(run.status, 0) + 1


def reopened(before: str) -> None:
    """Take back that a run has ended with this status: it goes on."""
    _tally.by_status[before] = max(_tally.by_status.get(before, 0) - 1, 0)


def evaluated(run: LiveRun, key: str, value: float) -> None:
    """Keep the best value of an evaluation for the closing line."""
    if value != value:  # NaN is never the best
        return
    lower = lower_is_better(key)
    known = _tally.best.get(key)
    if known is None or (value < known[0] if lower else value > known[0]):
        _tally.best[key] = (value, run.name)


def lower_is_better(key: str) -> bool:
    """Whether low values of a metric are the good ones, by its name: of losses and errors."""
    name = key.lower()
    words = re.split(r"[^a-z0-9]+", name)
    return any(word in name for word in _LOWER_IS_BETTER) or not _ALSO_AS_WORDS.isdisjoint(words)


def closing() -> None:
    """Say at the end what was recorded, and what to type to see it."""
    if not _tally.runs:
        return
    counts = sorted(_tally.by_status.items())
    states = ", ".join(f"{count} {state}" for state, count in counts if count)
    parts = [f"{_tally.runs} run{'s' if _tally.runs > 1 else ''} ({states})"]
    parts += [
        f"best {key} {value:.4g}" + (f" ({name})" if _tally.runs > 1 else "")
        for key, (value, name) in list(_tally.best.items())[:2]
    ]
    told = notices.count()
    if told:
        parts.append(f"{told} notice{'s' if told > 1 else ''} (see show)")
    look = f"autolog show {_tally.last_name}" if _tally.runs == 1 else "autolog ls"
    _say(f"{', '.join(parts)} in {_tally.place}: {look}")


def waiting(location: Location, size: int, timeout: float) -> None:
    """Say what the end of the program waits for."""
    _say(f"waiting up to {timeout:.0f} s for {location.uri} to take {_bytes(size)}")


def left_behind(location: Location, size: int) -> None:
    """Say what a server has not taken, and that it is not lost."""
    _say(
        f"{_bytes(size)} for {location.uri} wait in {location.journal}; they are sent in the"
        " background once it takes them, or by `autolog sync`"
    )


def _bytes(size: int) -> str:
    return f"{size / 1e6:.1f} MB" if size >= 100_000 else f"{size} bytes"


def _say(line: str) -> None:
    if not (_wanted() and _leads()):
        return
    try:
        sys.stderr.write(f"autolog: {line}\n")
    except (OSError, ValueError, AttributeError):  # a closed or missing stderr is the user's affair
        return


def _leads() -> bool:
    """Whether this process speaks for its group: no child of multiprocessing, no rank above 0."""
    processes = sys.modules.get("multiprocessing.process")
    if _tally.pid != os.getpid() or (processes and processes.parent_process() is not None):
        return False
    return ranks.follower() is None


def _wanted() -> bool:
    wish = settings.value("print")
    if wish in {"never", "0"}:
        return False
    if wish in {"always", "1"}:
        return True
    try:
        if sys.stderr.isatty():
            return True
    except (ValueError, AttributeError):
        return False
    shell = getattr(sys.modules.get("IPython"), "get_ipython", None)
    session = shell() if shell else None
    return getattr(session, "kernel", None) is not None


def _short(path: Path) -> str:
    try:
        return str(path.relative_to(Path.cwd()))
    except (ValueError, OSError):
        return str(path)
