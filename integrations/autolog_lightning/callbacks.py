"""What the user's own callbacks know at the end: early stopping and checkpoints.

Both namespaces have classes of their own, so the trainer is asked for its callbacks of a kind.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from pathlib import PurePath
from typing import Any

from autolog_lightning.recording import Recording

__all__ = ["best_epoch", "callback_params", "note_checked", "record_ending"]


def callback_params(trainer: Any) -> dict[str, Any]:
    """Describe the early stopping and the checkpoints that a trainer was asked for."""
    params: dict[str, Any] = {}
    stopping = trainer.early_stopping_callbacks
    for at, one in enumerate(stopping):
        prefix = "early_stopping" if len(stopping) == 1 else f"early_stopping.{at}"
        for name in ("monitor", "mode", "patience", "min_delta", "stopping_threshold"):
            value = getattr(one, name, None)
            if value is not None:
                params[f"{prefix}.{name}"] = abs(value) if name == "min_delta" else value
    saving = trainer.checkpoint_callbacks
    for at, one in enumerate(saving):
        prefix = "checkpoint" if len(saving) == 1 else f"checkpoint.{at}"
        for name in ("monitor", "mode", "save_top_k"):
            value = getattr(one, name, None)
            if value is not None and getattr(one, "monitor", None) is not None:
                params[f"{prefix}.{name}"] = value
    return params


def note_checked(recording: Recording, callback: Any) -> None:
    """Note the value that an early stopping has just looked at, and whether it stops the fit.

    The best epoch is that of the best value, also where an improvement was smaller than
    `min_delta` and so none to the callback.
    """
    trainer = recording.trainer
    value = trainer._logger_connector._callback_metrics.get(callback.monitor)  # noqa: SLF001
    if value is None or trainer.fast_dev_run:
        return
    current, epoch = float(value), trainer.current_epoch
    known = recording.best.get(id(callback))
    better = current > known[0] if known and callback.mode == "max" else None
    if known and better is None:
        better = current < known[0]
    if not math.isnan(current) and (known is None or better):
        recording.best[id(callback)] = (current, epoch)
    if trainer.should_stop and callback.stopped_epoch == epoch and _gave_up(callback, current):
        recording.stopped.append(callback)


def _gave_up(callback: Any, current: float) -> bool:
    """Whether it was this callback that asked for the end; 2.6 knows the reason."""
    reason = getattr(callback, "stopping_reason", None)
    if reason is not None:
        return getattr(reason, "name", "") != "NOT_STOPPED"
    return (
        callback.wait_count >= callback.patience or not math.isfinite(current) or _beyond(callback)
    )


def _beyond(callback: Any) -> bool:
    return callback.stopping_threshold is not None or callback.divergence_threshold is not None


def best_epoch(recording: Recording, callback: Any) -> tuple[float, int] | None:
    """Return the best value that an early stopping has seen, and its epoch."""
    return recording.best.get(id(callback))


def record_ending(recording: Recording, *, copies: bool, wrote: Callable[[str], None]) -> None:
    """Record how a fit ended by its callbacks: the best epoch, who stopped it, the best file."""
    _record_stopping(recording)
    _record_checkpoints(recording, copies, wrote)


def _record_stopping(recording: Recording) -> None:
    span, trainer = recording.span, recording.trainer
    stopping = trainer.early_stopping_callbacks
    for at, one in enumerate(stopping):
        suffix = "" if len(stopping) == 1 else f"/{at}"
        known = best_epoch(recording, one)
        metrics: dict[str, float] = {}
        if known is not None:
            metrics |= {f"best_score{suffix}": known[0], f"best_epoch{suffix}": known[1]}
        if one in recording.stopped:
            metrics[f"stopped_epoch{suffix}"] = one.stopped_epoch
            span.event(
                "early_stopping",
                {
                    "monitor": one.monitor,
                    "mode": one.mode,
                    "patience": one.patience,
                    "stopped_epoch": one.stopped_epoch,
                    "best_epoch": known[1] if known else None,
                    "best_score": known[0] if known else None,
                },
            )
        if metrics:
            span.metrics(metrics)


def _record_checkpoints(recording: Recording, copies: bool, wrote: Callable[[str], None]) -> None:
    span = recording.span
    for one in recording.trainer.checkpoint_callbacks:
        path = str(getattr(one, "best_model_path", "") or "")
        if not path:
            continue
        wrote(path)  # it may have been written in the background
        epoch, step = recording.saved.get(path, (None, None))
        score = getattr(one, "best_model_score", None)
        name = f"checkpoints/{PurePath(path).name}"
        span.tag("best_checkpoint", path)
        try:
            kept = copies and span.file(path, name)
        except OSError:  # on another machine's disk, or removed already
            kept = False
        span.event(
            "checkpoint",
            {
                "path": path,
                "monitor": getattr(one, "monitor", None),
                "score": float(score) if score is not None else None,
                "epoch": epoch,
                "step": step,
                "artifact": name if kept else None,
            },
        )
