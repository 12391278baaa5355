"""Evaluations of models that no training of this process made: unpickled, or loaded from a run.

What such an evaluation gives goes to the run that the user has open, else to a run of kind `eval`,
which its first value opens and ends: an evaluation is a moment. It carries the tag `evaluates`
where the training's run is known, which is so for models that `load_model` gave.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from autolog.capture.options import Options
from autolog.capture.spans import CaptureSpan
from autolog.entities import Kind
from autolog.tracking import context, opening
from autolog.tracking.run import LiveRun

__all__ = ["EVALUATES", "EvaluationSpan"]

EVALUATES = "evaluates"
"""Tag of a run of kind `eval`: the id of the run that trained the model."""


class EvaluationSpan(CaptureSpan):
    """The span of a model from elsewhere; it finds its run when there is something to write.

    Args:
        name: the class of the model.
        integration: whose model it is.
        options: the options that hold for all integrations.
        trained_by: the id of the run that trained it, if it is known.
    """

    def __init__(
        self, *, name: str, integration: str, options: Options, trained_by: str | None = None
    ) -> None:
        super().__init__(
            role="evaluation",
            owner=None,
            name=name,
            kind=Kind.EVAL.value,
            integration=integration,
            options=options,
        )
        self.closed = True  # no call is in progress
        self._trained_by = trained_by
        self._own: LiveRun | None = None

    @property
    def trained_by(self) -> str | None:
        """Id of the run that trained the model; None for one that was unpickled."""
        return self._trained_by

    def metrics(
        self, values: Mapping[str, float], *, step: int | None = None, epoch: int | None = None
    ) -> None:
        """Record one point for each key."""
        self._find_run()
        super().metrics(values, step=step, epoch=epoch)

    def evaluation(self, name: str, value: float) -> None:
        """Record the value of an evaluation, named `<data>/<metric>`."""
        self._find_run()
        super().evaluation(name, value)

    def table(self, name: str, columns: Mapping[str, Sequence[Any]]) -> None:
        """Record a table by its columns."""
        self._find_run()
        super().table(name, columns)

    def _find_run(self) -> None:
        """Write to the user's open run, else to the own one."""
        self._run = context.current()
        if self._run is not None:
            return
        if self._own is None:
            tags = {EVALUATES: self._trained_by} if self._trained_by else {}
            self._own = opening.open_run(base=self.name, kind=self.kind, tags=tags)
            self._own.set_tag("model", self.name)
            self._own.end()
            if context.last_trained() is None:  # what the program logs next belongs with it
                context.remember_trained(self._own)
        self._run = self._own
