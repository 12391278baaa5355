"""What the data of an evaluation is called: `train`, or the variable's name without `X_`, `y_`.

`train` is the very object that was given to `fit`, recognised by a weak reference; for other data
the name in the caller's source stands (`X_test` gives `test`), and `eval` where there is none.
"""

from __future__ import annotations

import os
import sys
import weakref
from typing import Any, Final

from autolog.integration import Call, Span

__all__ = ["References", "data_name", "first_name", "written_in_sklearn"]

_NAMELESS: Final = frozenset(
    {
        *("", "X", "x", "y", "Y", "y_true", "y_pred", "y_hat", "true", "pred", "truth"),
        *("target", "targets", "labels", "actual", "expected"),
    }
)
"""Names that say nothing of which data it is: the prediction's then stands."""


class References:
    """Weak references to the data that a model was fitted on."""

    __slots__ = ("_references",)

    def __init__(self, references: tuple[weakref.ref[Any], ...]) -> None:
        self._references = references

    @classmethod
    def of(cls, *data: Any) -> References:
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


def data_name(span: Span, data: Any, source_name: str | None) -> str | None:
    """Return `train`, the cleaned name in the source, or None if neither is known."""
    fitted_on = span.state.get("fitted_on")
    if isinstance(fitted_on, References) and fitted_on.holds(data):
        return "train"
    if source_name is None or source_name.strip("_") in _NAMELESS:
        return None
    for prefix in ("X_", "x_", "y_", "Y_"):
        source_name = source_name.removeprefix(prefix) or source_name
    for suffix in ("_X", "_y"):
        source_name = source_name.removesuffix(suffix) or source_name
    return source_name


def written_in_sklearn(call: Call) -> bool:
    """Whether scikit-learn itself made the call, as a permutation importance scores many times."""
    package = sys.modules.get("sklearn")
    home = os.path.dirname(getattr(package, "__file__", None) or "?")  # noqa: PTH120
    return (call.caller_file or "").startswith(home + os.sep)


def first_name(*names: str | None) -> str:
    """Return `train` if any of the names is, else the first that is known, else `eval`."""
    if "train" in names:
        return "train"
    return next((name for name in names if name), "eval")
