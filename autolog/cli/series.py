"""The metrics of a run: each key's points that count, and what a page says of them."""

from __future__ import annotations

import dataclasses
from typing import TYPE_CHECKING, Final

import msgspec

from autolog.entities import Phase

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

    from autolog.entities import Run
    from autolog.store import History, Store

__all__ = ["Series", "is_evaluation", "read_series", "saw_no_evaluation"]

_CURVE: Final = 4096
"""How many values a curve is drawn from, at most twice as many."""


class Series(msgspec.Struct, frozen=True, kw_only=True):
    """One metric of a run.

    `last`, `mean`, `min` and `max` are of the points that count; all but `last` leave out NaN and
    are NaN if nothing else is there. `evaluation`: some point was measured on named data, or after
    the training. `system`: it was measured of the machine, from outside. `ranks`: how many ranks
    above 0 have logged it too, which is not counted here.
    """

    points: int
    last: float
    min: float
    max: float
    nan: int
    first_step: int
    last_step: int
    evaluation: bool
    mean: float
    system: bool
    ranks: int = 0


def read_series(store: Store, run: Run) -> dict[str, tuple[Series, NDArray[np.float64]]]:
    """Return every metric of a run by key: its summary, and its points' values in order.

    Evaluations (`<data>/<metric>`) come first. Of a long series the values are means of groups,
    so that a run of many long series fits into memory.
    """
    found: dict[str, tuple[Series, NDArray[np.float64]]] = {}
    for key, every in store.histories(run.run_id):
        history, ranks = _without_ranks(every)
        if len(history):
            found[key] = _summary(history, ranks), _shortened(history.value)
    return dict(sorted(found.items(), key=lambda item: ("/" not in item[0], item[0])))


def saw_no_evaluation(run: Run, series: dict[str, Series]) -> bool:
    """Whether a finished training has no evaluation: nothing on named data, nothing after it.

    Searches score their candidates themselves, a boosting its evaluation sets; a user's own run may
    hold evaluations under any name, so none of them is judged.
    """
    trained = run.kind in ("fit", "loop") and run.status == "FINISHED"
    watched = run.tags.get("eval_sets", "none") != "none"
    return (
        trained
        and not watched
        and not any(
            (one.evaluation or is_evaluation(key)) and not one.system for key, one in series.items()
        )
    )


def is_evaluation(key: str) -> bool:
    """Whether a metric's name says that it was measured on data: `test/accuracy`, `val_loss`."""
    return ("/" in key and not key.startswith("batch/")) or key.startswith("val_")


def _shortened(values: NDArray[np.float64]) -> NDArray[np.float64]:
    import numpy as np

    size = len(values) // _CURVE
    if size < 2:
        return values
    starts = np.arange(0, len(values), size)
    with np.errstate(invalid="ignore", over="ignore"):
        return np.add.reduceat(values, starts) / np.diff(starts, append=len(values))


def _without_ranks(history: History) -> tuple[History, int]:
    """Leave out the points of ranks above 0, unless there are no others; count these ranks."""
    import numpy as np

    ranks = np.array([one.get("rank") or 0 for one in history.contexts], np.int64)
    if not ranks.any():
        return history, 0
    mine = ranks[history.context_index] == 0
    others = len(set(ranks[history.context_index[~mine]].tolist()))
    if not mine.any():
        return history, 0
    columns = ("step", "value", "timestamp", "epoch", "attempt", "context_index")
    kept = {name: getattr(history, name)[mine] for name in columns}
    return dataclasses.replace(history, **kept), others


def _summary(history: History, ranks: int) -> Series:
    import numpy as np

    values = history.value
    real = values[~np.isnan(values)]
    with np.errstate(invalid="ignore", over="ignore"):  # infinities of both signs
        mean = float(real.mean()) if real.size else float("nan")
    used: list[int] = np.unique(history.context_index).tolist()
    contexts = [history.contexts[index] for index in used]
    return Series(
        points=len(values),
        last=float(values[-1]),
        min=float(real.min()) if real.size else float("nan"),
        max=float(real.max()) if real.size else float("nan"),
        nan=int(len(values) - real.size),
        first_step=int(history.step[0]),
        last_step=int(history.step[-1]),
        mean=mean,
        system=all(one.get("phase") == Phase.SYSTEM for one in contexts),
        evaluation=any("dataset" in one or one.get("phase") == "post" for one in contexts),
        ranks=ranks,
    )
