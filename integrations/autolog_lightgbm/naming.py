"""What the data of an evaluation is called: `train`, or the variable's name without `X_`, `y_`."""

from __future__ import annotations

import os
import sys
import weakref
from typing import Any, Final

from autolog.integration import Call, Span

__all__ = ["data_name", "is_lightgbm", "remember_data", "written_in_lightgbm"]

_KEY: Final = "lightgbm.fitted_on"
_NAMELESS: Final = frozenset({"", "X", "x", "y", "data"})


def remember_data(span: Span, *data: Any) -> None:
    """Let the data of the training be recognised, as long as it lives."""
    references: list[weakref.ref[Any]] = []
    for one in data:
        try:
            references.append(weakref.ref(one))
        except TypeError:  # lists and None
            continue
    span.state[_KEY] = tuple(references)


def data_name(span: Span, data: Any, source_name: str | None) -> str | None:
    """Return `train`, the cleaned name in the source, or None if neither is known."""
    if data is not None and any(reference() is data for reference in span.state.get(_KEY, ())):
        return "train"
    if source_name is None or source_name.strip("_") in _NAMELESS:
        return None
    for prefix in ("X_", "x_", "y_"):
        source_name = source_name.removeprefix(prefix) or source_name
    return source_name.removesuffix("_X").removesuffix("_y")


def is_lightgbm(kind: type) -> bool:
    """Whether a class is LightGBM's own."""
    return kind.__module__.partition(".")[0] == "lightgbm"


def written_in_lightgbm(call: Call) -> bool:
    """Whether LightGBM made the call, as a wrapper asks its booster."""
    package = sys.modules.get("lightgbm")
    home = os.path.dirname(getattr(package, "__file__", None) or "?")  # noqa: PTH120
    return (call.caller_file or "").startswith(home + os.sep)
