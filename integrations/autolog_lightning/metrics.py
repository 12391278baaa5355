"""Everything that `self.log` logs, read where Lightning hands it to its loggers.

A logger of ours among the trainer's could be seen: `trainer.logger` would not be None any more,
`LearningRateMonitor` would not refuse to work, and `ModelCheckpoint` would write elsewhere. So the
method that serves the loggers is watched, which is called whether or not there are any.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, cast

from autolog.integration import Call, Hook
from autolog_lightning.recording import Recording, Recordings

__all__ = ["logged", "stepped"]


def logged(recordings: Recordings) -> Hook:
    """Make the hook of the method that gives metrics to the loggers."""

    def enter(call: Call) -> None:
        recording = recordings.of(call.instance.trainer)
        if recording is None or not recording.listening:
            return
        metrics, step = _arguments(call)
        if recording.by_logger:
            recording.taken.update(metrics)
        elif metrics:
            _write(recording, metrics, step)

    return Hook(enter=enter)


def stepped(recordings: Recordings) -> Hook:
    """Make the hook of the method that is called after each batch, for the option `every_step`."""

    def enter(call: Call) -> None:
        """Record what the trainer would keep to itself until `log_every_n_steps`."""
        recording = recordings.of(call.instance.trainer)
        if recording is None or not recording.listening or recording.by_logger:
            return
        trainer = recording.trainer
        accumulates = trainer.fit_loop._should_accumulate()  # noqa: SLF001
        if accumulates and trainer.lightning_module.automatic_optimization:
            return
        if not (call.instance.should_update_logs or trainer.fast_dev_run):
            metrics = call.instance.metrics["log"]
            if metrics:
                _write(recording, metrics, None)

    return Hook(enter=enter)


def _arguments(call: Call) -> tuple[Mapping[str, Any], int | None]:
    args, kwargs = call.args, call.kwargs
    metrics = args[0] if args else kwargs.get("metrics")
    step = args[1] if len(args) > 1 else kwargs.get("step")
    return cast("Mapping[str, Any]", metrics or {}), step


def _write(recording: Recording, metrics: Mapping[str, Any], step: int | None) -> None:
    """Record metrics with the step that Lightning gives its loggers, and with the epoch."""
    taken = recording.taken
    if not taken.issuperset(metrics):
        taken.update(metrics)
        recording.pending = {
            key: value for key, value in recording.pending.items() if key not in taken
        }
    usual, epoch = recording.where()
    if step is None and "step" in metrics:  # the user says where the others belong
        values = dict(metrics)
        step = int(values.pop("step"))
        recording.scalars.write(values, step, epoch)
        return
    if step is None:
        step = usual
    pending = recording.take(step)
    recording.scalars.write({**pending, **metrics} if pending else metrics, step, epoch)
