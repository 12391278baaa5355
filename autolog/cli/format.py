"""How times, numbers, sizes and foreign text are written for a human reader."""

from __future__ import annotations

import json
import math
import time
import unicodedata
from typing import Any, Final, cast

__all__ = ["age", "ago", "clock", "count", "duration", "number", "plain", "shape", "size", "value"]

_MINUTE: Final = 60
_HOUR: Final = 60 * _MINUTE
_DAY: Final = 24 * _HOUR
_WEEK: Final = 7 * _DAY
_EXACT: Final = 2**53
"""Above it a float no longer tells neighbouring integers apart."""


def duration(milliseconds: float) -> str:
    """Write a length of time with two units at most: `38 ms`, `1.4 s`, `2 min 3 s`."""
    seconds = max(milliseconds, 0) / 1000
    if seconds < 1:
        return f"{round(milliseconds) if milliseconds >= 1 else 0} ms"
    if seconds < _MINUTE:
        return f"{math.floor(seconds * 10) / 10:.1f} s"
    whole = int(seconds)
    for unit, name, smaller, smaller_name in (
        (_DAY, "d", _HOUR, "h"),
        (_HOUR, "h", _MINUTE, "min"),
        (_MINUTE, "min", 1, "s"),
    ):
        if whole >= unit:
            rest = whole % unit // smaller
            return f"{whole // unit} {name}" + (f" {rest} {smaller_name}" if rest else "")
    raise AssertionError("a minute or more has a unit")


def age(then: int, now: float | None = None) -> str:
    """Write how long ago a moment was, in one unit: `5 s`, `41 min`, `3 d`.

    Args:
        then: milliseconds since the epoch.
        now: seconds since the epoch; the clock's by default.
    """
    passed = (time.time() if now is None else now) - then / 1000
    for unit, name in ((_DAY, "d"), (_HOUR, "h"), (_MINUTE, "min"), (1, "s")):
        if passed >= unit:
            return f"{int(passed // unit)} {name}"
    return "now"


def ago(then: int, now: float | None = None) -> str:
    """Write a moment by its age, and by its date once that is a week; see `age`."""
    passed = (time.time() if now is None else now) - then / 1000
    if passed >= _WEEK or passed < -_MINUTE:  # a future time is another machine's clock
        return time.strftime("%Y-%m-%d", time.localtime(then / 1000))
    written = age(then, now)
    return written if written == "now" else f"{written} ago"


def clock(then: int) -> str:
    """Write a moment (ms since the epoch) as local date and time."""
    return time.strftime("%Y-%m-%d %H:%M:%S", time.localtime(then / 1000))


def number(given: float, digits: int = 6) -> str:
    """Write a metric's value; whole numbers without a fraction."""
    if math.isfinite(given) and given == int(given) and abs(given) < min(10**digits * 100, _EXACT):
        return str(int(given))
    return f"{given:.{digits}g}"


def size(octets: int) -> str:
    """Write a number of bytes in decimal units."""
    if octets < 1000:
        return f"{octets} B"
    units, scaled = ["kB", "MB", "GB", "TB"], octets / 1000
    while scaled >= 999.5 and len(units) > 1:  # it would read as 1e+03
        scaled /= 1000
        del units[0]
    return f"{scaled:.3g} {units[0]}"


def count(many: int, noun: str) -> str:
    """Write `1 run`, `2 runs`."""
    return f"{many} {noun}" + ("" if many == 1 else "s")


def shape(given: Any) -> str:
    """Write the shape of an array, `1347 x 64`; nothing if it is not known."""
    if not isinstance(given, list):
        return ""
    sizes = cast("list[Any]", given)
    return " x ".join("?" if one is None else str(one) for one in sizes)


def value(given: Any) -> str:
    """Write a parameter or an entry of an event: text as it is, everything else as JSON."""
    if isinstance(given, str):
        return plain(given)
    if isinstance(given, float):
        return repr(given)
    return plain(json.dumps(given, ensure_ascii=False, default=str))


def plain(text: str) -> str:
    """Make text of unknown origin harmless to a terminal: no escape, no line break survives."""
    if text.isprintable():
        return text
    return "".join(_visible(character) for character in text)


def _visible(character: str) -> str:
    if unicodedata.category(character) in ("Cc", "Cs", "Zl", "Zp") or character in _BIDI:
        return character.encode("unicode_escape").decode()
    return character


_BIDI: Final = "\u202a\u202b\u202c\u202d\u202e\u2066\u2067\u2068\u2069"
"""Controls that reorder a line, so that it reads as something else."""
