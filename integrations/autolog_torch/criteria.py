"""Loss functions: what a training minimises, and the values that they have in evaluations.

Every criterion module calls one of the functions of `torch.nn.functional` that are watched here.
With gradients on they pass, but for those of the first step of a pass, which tell what the
criterion is.
"""

from __future__ import annotations

import inspect
import sys
import weakref
from collections.abc import Mapping
from importlib import import_module
from types import FrameType
from typing import Any, Final

from autolog.integration import Capture, Detach, Loop, Tap
from autolog_torch import phases
from autolog_torch.compiling import compiling
from autolog_torch.current import here, on_loop, on_step
from autolog_torch.epochs import epochs_of
from autolog_torch.passes import Feed, local

__all__ = ["attach"]

_CRITERIA: Final = {
    "binary_cross_entropy": "BCELoss",
    "binary_cross_entropy_with_logits": "BCEWithLogitsLoss",
    "cosine_embedding_loss": "CosineEmbeddingLoss",
    "cross_entropy": "CrossEntropyLoss",
    "ctc_loss": "CTCLoss",
    "gaussian_nll_loss": "GaussianNLLLoss",
    "hinge_embedding_loss": "HingeEmbeddingLoss",
    "huber_loss": "HuberLoss",
    "kl_div": "KLDivLoss",
    "l1_loss": "L1Loss",
    "margin_ranking_loss": "MarginRankingLoss",
    "mse_loss": "MSELoss",
    "multi_margin_loss": "MultiMarginLoss",
    "multilabel_margin_loss": "MultiLabelMarginLoss",
    "multilabel_soft_margin_loss": "MultiLabelSoftMarginLoss",
    "nll_loss": "NLLLoss",
    "poisson_nll_loss": "PoissonNLLLoss",
    "smooth_l1_loss": "SmoothL1Loss",
    "soft_margin_loss": "SoftMarginLoss",
    "triplet_margin_loss": "TripletMarginLoss",
    "triplet_margin_with_distance_loss": "TripletMarginWithDistanceLoss",
}
"""The functions, and the modules that call them."""

_DATA: Final = frozenset({"input", "target", "size_average", "reduce"})
_LONG: Final = 20


def attach(capture: Capture) -> Detach:
    """Watch the loss functions, and modules that are switched to evaluation."""
    functional: Any = import_module("torch.nn.functional")
    torch: Any = import_module("torch")
    module: Any = import_module("torch.nn.modules.module")
    enabled, is_compiling = torch.is_grad_enabled, compiling()

    def pass_by() -> bool:
        feed = local.feed
        if feed.criterion_known and feed.evaluated is None and enabled():
            return True
        return is_compiling()

    def switched(_: Any, args: tuple[Any, ...], __: Mapping[str, Any], ___: Any) -> None:
        if not capture.covered:
            local.feed.evaluated = weakref.ref(args[0])

    taps = [
        capture.tap(module.Module, "eval", Tap(exit=switched, unless=compiling())),
        on_step(capture.guarded(_stepped)),
        on_loop(capture.guarded(_loop_seen)),
    ]
    for name in _CRITERIA:
        if hasattr(functional, name):
            one = _Criterion(capture, name, getattr(functional, name), torch)
            tap = Tap(enter=_enter, exit=one.computed, error=_leave, unless=pass_by)
            taps.append(capture.tap(functional, name, tap))

    def detach() -> None:
        for untap in taps:
            untap()

    return detach


def _enter(args: tuple[Any, ...], kwargs: Mapping[str, Any]) -> Feed:
    del args, kwargs
    feed = local.feed
    feed.depth += 1
    return feed


def _leave(
    feed: Feed | None, args: tuple[Any, ...], kwargs: Mapping[str, Any], exc: BaseException
) -> None:
    del args, kwargs, exc
    if feed is not None:
        feed.depth -= 1


