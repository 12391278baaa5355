"""What the data of an evaluation is called: `train`, or what `Call.data_name` says."""

from __future__ import annotations

import weakref
from typing import Any, Final

from autolog.integration import Span

__all__ = ["data_name", "is_lightgbm", "remember_data"]

_KEY: Final = "lightgbm.fitted_on"
"""In the state of a span: the data that its model was trained on."""


def remember_data(span: Span, *data: Any) -> None:
    """Let the data of the training be recognised, as long as it lives."""
    references: list[weakref.ref[Any]] = []
    for one in data:
        try:
            references.append(weakref.ref(one))
        except TypeError:  # lists and None
            continue
    span.state[_KEY] = tuple(references)


def data_name(span: Span, data: Any, name: str | None) -> str | None:
    """Return `train` for the data that the span's model was trained on, else `name`."""
    if data is not None and any(reference() is data for reference in span.state.get(_KEY, ())):
        return "train"
    return name


def is_lightgbm(kind: type) -> bool:
    """Whether a class is LightGBM's own."""
    return kind.__module__.partition(".")[0] == "lightgbm"
