"""Evaluations of a loop: losses that are computed without gradients and that no step follows.

Over the pass of a loader that makes no steps they give one number at the end of the pass; outside
of a pass each full batch gives one. It is recorded at the newest step and epoch of the loop whose
model was switched to evaluation, else of the loop of the thread. Losses without gradients on the
way from a batch to its step (a teacher's, a target's) are no evaluations.
"""

from __future__ import annotations

import re
import weakref
from typing import Any, Final

from autolog.integration import Capture, Loop
from autolog_torch.current import with_next_loop
from autolog_torch.datasets import describe_data
from autolog_torch.epochs import Epochs, epochs_of
from autolog_torch.evaluations import Evaluation
from autolog_torch.passes import Feed, Pass, Source
from autolog_torch.readings import Arrivals, readable

__all__ = ["ended", "evaluated", "full_batch", "read_on", "stepping"]

_BEFORE: Final = -1
"""The step of an evaluation that was made before the first one."""
_MOST: Final = 16
_VAL: Final = "val"
_WORDS: Final = re.compile(r"(data)?_?(loader|iterator|iter|dl|set|ds)s?$|^(data|dl|loader)_?")
_ANY_VAL: Final = re.compile(r"^(|val\w*|dev|eval\w*|holdout|it)$")

_arrivals = Arrivals()
"""Of evaluations whose numbers are still on their device."""


def evaluated(feed: Feed, value: Any, size: int, one: Pass) -> None:
    """A loss was evaluated while a pass that makes no steps is going on."""
    if one.evaluation is None:
        one.evaluation = Evaluation(feed.evaluated)
    one.evaluation.add(value, size)


def full_batch(feed: Feed, value: Any, size: int, data: str | None, capture: Capture) -> None:
    """A loss was evaluated outside of a pass: it stands for itself."""
    if any(one.steps for one in feed.fed):
        return  # on the way from a batch to its step
    pending = feed.pending
    if pending is None:
        pending = feed.pending = Evaluation(feed.evaluated)
        pending.data = data
    pending.add(value, size)
    if pending.calls < len(feed.criteria_of_step):
        return
    feed.pending = None
    if not feed.steps:
        feed.before = [*feed.before[-_MOST:], pending]
        return
    if not feed.teaches or _in_evaluation(pending):
        _record(pending, None, capture)


def ended(one: Pass, capture: Capture) -> None:
    """A pass is over: what was evaluated in it is known."""
    evaluation, one.evaluation = one.evaluation, None
    if evaluation is not None and not one.steps:
        _record(evaluation, one.source, capture)
    read_on()


def stepping(feed: Feed) -> None:
    """A step is made: what was evaluated with its batches was a part of it."""
    for one in feed.fed:
        one.evaluation = None
    feed.pending = feed.evaluated = None
    if feed.before and not feed.steps:
        kept = [one for one in feed.before if _in_evaluation(one)]
        feed.teaches = len(kept) < len(feed.before)
        feed.before = []
        for one in kept:
            _record_later(one, None)


def read_on(*, to_the_end: bool = False) -> None:
    """Record the evaluations whose numbers have arrived."""
    _arrivals.read_on(to_the_end=to_the_end)


def _record(evaluation: Evaluation, source: Source | None, capture: Capture) -> None:
    loop = capture.loop()
    if capture.covered:
        return
    module = evaluation.module() if evaluation.module is not None else None
    if loop is None or (module is not None and not _concerns(loop, module)):
        _record_later(evaluation, source)
        return
    _write(loop, evaluation, source, loop.step, epochs_of(loop).current)


def _record_later(evaluation: Evaluation, source: Source | None) -> None:
    """Nothing was trained so far: it belongs to the loop of its model, if that comes next."""

    def write(loop: Loop) -> None:
        module = evaluation.module() if evaluation.module is not None else None
        if module is None or _concerns(loop, module):
            _write(loop, evaluation, source, _BEFORE, None)

    with_next_loop(write)


def _write(
    loop: Loop, evaluation: Evaluation, source: Source | None, step: int, epoch: int | None
) -> None:
    mean = evaluation.mean()
    if mean is None:
        return
    epochs = epochs_of(loop)
    name = source.name if source is not None else evaluation.data
    label = epochs.labels.get(name or "")
    if label is None:
        label = epochs.labels[name or ""] = _label(epochs, name)
        if source is not None and not label.startswith("train"):
            describe_data(loop, source, label)
    module = evaluation.module() if evaluation.module is not None else None
    averaged = type(module).__name__ == "AveragedModel"
    key = f"{label}/{'averaged_' if averaged else ''}{'eval_' if label == 'train' else ''}loss"
    reference = weakref.ref(loop)

    def write(values: list[float]) -> None:
        one = reference()
        if one is not None:
            one.span.metrics({key: values[0]}, step=step, epoch=epoch)

    _arrivals.give(readable([mean]), write)


def _label(epochs: Epochs, name: str | None) -> str:
    """Say what an evaluation on the data of a loader is called."""
    if epochs.was_trained_on(name):
        return "train"
    stem = _WORDS.sub("", (name or "").strip("_").lower()).strip("_")
    for known in ("train", "test"):
        if known in stem:
            return known
    if _VAL not in epochs.labels.values() or _ANY_VAL.match(stem):
        return _VAL
    return stem


def _in_evaluation(evaluation: Evaluation) -> bool:
    """Whether the module that was switched to evaluation still is."""
    module = evaluation.module() if evaluation.module is not None else None
    return module is not None and not module.training


def _concerns(loop: Loop, module: Any) -> bool:
    """Whether a module is what a loop trains, a part of it, around it or a copy of it."""
    trained = [
        one
        for reference in epochs_of(loop).optimizers
        if (optimizer := reference()) is not None
        for group in optimizer.param_groups
        for one in group["params"]
    ]
    if not trained:
        return True
    known = {id(one) for one in trained}
    own = list(module.parameters())
    if not own or any(id(one) in known for one in own):
        return True
    shapes = {tuple(one.shape) for one in own}
    return {tuple(one.shape) for one in trained} <= shapes
