"""The files that a fit writes its model to: by ModelCheckpoint, or by a callback of the user's.

Every callback writes through the functions that save a model, which are watched, whatever makes it
write. Whole models are taken when they are written, as checkpoints that can be loaded. Of weights
alone the last and the best are copied at the end. No file is changed, moved or removed.
"""

from __future__ import annotations

import json
import math
import os
import re
import sys
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

from autolog.integration import Capture, Checkpoint
from autolog_keras.kinds import backend_of, class_of, history, kind_of, mode_of, package_of
from autolog_keras.models import versions
from autolog_keras.recording import Recording

__all__ = ["record_ending", "written"]

_WRITTEN: Final = "keras.written"
_FORMAT: Final = "keras"
_FILE: Final = "model.keras"
_DESCRIPTION: Final = "keras.json"
"""What the format wants beside the archive."""
_NUMBERS: Final = re.compile(r"\d+(?:\.\d+)*")


@dataclass(frozen=True, slots=True)
class _Written:
    """One file, or one path that files begin with, and the epoch that it holds last."""

    path: str
    epoch: int


def written(recording: Recording, capture: Capture, target: str) -> None:
    """Note what the model of a fit was just saved to; a whole model is taken as a checkpoint."""
    path = os.path.abspath(target)  # noqa: PTH100
    if _is_backup(recording, path):
        return
    epoch = max(recording.epoch, 0)
    known: dict[str, int] = recording.span.state.setdefault(_WRITTEN, {})
    known.pop(path, None)  # the newest stands last
    known[path] = epoch
    if _is_whole(path) and capture.options.checkpoints:
        recording.span.checkpoint(_checkpoint(recording, path, epoch))


def _is_whole(path: str) -> bool:
    return path.endswith(".keras") and os.path.isfile(path)  # noqa: PTH113


def _checkpoint(recording: Recording, path: str, epoch: int) -> Checkpoint:
    cls = class_of(recording.model)
    return Checkpoint(
        path=path,
        format=_FORMAT,
        file=_FILE,
        model=f"{cls.__module__}.{cls.__qualname__}",
        step=epoch,
        epoch=epoch,
        beside={_DESCRIPTION: _description(recording.model)},
        versions=versions(recording.model),
        by=getattr(_writer(recording, path), "monitor", None),
        name=_name(path),
    )


def _name(path: str) -> str:
    """Return what the states of a file are called; `model` is the model after the fit."""
    name = _NUMBERS.sub("", Path(path).stem).strip("-_.= ")
    name = re.sub(r"[^\w.]+|[_.]{2,}", "-", name)
    return name if name not in ("", "model") else "checkpoint"


def _description(model: Any) -> bytes:
    package, cls = package_of(model), class_of(model)
    keras: Any = sys.modules[package]
    described = {
        "package": package,
        "version": str(keras.__version__),
        "backend": backend_of(package),
        "class": f"{cls.__module__}.{cls.__qualname__}",
    }
    return json.dumps(described, indent=1).encode()


def _is_backup(recording: Recording, path: str) -> bool:
    """Whether it is what BackupAndRestore goes on from after a crash, and removes at the end."""
    return any(
        Path(path).is_relative_to(os.path.abspath(str(one.backup_dir)))  # noqa: PTH100
        for one in recording.callbacks
        if kind_of(one) == "BackupAndRestore"
    )


def record_ending(recording: Recording, capture: Capture) -> None:
    """Record the files that were written: those that no checkpoint of the run is."""
    files: dict[str, int] = recording.span.state.pop(_WRITTEN, {})
    groups: dict[str, list[_Written]] = {}
    for path, epoch in files.items():
        groups.setdefault(_NUMBERS.sub("#", path), []).append(_Written(path, epoch))
    for group in groups.values():
        callback = _writer(recording, group[-1].path)
        last, best = group[-1], _best(recording, callback, group)
        if best is not None:
            recording.span.tag("best_checkpoint", best.path)
        if _is_whole(last.path) and capture.options.checkpoints:
            continue  # they were recorded when they were written
        for one in dict.fromkeys((last, best or last)):
            _record(recording, capture, callback, one, is_best=one is best)


def _record(
    recording: Recording, capture: Capture, callback: Any, file: _Written, *, is_best: bool
) -> None:
    name = f"checkpoints/{Path(file.path).name}"
    kept = False
    if capture.options.checkpoints and os.path.isfile(file.path):  # noqa: PTH113
        kept = recording.span.file(file.path, name)
    recording.span.event(
        "checkpoint",
        {
            "path": file.path,
            "monitor": getattr(callback, "monitor", None),
            "best": is_best,
            "epoch": file.epoch,
            "step": file.epoch,
            "artifact": name if kept else None,
        },
    )


def _writer(recording: Recording, path: str) -> Any:
    """Return the ModelCheckpoint that writes to such paths; None if it was somebody else."""
    for one in recording.callbacks:
        if kind_of(one) != "ModelCheckpoint":
            continue
        pattern = os.path.abspath(str(one.filepath))  # noqa: PTH100
        literal = re.split(r"\{[^}]*\}", pattern)
        if re.fullmatch(".*".join(map(re.escape, literal)), path):
            return one
    return None


def _best(recording: Recording, callback: Any, group: list[_Written]) -> _Written | None:
    """Return the best of the files by what the callback monitors, of those that are still there."""
    if callback is None:
        return None
    if callback.save_best_only:
        return group[-1]
    values = _values(recording, callback.monitor)
    known = [one for one in group if math.isfinite(values.get(one.epoch, math.nan))]
    if not known:
        return None
    choose = max if mode_of(callback) == "max" else min
    return choose(known, key=lambda one: values[one.epoch])


def _values(recording: Recording, monitor: str) -> dict[int, float]:
    return {
        epoch + recording.shift: value
        for epoch, value in history(recording.callbacks, monitor).items()
    }
