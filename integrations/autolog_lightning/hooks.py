"""Watches the trainers: `fit`, `validate`, `test`, `predict`, and what is called inside of them.

`lightning.pytorch` and `pytorch_lightning` are two packages with the same code and no class in
common, so both are watched in the same way (quirk lightning-two-namespaces).
"""

from __future__ import annotations

from importlib import import_module
from typing import Any

from autolog.integration import Call, Capture, Detach, Hook
from autolog_lightning import callbacks, metrics
from autolog_lightning.evaluations import Evaluations
from autolog_lightning.fits import Fits
from autolog_lightning.recording import Recordings

__all__ = ["attach", "attach_standalone"]


def attach(capture: Capture) -> Detach:
    """Watch the trainers of `lightning.pytorch`."""
    return _attach(capture, "lightning.pytorch")


def attach_standalone(capture: Capture) -> Detach:
    """Watch the trainers of `pytorch_lightning`."""
    return _attach(capture, "pytorch_lightning")


def _attach(capture: Capture, root: str) -> Detach:
    recordings = Recordings()
    fits = Fits(capture, recordings)
    evaluations = Evaluations(capture, recordings)

    def found(module: str, name: str) -> Any:
        return getattr(import_module(f"{root}.{module}"), name)

    trainer = found("trainer.trainer", "Trainer")
    connector = found("trainer.connectors.logger_connector.logger_connector", "_LoggerConnector")
    watch = capture.patch
    detaches = [
        watch(
            trainer,
            "fit",
            Hook(enter=fits.begins, exit=fits.ends, error=fits.fails),
            role=fits.role_of,
            name=fits.name_of,
        ),
        *(
            watch(
                trainer,
                name,
                Hook(enter=evaluations.begins, exit=evaluations.ends, error=evaluations.fails),
                role=evaluations.role_of,
                kind="eval",
                name=fits.name_of,
            )
            for name in ("validate", "test", "predict")
        ),
        watch(
            trainer, "_run_stage", Hook(enter=fits.is_set_up, exit=fits.was_run, error=fits.was_run)
        ),
        watch(trainer, "save_checkpoint", Hook(exit=fits.saved)),
        watch(connector, "log_metrics", metrics.logged(recordings)),
        watch(
            found("callbacks.early_stopping", "EarlyStopping"),
            "_run_early_stopping_check",
            Hook(exit=_checked(recordings)),
        ),
        *(
            watch(found(f"callbacks.{module}", cls), name, _muted(recordings))
            for module, cls, name in (
                ("lr_finder", "LearningRateFinder", "lr_find"),
                ("batch_size_finder", "BatchSizeFinder", "scale_batch_size"),
            )
        ),
        watch(
            import_module(f"{root}.core.saving"),
            "_load_from_checkpoint",
            Hook(exit=evaluations.loaded),
        ),
    ]
    if capture.options.every_step:
        detaches.append(watch(connector, "update_train_step_metrics", metrics.stepped(recordings)))

    def detach() -> None:
        for one in reversed(detaches):
            one()

    return detach


def _checked(recordings: Recordings) -> Any:
    def leave(call: Call, _: Any) -> None:
        trainer = call.args[0] if call.args else call.kwargs.get("trainer")
        recording = recordings.of(trainer)
        if recording is not None:
            callbacks.note_checked(recording, call.instance)

    return leave


def _muted(recordings: Recordings) -> Hook:
    """Make the hook of a callback that trains for a while to find something out."""

    def enter(call: Call) -> None:
        recording = recordings.of((call.bound or {}).get("trainer"))
        if recording is not None:
            recording.muted += 1
            call.state["muted"] = recording

    def leave(call: Call, _: Any) -> None:
        recording = call.state.get("muted")
        if recording is not None:
            recording.muted -= 1
            recording.pending.clear()

    return Hook(enter=enter, exit=leave, error=leave)
