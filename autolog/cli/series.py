"""The metrics of a run: each key's points that count, and what a page says of them."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import msgspec

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

    from autolog.entities import Run
    from autolog.store import History, Store

__all__ = ["Series", "read_series", "saw_no_evaluation"]


class Series(msgspec.Struct, frozen=True, kw_only=True):
    """One metric of a run.

    `last`, `min` and `max` are of the points that count; `min` and `max` leave out NaN and are
    NaN if nothing else is there. `evaluation`: some point was measured on named data, or after
    the training.
    """

    points: int
    last: float
    min: float
    max: float
    nan: int
    first_step: int
    last_step: int
    evaluation: bool


def read_series(store: Store, run: Run) -> dict[str, tuple[Series, NDArray[np.float64]]]:
    """Return every metric of a run by key: its summary, and its points' values in order.

    Evaluations (`<data>/<metric>`) come first.
    """
    found: dict[str, tuple[Series, NDArray[np.float64]]] = {}
    for key in sorted(store.metric_keys(run.run_id), key=lambda key: ("/" not in key, key)):
        history = store.history(run.run_id, key)
        keep = _counting(history)
        found[key] = (_summary(history, keep), history.value[keep])
    return found


def saw_no_evaluation(run: Run, series: dict[str, Series]) -> bool:
    """Whether a finished training has no evaluation: nothing on named data, nothing after it.

    Searches score their candidates themselves; a user's own run may hold evaluations under any
    name, so neither is judged.
    """
    trained = run.kind in ("fit", "loop") and run.status == "FINISHED"
    return trained and not any(one.evaluation or "/" in key for key, one in series.items())


def _counting(history: History) -> NDArray[np.bool_]:
    """Mark the points that no later attempt of the run has gone over again."""
    import numpy as np

    keep = np.ones(len(history), bool)
    for attempt in np.unique(history.attempt)[1:]:
        again = history.step[history.attempt == attempt].min()
        keep &= (history.attempt >= attempt) | (history.step < again)
    return keep


def _summary(history: History, keep: NDArray[np.bool_]) -> Series:
    import numpy as np

    values = history.value[keep]
    steps = history.step[keep]
    real = values[~np.isnan(values)]
    contexts: list[dict[str, Any]] = list({id(one): one for one in history.context}.values())
    return Series(
        points=len(values),
        last=float(values[-1]),
        min=float(real.min()) if real.size else float("nan"),
        max=float(real.max()) if real.size else float("nan"),
        nan=int(len(values) - real.size),
        first_step=int(steps[0]),
        last_step=int(steps[-1]),
        evaluation=any("dataset" in one or one.get("phase") == "post" for one in contexts),
    )
