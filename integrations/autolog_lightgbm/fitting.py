"""What the hooks of one wrapper's `fit` share: it is kept in the state of the fit's span.

`LGBMClassifier.fit` calls `lightgbm.train`. The fit marks its span, so that the hook of `train`
adds the iterations to it instead of opening a span of its own, whichever integration opened it.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, Final

from autolog.integration import Span

__all__ = ["FIT", "Fit"]

FIT: Final = "lightgbm.fit"
"""Key in the state of the span."""


@dataclass
class Fit:
    """One `fit` of the scikit-learn API.

    Args:
        span: where it is recorded.
        params: the parameters of the estimator.
        trained: its training has begun; a second one inside the fit is somebody's callback.
        text: what the training wrote of its booster, to store it without writing it again.
    """

    span: Span
    params: dict[str, Any]
    trained: bool = False
    text: str | None = None
