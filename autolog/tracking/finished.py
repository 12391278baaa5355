"""Records runs that are over already: the candidates of a search, of which there may be many.

They are known when all of them are done, so each is written in one go, without being opened,
made active and ended one by one.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Final

from autolog import settings
from autolog.ids import new_id, speaking_name
from autolog.journal.records import RunEnd, RunOpen
from autolog.tracking import lifecycle
from autolog.tracking.run import LiveRun
from autolog.tracking.values import well_formed

if TYPE_CHECKING:
    from autolog.integration import Finished
    from autolog.journal.writer import Writer

__all__ = ["record_children"]

_US: Final = 1_000_000


def record_children(parent: LiveRun, kind: str, trainings: Sequence[Finished]) -> list[str]:
    """Write runs below `parent`, from their first record to their last; return their ids."""
    recorder = parent.recorder
    common = settings.value("tags")
    ids: list[str] = []
    for training in trainings:
        run = LiveRun(
            recorder,
            run_id=new_id(),
            name=well_formed(speaking_name(training.name)),
            kind=kind,
            experiment=parent.experiment,
            parent_id=parent.run_id,
        )
        writer = recorder.writer
        number = writer.run(run.run_id)
        writer.append(
            RunOpen(
                run=number,
                name=run.name,
                kind=kind,
                experiment=run.experiment,
                parent=run.parent_id,
                start_us=int(training.start * _US),
            )
        )
        if common or training.tags:
            run.set_tags({**common, **training.tags})
        if training.params:
            run.log_params(training.params)
        _write_series(writer, number, training)
        if training.metrics:
            run.log_metrics(training.metrics, 0)
        error = training.error
        writer.append(
            RunEnd(
                run=number,
                status=training.status,
                end_us=int(training.end * _US),
                error=well_formed(error) if error is not None else None,
            )
        )
        run.status = training.status
        lifecycle.run_counted(run)
        ids.append(run.run_id)
    return ids


def _write_series(writer: Writer, number: int, training: Finished) -> None:
    """Write one record for each step, with the keys of all series of the same length."""
    by_length: dict[int, list[str]] = {}
    for key, values in training.series.items():
        by_length.setdefault(len(values), []).append(key)
    for keys in by_length.values():
        names = tuple(keys)
        rows = zip(*(training.series[key] for key in keys), strict=True)
        for step, row in enumerate(rows):
            writer.points(number, names, [*map(float, row)], step)
