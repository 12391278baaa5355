"""What the callbacks of a fit are set up to do, and what they did: early stopping, best epochs.

A callback is known by the names of its class and of those above it: `keras` and `tf_keras` have
classes of their own, and users derive from both. Only attributes are read.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable
from typing import Any, Final

from autolog.integration import Capture
from autolog_keras import checkpoints
from autolog_keras.kinds import history, is_own, kind_of, mode_of
from autolog_keras.recording import Recording

__all__ = ["class_names", "params", "record_ending", "tags"]

_EARLY_STOPPING: Final = "EarlyStopping"

_DESCRIBED: Final[dict[str, tuple[str, tuple[str, ...]]]] = {
    _EARLY_STOPPING: (
        "early_stopping",
        (
            "monitor",
            "patience",
            "mode",
            "min_delta",
            "baseline",
            "restore_best_weights",
            "start_from_epoch",
        ),
    ),
    "ModelCheckpoint": (
        "checkpoint",
        ("monitor", "mode", "save_best_only", "save_weights_only", "save_freq", "filepath"),
    ),
    "ReduceLROnPlateau": (
        "reduce_lr",
        ("monitor", "factor", "patience", "mode", "min_delta", "cooldown", "min_lr"),
    ),
    "LearningRateScheduler": ("lr_schedule", ("schedule",)),
    "BackupAndRestore": ("backup", ("save_freq", "backup_dir")),
}
"""By class: what its parameters begin with, and which attributes they are."""

_FOLDERS: Final = {"TensorBoard": ("tensorboard", "log_dir"), "CSVLogger": ("csv_log", "filename")}
"""By class: the tag that says where it writes to, and the attribute that has the path."""


def class_names(callbacks: Iterable[Any]) -> list[str]:
    """Return the names of the classes of the callbacks that the user gave."""
    return [type(one).__name__ for one in callbacks if not is_own(one)]


def params(callbacks: Iterable[Any]) -> dict[str, Any]:
    """Return what the known callbacks are set up to do: `early_stopping.patience`.

    Several of a kind are numbered, `early_stopping.0.patience`.
    """
    by_kind: dict[str, list[Any]] = {}
    for one in callbacks:
        kind = kind_of(one)
        if kind in _DESCRIBED:
            by_kind.setdefault(kind, []).append(one)
    found: dict[str, Any] = {}
    for kind, several in by_kind.items():
        name, attributes = _DESCRIBED[kind]
        for at, one in enumerate(several):
            prefix = name if len(several) == 1 else f"{name}.{at}"
            for attribute in attributes:
                value = _described(one, attribute)
                if value is not None:
                    found[f"{prefix}.{attribute}"] = value
    return found


def tags(callbacks: Iterable[Any]) -> dict[str, str]:
    """Return where the callbacks write to: the folder of TensorBoard, the file of a CSVLogger."""
    found: dict[str, str] = {}
    for one in callbacks:
        name, attribute = _FOLDERS.get(kind_of(one), ("", ""))
        path = getattr(one, attribute, None) if name else None
        if path:
            found[name if name not in found else f"{name}.{len(found)}"] = str(path)
    return found


def _described(callback: Any, attribute: str) -> Any:
    value = getattr(callback, attribute, None)
    if attribute == "min_delta" and isinstance(value, (int, float)):
        return abs(value)  # Keras turns its sign round once it knows the mode
    if attribute == "mode":
        return mode_of(callback)
    if attribute == "schedule" and value is not None:
        return getattr(value, "__name__", type(value).__name__)
    return value


def record_ending(recording: Recording, capture: Capture, *, completed: bool = True) -> None:
    """Record what the callbacks did: the best epoch, who stopped the fit, what was written.

    Args:
        recording: the fit, after its end.
        capture: of the integration.
        completed: whether the fit returned; one that raised has restored nothing.
    """
    steps: list[Callable[[], None]] = [
        lambda: _record_stopping(recording, capture, completed),
        lambda: checkpoints.record_ending(recording, capture),
    ]
    for step in steps:  # each on its own
        capture.guarded(step)()


def _record_stopping(recording: Recording, capture: Capture, completed: bool) -> None:
    several = [one for one in recording.callbacks if kind_of(one) == _EARLY_STOPPING]
    for at, one in enumerate(several):
        suffix = "" if len(several) == 1 else f"/{at}"
        best, score = _best(recording, one, stale=capture.guard("stale_best"))
        metrics: dict[str, float] = {}
        if best is not None:
            metrics[f"best_epoch{suffix}"] = best
        if score is not None:
            metrics[f"best_score{suffix}"] = score
        restored = best if completed and _restored(one) else None
        if restored is not None:
            metrics[f"restored_epoch{suffix}"] = restored
        # Keras never stops in its epoch 0, and resets this when a training begins
        stopped = one.stopped_epoch + recording.shift if one.stopped_epoch > 0 else None
        if stopped is not None:
            metrics[f"stopped_epoch{suffix}"] = stopped
        if metrics:
            recording.span.metrics(metrics)
        if stopped is not None:
            recording.span.event(
                "early_stopping",
                {
                    "monitor": one.monitor,
                    "mode": mode_of(one),
                    "patience": one.patience,
                    "stopped_epoch": stopped,
                    "best_epoch": best,
                    "best_score": score,
                    "restored_epoch": restored,
                },
            )


def _restored(callback: Any) -> bool:
    """Whether the weights of the best epoch were put back: at the end of any fit that has some."""
    return bool(callback.restore_best_weights) and callback.best_weights is not None


def _best(recording: Recording, callback: Any, *, stale: bool) -> tuple[int | None, float | None]:
    """Return the epoch that a callback takes for the best, and its value.

    Args:
        recording: the fit.
        callback: an early stopping.
        stale: its best value may be that of an earlier fit (quirk keras-early-stopping-keeps-best),
            which no epoch of this one has.
    """
    epoch = getattr(callback, "best_epoch", None)
    if epoch is None:
        return None, None
    value = history(recording.callbacks, callback.monitor).get(epoch)
    best: Any = getattr(callback, "best", None)
    is_this = False
    if value is not None and best is not None:
        is_this = math.isfinite(best) and (not stale or math.isclose(value, best))
    if is_this or _restored(callback):
        return epoch + recording.shift, value
    return None, None
