"""What the hooks of one fit share: it is kept in the state of the fit's span.

`XGBClassifier.fit` calls `xgboost.train`. The fit marks its span, so that the hook of `train`
adds the rounds to it instead of opening a span of its own, whichever integration opened it.
"""

from __future__ import annotations

import weakref
from dataclasses import dataclass, field
from typing import Any, Final, cast

from autolog.integration import Span

__all__ = ["Data", "Fit", "fit_of"]

_KEY: Final = "xgboost.fit"


class Data:
    """The data of a training by name: weak references, since the user's data is not ours to keep.

    `train` is what the model was fitted on; eval sets go by the names that XGBoost gives them.
    """

    __slots__ = ("_references",)

    def __init__(self) -> None:
        self._references: list[tuple[str, weakref.ref[Any]]] = []

    def add(self, name: str, data: Any) -> None:
        """Remember an object; lists cannot be."""
        try:
            self._references.append((name, weakref.ref(data)))
        except TypeError:
            return

    def name_of(self, data: Any) -> str | None:
        """Return the name of an object that is still alive."""
        if data is None:
            return None
        return next((name for name, one in self._references if one() is data), None)


@dataclass
class Fit:
    """One training, from its beginning on.

    Args:
        params: the parameters of the estimator; empty for a booster.
        data: what it was given.
        own: this integration opened the span, and records all that there is.
        inside: `xgboost.train` is at work inside of it.
        trained: it has been: a second training inside a fit is somebody's callback.
    """

    params: dict[str, Any] = field(default_factory=dict[str, Any])
    data: Data = field(default_factory=Data)
    own: bool = False
    inside: bool = False
    trained: bool = False

    def keep_in(self, span: Span) -> None:
        """Let later calls inside the span, and evaluations of its model, find it."""
        span.state[_KEY] = self


def fit_of(span: Span | None) -> Fit | None:
    """Return the training that a span is of; None if it is not one of ours."""
    return cast("Fit | None", span.state.get(_KEY)) if span is not None else None
