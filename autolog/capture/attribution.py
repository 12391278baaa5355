"""Remembers which training made a model or an array, by weak reference.

An entry dies with its object, so a recycled `id()` is never taken for the old one, and nothing is
kept alive. Views are recognised by the array that they look into.
"""

from __future__ import annotations

import weakref
from typing import Any, Final

from autolog.integration import Produced

__all__ = ["Attribution"]

_DEPTH: Final = 8


class Attribution:
    """A table from objects to the spans that produced them."""

    def __init__(self) -> None:
        self._entries: dict[int, tuple[weakref.ref[Any], Produced, Any]] = {}

    def __len__(self) -> int:
        return len(self._entries)

    def remember(self, thing: Any, produced: Produced) -> None:
        """Note who produced `thing`; objects without weak references (lists) are passed over.

        An array that is itself a reshaped view stands for the whole array below, which is what
        NumPy gives as the `base` of its further views.
        """
        base = getattr(thing, "base", None) if _is_numpy(thing) else None
        if _is_numpy(base) and base is not None and base.size == thing.size:
            self._note(base, produced, thing)
        self._note(thing, produced, thing)

    def _note(self, thing: Any, produced: Produced, result: Any) -> None:
        key = id(thing)
        entries = self._entries

        def forget(reference: weakref.ref[Any]) -> None:
            entry = entries.get(key)
            if entry is not None and entry[0] is reference:
                del entries[key]

        try:
            reference = weakref.ref(thing, forget)
        except TypeError:
            return
        rows = result.shape[:1] if _is_numpy(result) and hasattr(result, "shape") else None
        entries[key] = (reference, produced, rows)

    def find(self, thing: Any) -> Produced | None:
        """Return who produced `thing`, or the array that it is a view of.

        A view of some rows is of no named data: `predicted[:100]` is not all of the test set.
        """
        asked = thing
        for _ in range(_DEPTH):
            if thing is None:
                return None
            entry = self._entries.get(id(thing))
            if entry is not None and entry[0]() is thing:
                _, produced, rows = entry
                if asked is thing or asked.size == thing.size or asked.shape[:1] == rows:
                    return produced
                return Produced(produced.span, None)
            if not _is_numpy(thing):
                return None
            thing = getattr(thing, "base", None)
        return None


def _is_numpy(thing: object) -> bool:
    return type(thing).__module__.partition(".")[0] == "numpy"
