"""How a run comes to be: its name, its experiment, its parent, and its first record."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from autolog import settings
from autolog.errors import UsageError
from autolog.ids import is_run_id, new_id, speaking_name
from autolog.journal.records import RunOpen
from autolog.tracking import context, jobs, lifecycle, rankrun, ranks
from autolog.tracking.recorder import Recorder, current_recorder
from autolog.tracking.run import Fits, LiveRun
from autolog.tracking.values import as_texts, well_formed

__all__ = ["experiment_name", "open_run"]

_process_run_taken = False
_process_name_taken = False


def experiment_name(recorder: Recorder) -> str:
    """Return the experiment: the setting, else the name of the script or notebook."""
    given = settings.value("experiment")
    return str(given) if given else recorder.source.stem


def open_run(
    *,
    name: str | None = None,
    base: str | None = None,
    kind: str = "run",
    experiment: str | None = None,
    parent: LiveRun | str | None = None,
    tags: Mapping[str, Any] | None = None,
    description: str | None = None,
    run_id: str | None = None,
    resume: str = "never",
    user_opened: bool = False,
    fits: Fits = "join",
    start_us: int | None = None,
) -> LiveRun:
    """Open a run and write its first records; it is not made the active one.

    Args:
        name: its whole name; else it is called `<base>-<4 letters>`.
        base: what it is called after, an estimator's class; else the script's name.
        parent: the run above it; else `AUTOLOG_PARENT_RUN_ID`, if the run is a root.
        run_id: a full id to write under; `AUTOLOG_RUN_ID` names it for the first root run.
        resume: whether that run may (`allow`) or must (`must`) exist; the fold judges it.
        kind: what the run is, see `autolog.entities.Kind`.
        experiment: its experiment; else the process's.
        tags: set at once, besides those of the settings.
        description: a longer text.
        user_opened: the user ends it, and other processes may adopt it as a parent.
        fits: what becomes of trainings inside it.
        start_us: when it began, in microseconds since the epoch, if not now.
    """
    rank = ranks.follower()
    if rank is not None:
        above = parent if isinstance(parent, rankrun.RankRun) else None
        return _open_on_rank(rank.rank, name, experiment, run_id, above, fits)
    every_tag = as_texts({**settings.value("tags"), **as_texts(tags or {})})
    recorder = current_recorder()
    recorder.note_group()
    parent_id = parent.run_id if isinstance(parent, LiveRun) else parent
    turn = None
    if parent_id is None:
        given = None if run_id is not None else _process_run_id()
        if given is not None:  # the fold decides who owns it: only the owner's end counts
            run_id, resume = given, "allow"
        elif run_id is None:
            turn = jobs.next_turn(recorder.location, recorder.source)
        parent_id = settings.value("parent_run_id")
    if turn is not None:
        run_id = turn.run_id
        if turn.continued is not None:
            resume, name, experiment = "allow", turn.continued.name, turn.continued.experiment
    if run_id is not None and not is_run_id(run_id):
        raise UsageError(f"run_id {run_id!r} is not a run id: 32 hex digits are expected")
    run = LiveRun(
        recorder,
        run_id=run_id or new_id(),
        name=well_formed(name or _process_run_name() or _speaking_name(base, recorder)),
        kind=kind,
        experiment=well_formed(experiment or experiment_name(recorder)),
        parent_id=parent_id,
        user_opened=user_opened,
        fits=fits,
    )
    writer = recorder.writer
    writer.append(
        RunOpen(
            run=writer.run(run.run_id),
            name=run.name,
            kind=kind,
            experiment=run.experiment,
            parent=parent_id,
            start_us=start_us or writer.now_us(),
            user_opened=user_opened,
            resume=resume,
            description=well_formed(description) if description else None,
            job=turn and turn.key,
        )
    )
    if every_tag:
        run.set_tags(every_tag)
    if turn is not None and turn.notice is not None:
        run.log_event("notice", {"text": turn.notice})
    recorder.open_runs[run.run_id] = run
    context.remember_last(run)
    lifecycle.run_opened(run)
    return run


def _open_on_rank(
    rank: int,
    name: str | None,
    experiment: str | None,
    run_id: str | None,
    above: rankrun.RankRun | None,
    fits: Fits,
) -> LiveRun:
    """Return a handle to the run of the group; it opens a journal if something is logged to it."""
    recorder = current_recorder()
    if above is None and run_id is None:
        run_id = _process_run_id()
    if run_id is not None and not is_run_id(run_id):
        raise UsageError(f"run_id {run_id!r} is not a run id: 32 hex digits are expected")
    run = rankrun.RankRun(
        recorder,
        rank=rank,
        run_id=run_id,
        above=above,
        name=well_formed(name or _speaking_name(None, recorder)),
        experiment=well_formed(experiment or experiment_name(recorder)),
        fits=fits,
    )
    recorder.open_runs.setdefault(run.run_id, run)
    context.remember_last(run)
    return run


def _speaking_name(base: str | None, recorder: Recorder) -> str:
    return speaking_name(base or recorder.source.stem)


def _process_run_id() -> str | None:
    """AUTOLOG_RUN_ID names the first root run of the process; later ones are runs of their own."""
    global _process_run_taken
    if _process_run_taken:
        return None
    _process_run_taken = True
    given = settings.value("run_id")
    return str(given) if given else None


def _process_run_name() -> str | None:
    """AUTOLOG_RUN_NAME names the first run of the process that has no name of its own."""
    global _process_name_taken
    if _process_name_taken:
        return None
    _process_name_taken = True
    given = settings.value("run_name")
    return str(given) if given else None
