"""`Trainer.fit`: one training, from the arguments to the final model."""

from __future__ import annotations

import os
from collections.abc import Callable
from importlib import import_module
from typing import Any, Final, cast

from autolog.integration import Call, Capture, Detach, Hook, Role, Snapshot, Span
from autolog_lightning import callbacks, extract, optimizers
from autolog_lightning.logger import lend, take_back
from autolog_lightning.recording import Recording, Recordings
from autolog_lightning.scalars import Scalars

__all__ = ["Fits"]

_WHOLE: Final = ("SingleDevice", "DDP", "SingleTPU", "SingleDeviceXLA", "XLAStrategy")
"""Strategies that leave a whole copy of the module on rank 0: asking the others for its state would
be a collective call, which the other ranks do not take part in."""


class Fits:
    """Records fits; made once for each of the two namespaces."""

    def __init__(self, capture: Capture, recordings: Recordings) -> None:
        self._capture = capture
        self._recordings = recordings

    def role_of(self, call: Call) -> Role:
        """Say whether a fit goes on from weights that were trained before."""
        if call.instance.global_rank != 0:
            return "part"  # rank 0 has the run
        module = extract.module_of(call)
        known = module is not None and self._capture.producer(module) is not None
        resumes = (call.bound or {}).get("ckpt_path") is not None
        return "continuation" if known or resumes else "training"

    def name_of(self, call: Call) -> str:
        """Name a run after the module, not after the trainer."""
        module = extract.module_of(call)
        return type(module if module is not None else call.instance).__name__

    def begins(self, call: Call) -> None:
        """Record what is asked for, before Lightning looks at it."""
        span, trainer = call.span, call.instance
        if span is None:
            return
        span.state["torch.covered"] = True
        recording = Recording(trainer, "fit", span, Scalars(span))
        call.state["recording"] = recording
        self._recordings.begin(recording)
        recording.by_logger = lend(trainer, recording)
        call.state["detaches"] = self._watch_inner(recording)
        bound, module = call.bound or {}, extract.module_of(call)
        span.params(extract.trainer_params(trainer))
        span.params(callbacks.callback_params(trainer))
        if module is not None:
            datamodule = bound.get("datamodule")
            loaders = bound.get("train_dataloaders")
            if datamodule is None and hasattr(loaders, "prepare_data_per_node"):
                datamodule = loaders  # given in the place of the loaders
            span.tag("module", extract.qualified_name(module))
            span.params(extract.hyperparameters(module, datamodule))
            self._link(span, module, bound.get("ckpt_path"))

    def _link(self, span: Span, module: Any, ckpt_path: Any) -> None:
        """Say which run a training goes on from: that of its checkpoint, or of its weights."""
        origin = None
        known = self._capture.producer(module)
        if known is not None:
            origin = known.span.trained_by
        if ckpt_path is not None:
            span.params({"ckpt_path": str(ckpt_path)})
            written = self._capture.origin(str(ckpt_path))
            origin = written.run_id if written is not None else origin
        if origin is not None and origin != span.run_id:
            span.tag("resumed_from", origin)

    def is_set_up(self, call: Call) -> None:
        """Record what only the trainer's own preparation made: optimizers, layers, sizes."""
        trainer = call.instance
        recording = self._recordings.of(trainer)
        if recording is None:
            return
        if trainer.global_rank != 0:  # a forked rank has a copy of the recording: rank 0 writes
            recording.muted += 1
        if recording.function != "fit" or recording.muted:
            return
        span, module = recording.span, trainer.lightning_module
        recording.optimizers = optimizers.named(module, trainer.optimizers)
        span.params(optimizers.optimizer_params(module, trainer.optimizers))
        span.params(optimizers.scheduler_params(trainer.lr_scheduler_configs))
        span.params({**extract.size_params(module)})
        if not module.automatic_optimization:
            span.params({"automatic_optimization": False})
        if self._capture.options.summary and span.owns_run:
            span.artifact("model_summary.txt", extract.summary(module).encode())

    def was_run(self, call: Call, _: Any) -> None:
        """In a process that a launcher forked: write what only this process knows of the fit."""
        recording = self._recordings.of(call.instance)
        if recording is not None and recording.pid != os.getpid() and not recording.muted:
            self._conclude(recording)

    def saved(self, call: Call, _: Any) -> None:
        """Remember that a checkpoint is of this run; a recorded fit knows at which step."""
        trainer = call.instance
        path = str((call.bound or {}).get("filepath", ""))
        recording = self._recordings.of(trainer)
        span = recording.span if recording is not None and not recording.muted else None
        if recording is not None and span is not None:
            recording.saved[path] = (trainer.current_epoch, trainer.global_step)
        elif recording is None:
            module = getattr(trainer.strategy, "_lightning_module", None)
            known = self._capture.producer(module) if module is not None else None
            span = known.span if known is not None else None
        if span is not None and trainer.global_rank == 0:
            self._capture.wrote(path, span)

    def ends(self, call: Call, _: Any) -> None:
        """Record what is known at the end, and store the model."""
        recording = self._finish(call)
        if recording is None:
            return
        span, trainer = recording.span, recording.trainer
        # quirk lightning-fit-returns-on-ctrl-c: it is swallowed, and the fit returns
        if self._capture.guard("swallowed_interrupt") and trainer.interrupted:
            span.end("KILLED")
        elif span.owns_run:
            self._store(recording)

    def fails(self, call: Call, exception: BaseException) -> None:
        """Record what is known so far; an interruption is no failure."""
        recording = self._finish(call)
        if recording is None:
            return
        # quirk lightning-ctrl-c-is-exit-1: the exit code of an interruption would read as a failure
        interrupted = isinstance(exception, SystemExit) and (
            isinstance(exception.__context__, KeyboardInterrupt)
            or type(exception).__name__ == "SIGTERMException"
        )
        if interrupted and self._capture.guard("interrupt_is_exit"):
            recording.span.end("KILLED")

    def _watch_inner(self, recording: Recording) -> list[Detach]:
        """Watch, for as long as the fit lasts, what torch does for it."""
        detaches: list[Detach] = []
        if self._capture.options.learning_rates:
            watch = optimizers.watch_steps
            detaches.append(watch(self._recordings, self._capture.guarded))
        if recording.trainer.gradient_clip_val and (
            recording.trainer.gradient_clip_algorithm in (None, "norm")
        ):
            module: Any = import_module("torch.nn.utils.clip_grad")

            def clipped(_: Call, norm: Any) -> None:
                if not recording.muted and norm is not None:
                    recording.add("grad_norm", norm.detach())

            detaches.append(self._capture.patch(module, "clip_grad_norm_", Hook(exit=clipped)))
        return detaches

    def _finish(self, call: Call) -> Recording | None:
        """Let go of everything; return what was recorded, with its last metrics written."""
        recording = cast("Recording | None", call.state.pop("recording", None))
        if recording is None:
            return None
        for detach in cast("list[Callable[[], None]]", call.state.pop("detaches", ())):
            detach()
        span, trainer = recording.span, recording.trainer
        recording.muted = 0
        try:
            module = trainer.lightning_module
            if module is not None and span.run_id is not None:
                self._capture.produced(module, span)
                self._recordings.spans[span.run_id] = span
            start_method = getattr(trainer.strategy.launcher, "_start_method", None)
            if start_method is None:
                self._conclude(recording)
            elif start_method != "fork":
                self._take_over(recording)
            span.metrics({"fit_seconds": recording.seconds})
        finally:
            take_back(trainer, recording)
            self._recordings.end(recording)
        return recording

    def _conclude(self, recording: Recording) -> None:
        """Write the last metrics, and what the callbacks and the loaders know by now."""
        recording.flush()
        recording.scalars.read()
        span = recording.span
        if recording.function != "fit":
            return
        if recording.trainer.num_training_batches:
            span.params(extract.data_params(recording.trainer))
        callbacks.record_ending(
            recording,
            copies=self._capture.options.checkpoints and span.owns_run,
            wrote=lambda path: self._capture.wrote(path, span),
        )

    def _take_over(self, recording: Recording) -> None:
        """Of ranks that were spawned, record what the launcher brings back of them."""
        trainer = recording.trainer
        recording.scalars.write(trainer.callback_metrics, *recording.where())
        path = str(getattr(trainer.checkpoint_callback, "best_model_path", "") or "")
        if path:
            recording.span.tag("best_checkpoint", path)
            self._capture.wrote(path, recording.span)
        self._capture.notice(
            "spawned_ranks",
            "the ranks were spawned, which autolog does not see into: the last values are recorded;"
            ' strategy="ddp" or "ddp_fork" gives those of every step',
        )

    def _store(self, recording: Recording) -> None:
        trainer = recording.trainer
        module = trainer.lightning_module
        strategy = type(trainer.strategy).__name__
        if not strategy.startswith(_WHOLE):
            self._capture.notice(
                "model_not_stored",
                f"{strategy} keeps parts of the model on each rank: it was not stored; the"
                " checkpoints that the trainer writes are linked",
            )
            return
        state = (*module.parameters(), *module.buffers())
        sizes = (
            one.numel() * one.element_size() for one in state if not hasattr(one, "materialize")
        )
        recording.span.model(
            Snapshot(
                model=module,
                format="lightning",
                versions=extract.versions(),
                size=sum(sizes),
            )
        )
