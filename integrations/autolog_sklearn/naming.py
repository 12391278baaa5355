"""What the data of an evaluation is called: `train`, `Call.data_name`, or `eval`.

`train` is the very object that was given to `fit`, recognised by a weak reference; for other data
the name in the caller's source stands (`X_test` gives `test`), and `eval` where there is none.
"""

from __future__ import annotations

import weakref
from typing import Any, Final

from autolog.integration import Span

__all__ = ["data_name", "first_name", "remember_data"]

_FITTED_ON: Final = "sklearn.fitted_on"
"""In the state of a span: the data that its model was fitted on."""


class _References:
    """Weak references to the data that a model was fitted on."""

    __slots__ = ("_references",)

    def __init__(self, references: tuple[weakref.ref[Any], ...]) -> None:
        self._references = references

    @classmethod
    def of(cls, *data: Any) -> _References:
        """Refer to what can be referred to; lists cannot."""
        found: list[weakref.ref[Any]] = []
        for one in data:
            try:
                found.append(weakref.ref(one))
            except TypeError:
                continue
        return cls(tuple(found))

    def holds(self, data: Any) -> bool:
        """Whether `data` is one of the objects, which are still alive."""
        return data is not None and any(reference() is data for reference in self._references)


def remember_data(span: Span, *data: Any) -> None:
    """Let the data of a training be recognised, as long as it lives."""
    span.state[_FITTED_ON] = _References.of(*data)


def data_name(span: Span, data: Any, name: str | None) -> str | None:
    """Return `train` for the data that the span's model was fitted on, else `name`."""
    fitted_on = span.state.get(_FITTED_ON)
    return "train" if isinstance(fitted_on, _References) and fitted_on.holds(data) else name


def first_name(*names: str | None) -> str:
    """Return `train` if any of the names is, else the first that is known, else `eval`."""
    if "train" in names:
        return "train"
    return next((name for name in names if name), "eval")
