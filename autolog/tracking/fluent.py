"""The functions that a script calls: open a run, log to it, end it.

A `log_*` call goes to the innermost open run of its context, else to the user's open run, else
to the run of the last fit, else to one implicit run that ends with the process.
"""

from __future__ import annotations

import sys
from collections.abc import Mapping
from pathlib import Path
from typing import Any, Literal

from autolog import settings
from autolog.errors import UsageError
from autolog.ids import is_run_id
from autolog.tracking import context, lifecycle, opening, ranks
from autolog.tracking.run import CallSite, Fits, LiveRun

__all__ = [
    "active_run",
    "end_run",
    "last_run",
    "log",
    "log_artifact",
    "log_artifacts",
    "log_dict",
    "log_figure",
    "log_input",
    "log_metric",
    "log_metrics",
    "log_model",
    "log_param",
    "log_params",
    "log_table",
    "log_text",
    "set_experiment",
    "set_tag",
    "set_tags",
    "start_run",
]

Resume = Literal["never", "allow", "must"]

_get_frame = sys._getframe  # noqa: SLF001  # pyright: ignore[reportPrivateUsage]


def start_run(
    name: str | None = None,
    *,
    run_id: str | None = None,
    experiment: str | None = None,
    parent: LiveRun | str | None = None,
    tags: Mapping[str, Any] | None = None,
    description: str | None = None,
    fits: Fits = "join",
    resume: Resume = "never",
    run_name: str | None = None,
    nested: bool = False,
) -> LiveRun:
    """Open a run and make it the active one; end it with `end_run` or as a context manager.

    Inside an open run it is a child, unless that one was left open by this very line (a notebook
    cell that is run again): then that one ends and this one is a root.

    Args:
        name: what it is called; else `<script>-<4 letters>`.
        run_name: accepted for `name`.
        run_id: a full id to record under, or with `resume="must"` also a name or a prefix.
        experiment: its experiment, for this run alone.
        parent: the run above it, a `LiveRun` or an id; by default the active run.
        tags: tags to set at once.
        description: a longer text.
        fits: `"join"` records the first training in this run and makes others its children;
            `"children"` makes a child of every training.
        resume: whether the run of `run_id` may (`allow`) or must (`must`) exist already.
        nested: accepted for MLflow's sake; a run inside a run is always a child.

    Raises:
        UsageError: arguments contradict each other.
        NotFoundError: `resume="must"` or `parent` names no run.
        JournalError: the journal cannot be written.
    """
    del nested
    if name is not None and run_name is not None and name != run_name:
        raise UsageError(f"start_run got two names, {name!r} and {run_name!r}")
    if fits not in ("join", "children"):
        raise UsageError(f'fits={fits!r}: expected "join" or "children"')
    if resume not in ("never", "allow", "must"):
        raise UsageError(f'resume={resume!r}: expected "never", "allow" or "must"')
    if resume != "never" and run_id is None:
        raise UsageError(f'resume="{resume}" needs run_id=, the run to resume')
    if run_id is not None and resume == "must":
        run_id, name = _existing(run_id, name or run_name)
    elif run_id is not None and not is_run_id(run_id):
        raise UsageError(
            f"run_id={run_id!r} is no whole run id: a run that exists is resumed by its name or the"
            ' beginning of its id with resume="must"'
        )
    if isinstance(parent, str) and ranks.follower() is not None:
        parent = None  # the tree is rank 0's
    elif isinstance(parent, str) and not is_run_id(parent):
        parent = _existing(parent, None)[0]
    frame = _get_frame(1)
    site = (frame.f_code.co_filename, frame.f_lineno, frame.f_lasti)
    del frame
    if parent is None:
        _end_run_left_open_by(site)
    above = parent if parent is not None else context.above_new_run()
    if experiment is None and isinstance(above, LiveRun):
        experiment = above.experiment
    run = opening.open_run(
        name=name or run_name,
        experiment=experiment,
        parent=above,
        tags=tags,
        description=description,
        run_id=run_id,
        resume=resume,
        user_opened=True,
        fits=fits,
    )
    run.opened_at = site
    context.push(run)
    return run


