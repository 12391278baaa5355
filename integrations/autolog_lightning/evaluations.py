"""`validate`, `test` and `predict` outside of a fit belong to the run that trained the module.

A module from a checkpoint belongs to the run that wrote the file, if this process has it; otherwise
its evaluation has a run of its own, of kind `eval`, which names the other where it is known.
"""

from __future__ import annotations

from typing import Any, Final, cast

from autolog.integration import Call, Capture, Role, Span
from autolog_lightning import extract
from autolog_lightning.logger import lend, take_back
from autolog_lightning.recording import Recording, Recordings
from autolog_lightning.scalars import Scalars

__all__ = ["Evaluations"]

_WORDS: Final = ("best", "last", "hpc", "registry")
"""Checkpoints that the trainer finds itself: they are of its own run."""


class Evaluations:
    """Records evaluations; made once for each of the two namespaces."""

    def __init__(self, capture: Capture, recordings: Recordings) -> None:
        self._capture = capture
        self._recordings = recordings

    def role_of(self, call: Call) -> Role:
        """Rank 0 records for all."""
        return "evaluation" if call.instance.global_rank == 0 else "part"

    def begins(self, call: Call) -> None:
        """Find the run whose module is evaluated."""
        module, trainer = extract.module_of(call), call.instance
        if call.span is not None:
            call.span.state["torch.covered"] = True
        if call.span is None or module is None or call.span.role != "evaluation":
            return
        span = self._span_of(module, (call.bound or {}).get("ckpt_path"))
        if span is None:
            return
        recording = Recording(trainer, call.name, span, Scalars(span))
        call.state["recording"] = recording
        self._recordings.begin(recording)
        recording.by_logger = lend(trainer, recording)

    def _span_of(self, module: Any, ckpt_path: Any) -> Span | None:
        known = self._capture.producer(module)
        origin = None
        if ckpt_path is not None and ckpt_path not in _WORDS:
            origin = self._writer_of(ckpt_path)
        if known is None or (origin is not None and origin != known.span.trained_by):
            self._from_file(module, origin)
            known = self._capture.producer(module)
        return known.span if known is not None else None

    def _writer_of(self, path: Any) -> str | None:
        """Return the run that wrote a checkpoint."""
        origin = self._capture.origin(str(path))
        return origin.run_id if origin is not None else None

    def _from_file(self, module: Any, origin: str | None) -> None:
        """Attach a module to the run whose weights it has from here on."""
        span = self._recordings.spans.get(origin or "")
        if span is not None:
            self._capture.produced(module, span)
        else:
            self._capture.loaded(module, trained_by=origin)

    def loaded(self, call: Call, result: Any) -> None:
        """A module came from a checkpoint: find out whose it is."""
        path = (call.bound or {}).get("checkpoint_path")
        if hasattr(result, "training_step") and isinstance(path, str | bytes) | hasattr(
            path, "__fspath__"
        ):
            self._from_file(result, self._writer_of(path))

    def ends(self, call: Call, _: Any) -> None:
        """Record that the evaluation took place, also where it logged nothing."""
        recording = self._finish(call)
        if recording is None:
            return
        trainer, name = recording.trainer, recording.function
        batches = {
            "validate": lambda: trainer.num_val_batches,
            "test": lambda: trainer.num_test_batches,
            "predict": lambda: trainer.num_predict_batches,
        }[name]()
        values = {f"{name}_seconds": recording.seconds}
        counts = [one for one in cast("list[Any]", batches) if isinstance(one, int)]
        if counts:
            values[f"{name}_batches"] = float(sum(counts))
        recording.span.metrics(values)

    def fails(self, call: Call, _: BaseException) -> None:
        """What was logged until then stands in the run."""
        self._finish(call)

    def _finish(self, call: Call) -> Recording | None:
        recording = cast("Recording | None", call.state.pop("recording", None))
        if recording is None:
            return None
        try:
            recording.scalars.read()
        finally:
            take_back(recording.trainer, recording)
            self._recordings.end(recording)
        return recording
