"""`AutologLogger`: for those who prefer to name their logger.

    trainer = Trainer(logger=AutologLogger())

While autologging records the trainer, the logger writes what it is given to that run, and the
automatic record of metrics is silent, so nothing is there twice. Without autologging it opens a run
of its own with its first value, and ends it when the trainer is done.
"""

from __future__ import annotations

import sys
from collections.abc import Mapping
from importlib import import_module
from typing import TYPE_CHECKING, Any, Final, cast

from autolog_lightning.extract import own_attributes

if TYPE_CHECKING:
    from autolog.integration import Span
    from autolog_lightning.recording import Recording

__all__ = ["lend", "logger_class", "take_back"]

_BASES: Final = (
    ("lightning.pytorch", "lightning.pytorch.loggers.logger"),
    ("pytorch_lightning", "pytorch_lightning.loggers.logger"),
    ("lightning.fabric", "lightning.fabric.loggers.logger"),
    ("lightning_fabric", "lightning_fabric.loggers.logger"),
)
_MARK: Final = "_autolog_recording"
_classes: dict[str, type] = {}


def lend(trainer: Any, recording: Recording) -> bool:
    """Let the `AutologLogger`s of a trainer write to a recording; whether there are any."""
    ours = [one for one in trainer.loggers if _MARK in own_attributes(one)]
    for one in ours:
        setattr(one, _MARK, recording)
    return bool(ours)


def take_back(trainer: Any, recording: Recording) -> None:
    """The recording is over."""
    for one in trainer.loggers:
        if own_attributes(one).get(_MARK) is recording:
            setattr(one, _MARK, None)


def logger_class() -> type:
    """Return the class, made for the namespace that the program uses.

    Raises:
        ImportError: neither `lightning` nor `pytorch_lightning` is installed.
    """
    used = [(name, module) for name, module in _BASES if name in sys.modules]
    for name, module in used or _BASES[:2]:
        if name in _classes:
            return _classes[name]
        try:
            base = import_module(module).Logger
        except ModuleNotFoundError:
            continue
        made = type("AutologLogger", (_Writes, base), {"__module__": "autolog_lightning"})
        return _classes.setdefault(name, made)
    raise ImportError("AutologLogger needs Lightning: pip install lightning")


class _Writes:
    """Writes what Lightning gives its loggers to a run.

    Args:
        name: what the run is called if the logger opens one.
        experiment: the experiment of that run.
        tags: tags of that run.
    """

    def __init__(
        self,
        name: str | None = None,
        *,
        experiment: str | None = None,
        tags: Mapping[str, str] | None = None,
    ) -> None:
        super().__init__()
        self._run_name = name
        self._experiment_name = experiment
        self._tags = dict(tags or {})
        self._run: Any = None
        self._autolog_recording: Recording | None = None

    @property
    def experiment(self) -> Any:
        """The run: a handle with `log_metric`, `log_artifact`, `set_tag` and so on."""
        if self._autolog_recording is not None:
            api: Any = import_module("autolog")
            active = api.active_run()
            if active is not None and active.run_id == self._autolog_recording.span.run_id:
                return active
            return _Handle(self._autolog_recording.span)
        return self._own_run()

    @property
    def name(self) -> str | None:
        """What the run is called."""
        return self._run.name if self._run is not None else self._run_name

    @property
    def version(self) -> str | None:
        """Id of the run, once there is one."""
        if self._autolog_recording is not None:
            return self._autolog_recording.span.run_id
        return self._run.run_id if self._run is not None else None

    def log_metrics(self, metrics: Mapping[str, Any], step: int | None = None) -> None:
        """Record metrics; Lightning's `epoch` among them says where they belong."""
        if _rank() > 0:
            return
        values = dict(metrics)
        epoch = values.pop("epoch", None)
        recording = self._autolog_recording
        if recording is not None:
            if recording.listening:
                usual, now = recording.where()
                at = usual if step is None else step
                recording.scalars.write(values, at, now if epoch is None else int(epoch))
            return
        at = None if epoch is None else int(epoch)
        self._own_run().log_metrics(values, step, epoch=at)

    def log_hyperparams(self, params: Any = None, *_: Any, **__: Any) -> None:
        """Record hyperparameters; autologging records those of modules itself."""
        if self._autolog_recording is not None or params is None or _rank() > 0:
            return
        given = cast("object", params)
        if isinstance(given, Mapping):
            self._own_run().log_params(dict(cast("Mapping[str, Any]", given)))
        else:  # a Namespace
            self._own_run().log_params(own_attributes(given))

    def finalize(self, status: str) -> None:
        """End the run that this logger opened; `status` is Lightning's word for how it went."""
        if self._run is not None:
            self._run.end("FINISHED" if status in ("success", "finished") else "FAILED")
            self._run = None

    def _own_run(self) -> Any:
        if self._run is None:
            api: Any = import_module("autolog")
            self._run = api.start_run(
                self._run_name, experiment=self._experiment_name, tags=self._tags or None
            )
        return self._run

    def __getstate__(self) -> dict[str, Any]:
        return {**vars(self), "_run": None, _MARK: None}


class _Handle:
    """What `experiment` gives during an evaluation, which opens its run with its first value."""

    def __init__(self, span: Span) -> None:
        self.run_id = span.run_id
        self.log_params, self.set_tag = span.params, span.tag
        self._span = span

    def log_metrics(self, metrics: Mapping[str, Any], step: int | None = None) -> None:
        self._span.metrics({key: float(value) for key, value in metrics.items()}, step=step)

    def log_metric(self, key: str, value: Any, step: int | None = None) -> None:
        self.log_metrics({key: value}, step)

    def log_text(self, text: str, artifact_file: str) -> None:
        self._span.artifact(artifact_file, text.encode())


def _rank() -> int:
    """Return the rank that Lightning's own decorators go by."""
    for name in ("lightning.fabric.utilities.rank_zero", "lightning_fabric.utilities.rank_zero"):
        module = sys.modules.get(name)
        if module is not None:
            return int(getattr(module.rank_zero_only, "rank", None) or 0)
    return 0