def active_run() -> LiveRun | None:
    """Return the run that `log_*` calls of this context go to now, if one is open."""
    return context.current()


def last_run() -> LiveRun | None:
    """Return the newest run of this process, open or ended; None before the first."""
    return context.last()


def end_run(status: str = "FINISHED") -> None:
    """End the active run, else those of trainings that only their last step would end."""
    lifecycle.settle()
    run = context.current()
    for one in (run,) if run is not None else context.open_loops():
        one.end(status)


def set_experiment(name: str) -> None:
    """Name the experiment of the runs that this process opens from now on; `/` makes folders."""
    if not name or not isinstance(name, str):  # type: ignore[reportUnnecessaryIsInstance]
        raise UsageError(f"experiment name {name!r}: expected text that is not empty")
    settings.assign("experiment", name, lasting=True)


def log_param(key: str, value: Any) -> None:
    """Record one parameter of the active run."""
    _target().log_params({key: value})


def log_params(params: Mapping[str, Any]) -> None:
    """Record parameters of the active run; the first value of a key stands."""
    _target().log_params(params)


def log_metric(key: str, value: Any, step: int | None = None, *, epoch: int | None = None) -> None:
    """Record one point of a metric; without `step` they are numbered from 0."""
    _target().log_metrics({key: value}, step, epoch=epoch)


def log_metrics(
    metrics: Mapping[str, Any], step: int | None = None, *, epoch: int | None = None
) -> None:
    """Record one point of each metric at the same step and time."""
    _target().log_metrics(metrics, step, epoch=epoch)


def log(values: Mapping[str, Any], step: int | None = None) -> None:
    """Record a dictionary of numbers; nested dictionaries become `outer/inner`."""
    _target().log(values, step)


def log_artifact(path: str | Path, artifact_path: str | None = None) -> None:
    """Store a copy of a file below `artifact_path` of the active run."""
    _target().log_artifact(path, artifact_path)


def log_artifacts(folder: str | Path, artifact_path: str | None = None) -> None:
    """Store copies of all files of a folder."""
    _target().log_artifacts(folder, artifact_path)


def log_text(text: str, artifact_file: str) -> None:
    """Store text as a file of the active run."""
    _target().log_text(text, artifact_file)


def log_dict(dictionary: Mapping[str, Any] | list[Any], artifact_file: str) -> None:
    """Store a dictionary or a list as a JSON file of the active run."""
    _target().log_dict(dictionary, artifact_file)


def log_table(data: Any, name: str) -> None:
    """Record a table (a dictionary of columns, or a DataFrame) with the active run."""
    _target().log_table(data, name)


def log_figure(figure: Any, artifact_file: str) -> None:
    """Store a figure of matplotlib or plotly, or a picture."""
    _target().log_figure(figure, artifact_file)


def log_model(model: Any, name: str = "model") -> None:
    """Store a model so that `load_model` can give it back."""
    _target().log_model(model, name)


def log_input(data: Any, name: str | None = None, *, role: str = "train") -> None:
    """Record which data the run used: shape, dtypes and columns, not the data."""
    _target().log_input(data, name, role=role)


def set_tag(key: str, value: Any) -> None:
    """Set one tag of the active run."""
    _target().set_tags({key: value})


def set_tags(tags: Mapping[str, Any]) -> None:
    """Set tags of the active run; the last value of a key stands."""
    _target().set_tags(tags)


def _target() -> LiveRun:
    run = context.current() or context.last_trained()
    if run is None:
        run = opening.open_run(user_opened=True)
        context.push(run)
    return run


def _end_run_left_open_by(site: CallSite) -> None:
    """End the run that this very call left open, with what its cell came to."""
    left = context.above_new_run()
    if left is not None and left.opened_at == site and not (left.attached or left.in_block):
        left.end_by(left.failed_since_start())


def _existing(reference: str, name: str | None) -> tuple[str, str | None]:
    from autolog.tracking.reading import get_run

    found = get_run(reference)
    return found.run_id, name or found.name
