"""Training health: a loss that is no number or runs away, a gradient that explodes.

The series of losses and gradient norms are looked at as they are written. What is found is an event
of the run and a tag by which runs are searched; the training is never touched. Each finding is
recorded once, when it begins; another one follows only after a stretch that was well.

Most values cost a comparison and an append. Every `_BLOCK` of them the median of the block is
taken, and what is typical is the median of the blocks so far (the last `_BLOCKS`):

* a loss *diverged* if the median of a block lies above the typical one by nine times its size (or
  its usual spread, for losses around zero), and more than half of what was gained is lost again;
* a gradient *exploded* if one norm is `_EXPLOSION` times the typical one.

Neither is said before `_WARM_UP` blocks; NaN and infinity are said from the first value on.
"""

from __future__ import annotations

import math
import re
import weakref
from bisect import bisect_left, insort
from collections import deque
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any, Final

from autolog.entities import HEALTH, HEALTH_TAG

if TYPE_CHECKING:
    from autolog.tracking.run import LiveRun

__all__ = ["Health", "observe", "of"]

_BLOCK: Final = 16
_BLOCKS: Final = 64
_WARM_UP: Final = 3
_DIVERGENCE: Final = 9.0
_EXPLOSION: Final = 100.0
_MOST: Final = 20
"""So many findings of one series are recorded at most."""

_LOSS: Final = re.compile(r"(^|[/_.\- ])loss($|[/_.\- ])")
_GRADIENT: Final = re.compile(r"(^|/)grad_norm($|/)")

_NAN, _INFINITE, _DIVERGED, _EXPLODED = "nan", "infinite", "diverged", "exploded"


class _Typical:
    """The median of the newest blocks."""

    __slots__ = ("_newest", "_sorted")

    def __init__(self) -> None:
        self._newest: deque[float] = deque()
        self._sorted: list[float] = []

    def __len__(self) -> int:
        return len(self._sorted)

    def add(self, value: float) -> None:
        self._newest.append(value)
        insort(self._sorted, value)
        if len(self._newest) > _BLOCKS:
            del self._sorted[bisect_left(self._sorted, self._newest.popleft())]

    @property
    def value(self) -> float:
        return self._sorted[len(self._sorted) // 2]


class _Watch:
    """One series. Values between `low` and `high`, both exclusive, are well."""

    __slots__ = (
        "first",
        "found",
        "high",
        "is_gradient",
        "key",
        "low",
        "medians",
        "recent",
        "spreads",
        "state",
        "unwell",
    )

    def __init__(self, key: str, *, is_gradient: bool) -> None:
        self.key = key
        self.is_gradient = is_gradient
        self.low, self.high = -math.inf, math.inf
        self.recent: list[float] = []
        self.medians, self.spreads = _Typical(), _Typical()
        self.first = 0.0
        self.state: str | None = None
        """What was found last and is not over."""
        self.unwell = False
        """Whether a value since the last block was not well."""
        self.found = 0

    def close_block(self) -> tuple[str, str] | None:
        """Take the values since the last block together; return a finding and its words."""
        recent, self.recent = sorted(self.recent), []
        median = recent[_BLOCK // 2]
        diverged = self._diverged(median)
        if diverged is None:
            if not len(self.medians):
                self.first = median
            self.medians.add(median)
            self.spreads.add(recent[3 * _BLOCK // 4] - recent[_BLOCK // 4])
            if self.is_gradient and len(self.medians) >= _WARM_UP and self.medians.value > 0:
                self.high = _EXPLOSION * self.medians.value
            if not self.unwell:
                self.state = None
        self.unwell = False
        return diverged

    def _diverged(self, median: float) -> tuple[str, str] | None:
        if self.is_gradient or len(self.medians) < _WARM_UP:
            return None
        typical = self.medians.value
        size = max(abs(typical), self.spreads.value)
        limit = typical + _DIVERGENCE * size
        if not size or median <= max(limit, (typical + self.first) / 2):
            return None
        return _DIVERGED, f"diverged: now about {median:.4g}, {typical:.4g} was usual"

    def judge(self, value: float) -> tuple[str, str]:
        """Say what is wrong with a value that is not well."""
        self.unwell = True
        if value != value:
            return _NAN, "became NaN"
        if math.isinf(value):
            return _INFINITE, "became infinite"
        return _EXPLODED, f"exploded: {value:.4g}, {self.medians.value:.4g} was usual"


class Health:
    """The series of one run that tell how it is."""

    __slots__ = ("_shapes", "_told", "_watches")

    def __init__(self) -> None:
        self._watches: dict[str, _Watch | None] = {}
        self._shapes: dict[tuple[str, ...], list[tuple[int, _Watch]]] = {}
        """Of the keys that are written together: which are watched, and where they stand."""
        self._told: list[str] = []

    def has_seen(self, key: str) -> bool:
        """Whether an integration has recorded this series."""
        return key in self._watches

    def observe(
        self, run: LiveRun, keys: tuple[str, ...], values: Sequence[float], step: int | None
    ) -> None:
        """Look at values that were recorded under these keys; they must be plain numbers."""
        watched = self._shapes.get(keys)
        if watched is None:
            watched = self._shapes[keys] = self._watched(keys)
        for at, watch in watched:
            value = values[at]
            if watch.low < value < watch.high:
                watch.recent.append(value)
                if len(watch.recent) < _BLOCK:
                    continue
                finding = watch.close_block()
                if finding is None:
                    continue
            else:
                finding = watch.judge(value)
            if watch.state != finding[0]:
                self._tell(run, watch, *finding, step)

    def _watched(self, keys: tuple[str, ...]) -> list[tuple[int, _Watch]]:
        found: list[tuple[int, _Watch]] = []
        for at, key in enumerate(keys):
            if key not in self._watches:
                self._watches[key] = _watch_for(key)
            watch = self._watches[key]
            if watch is not None:
                found.append((at, watch))
        return found

    def _tell(self, run: LiveRun, watch: _Watch, what: str, words: str, step: int | None) -> None:
        watch.state = what
        watch.found += 1
        if watch.found > _MOST:
            return
        at = f" at step {step}" if step is not None else ""
        text = f"{watch.key} {words}{at}" if ":" not in words else f"{watch.key}{at} {words}"
        run.log_event(HEALTH, {"what": what, "key": watch.key, "step": step, "text": text})
        if what not in self._told:
            self._told.append(what)
            run.set_tag(HEALTH_TAG, ", ".join(self._told))


_of_runs: weakref.WeakKeyDictionary[LiveRun, Health] = weakref.WeakKeyDictionary()


def of(run: LiveRun) -> Health:
    """Return the health of a run."""
    known = _of_runs.get(run)
    if known is None:
        known = _of_runs[run] = Health()
    return known


def observe(run: LiveRun, values: Mapping[str, Any], step: int | None) -> None:
    """Look at values that an integration has recorded, as far as they are plain numbers."""
    plain = {key: value for key, value in values.items() if isinstance(value, (int, float))}
    of(run).observe(run, tuple(plain), [*plain.values()], step)


def _watch_for(key: str) -> _Watch | None:
    if _GRADIENT.search(key):
        return _Watch(key, is_gradient=True)
    return _Watch(key, is_gradient=False) if _LOSS.search(key) else None