class _Criterion:
    """One loss function."""

    def __init__(self, capture: Capture, name: str, function: Any, torch: Any) -> None:
        self._capture = capture
        self._name = name
        self._parameters = list(inspect.signature(function).parameters.values())
        self._tensor = torch.Tensor
        self._torch = torch

    def computed(
        self, feed: Feed | None, args: tuple[Any, ...], kwargs: Mapping[str, Any], result: Any
    ) -> None:
        """A loss was computed."""
        if feed is None:
            return
        feed.depth -= 1
        if feed.depth or type(result) is not self._tensor:
            return  # of a function of this kind inside another, or of the user's own tensors
        if self._capture.suspended or self._capture.covered:
            return
        training = self._torch.is_grad_enabled()
        if training and not feed.criterion_known:
            self._note(feed, args, kwargs)
        if training and (not _is_evaluating(feed) or result.requires_grad is False):
            return
        one = feed.latest
        if one is None or not one.open:
            one = None
        if training and (one is None or one.steps):
            return
        value = self._value(result, args, kwargs)
        if value is None:
            return
        number, size = value
        if one is not None and not one.steps:
            phases.evaluated(feed, number, size, one)
        elif not self._is_of_step(feed, args, kwargs, one is not None):
            data = self._capture.data_named("torch", 1, 2)
            phases.full_batch(feed, number, size, data, self._capture)

    def _note(self, feed: Feed, args: tuple[Any, ...], kwargs: Mapping[str, Any]) -> None:
        """Note that this is a part of the loss of a step, and how it is set."""
        names = [one.name for one in self._parameters]
        given: dict[str, Any] = {**dict(zip(names, args, strict=False)), **kwargs}
        settings = {
            one.name: _described(given[one.name])
            for one in self._parameters
            if one.name in given
            and one.default is not inspect.Parameter.empty
            and one.name not in _DATA
            and _differs(given[one.name], one.default)
        }
        frame: FrameType | None = sys._getframe(1)  # noqa: SLF001 # pyright: ignore[reportPrivateUsage]
        name = _CRITERIA[self._name] if _from_module(frame) else self._name
        if (name, settings) not in feed.criteria:
            feed.criteria.append((name, settings))
        target = _target(args, kwargs)
        if isinstance(target, self._tensor):
            feed.targets = [*feed.targets[-4:], weakref.ref(target)]

    def _value(
        self, result: Any, args: tuple[Any, ...], kwargs: Mapping[str, Any]
    ) -> tuple[Any, int] | None:
        """Return the mean loss of the batch and the batch's size; None if there is none."""
        target = _target(args, kwargs)
        shape: Any = getattr(target, "shape", ())
        size = int(shape[0]) if len(shape) else 1
        if result.dim():
            self._capture.notice(
                "loss_is_not_reduced",
                "a loss was evaluated with reduction='none': what your code makes of its values"
                " is not known, so no val/loss was recorded; autolog.log_metric records it",
            )
            return None
        device = result.device.type
        if device == "meta" or not size:
            return None
        value = result.detach()
        if device == "cpu":
            try:
                value = result.item()
            except RuntimeError:  # inside a transform (vmap) it stands for several numbers
                return None
        return (value / size if self._reduction(args, kwargs) == "sum" else value), size

    def _reduction(self, args: tuple[Any, ...], kwargs: Mapping[str, Any]) -> Any:
        if "reduction" in kwargs:
            return kwargs["reduction"]
        for given, parameter in zip(args, self._parameters, strict=False):
            if parameter.name == "reduction":
                return given
        return "mean"

    def _is_of_step(
        self, feed: Feed, args: tuple[Any, ...], kwargs: Mapping[str, Any], in_pass: bool
    ) -> bool:
        """Whether a loss outside of an evaluating pass is about the data of a training step."""
        inputs = args[0] if args else kwargs.get("input")
        if getattr(inputs, "requires_grad", False):
            return True
        target = _target(args, kwargs)
        if any(reference() is target for reference in feed.targets):
            return True
        module = feed.evaluated() if feed.evaluated is not None else None
        return in_pass and (module is None or module.training)


def _is_evaluating(feed: Feed) -> bool:
    """Whether the module that was last switched to evaluation still is."""
    module = feed.evaluated() if feed.evaluated is not None else None
    return module is not None and not module.training


def _target(args: tuple[Any, ...], kwargs: Mapping[str, Any]) -> Any:
    if len(args) > 1:
        return args[1]
    return kwargs.get("target", args[0] if args else kwargs.get("input"))


def _from_module(frame: FrameType | None) -> bool:
    """Whether one of torch's criterion modules made the call."""
    for _ in range(8):
        if frame is None:
            return False
        name = frame.f_code.co_filename
        if name.endswith(("nn/modules/loss.py", "nn\\modules\\loss.py")):
            return True
        frame = frame.f_back
    return False


def _differs(value: Any, default: Any) -> bool:
    return hasattr(value, "shape") or bool(value != default)


def _described(value: Any) -> Any:
    shape = getattr(value, "shape", None)
    if shape is None:
        return value
    if value.numel() <= _LONG and value.device.type == "cpu":
        return value.tolist()
    return f"{type(value).__name__}{tuple(shape)}"


def _stepped() -> None:
    """A step is made: its loss is known."""
    feed = local.feed
    feed.fresh = bool(feed.criteria or feed.precision)
    if feed.fresh:
        feed.criteria_of_step, feed.criteria = feed.criteria, []
        feed.precision_of_step, feed.precision = feed.precision, {}
        feed.criterion_known = True
    loop = feed.awaiting() if feed.awaiting is not None else None
    if loop is not None and here.stepped in epochs_of(loop).optimizers:
        feed.awaiting = None
        if feed.fresh:
            _record(loop, feed)  # else its loss is the user's own: the next one is of another


def _loop_seen(loop: Loop, optimizer: Any) -> None:
    """A loop has begun: record its criterion, or wait for it."""
    del optimizer
    feed = local.feed
    if epochs_of(loop).criterion_known:
        return
    if feed.fresh:
        _record(loop, feed)
    else:
        feed.awaiting = weakref.ref(loop)
        feed.criterion_known = False


def _record(loop: Loop, feed: Feed) -> None:
    criteria = feed.criteria_of_step
    params = dict(feed.precision_of_step)
    if criteria:
        params["criterion"] = " + ".join(dict.fromkeys(name for name, _ in criteria))
    for name, settings in criteria:
        prefix = "criterion" if len(criteria) == 1 else f"criterion.{name}"
        params |= {f"{prefix}.{key}": value for key, value in settings.items()}
    loop.span.params(params)
    epochs_of(loop).criterion_known = True
