"""Metrics that the user computes with torchmetrics or torcheval: their results are recorded.

What counts is `compute()` called by the user's code, not by the `forward` of a metric, nor by a
collection or another metric. The classes that are used are watched, from their first instance on:
an instance of torchmetrics keeps the bound method that its class had when it was made.

A result is called `<phase>/<metric>`: the class in snake case without its task (`val/accuracy` for
`MulticlassAccuracy`), or the variable where the class says nothing (`MeanMetric`) or where two of
one class are in use. The phase is what the variable begins with (`val_acc`, `test_acc`); else `val`
while no gradients are computed or the model is in evaluation mode, else `train`.
"""

from __future__ import annotations

import re
import threading
import weakref
from collections.abc import Iterator, Mapping, Sequence
from importlib import import_module
from typing import Any, Final, NamedTuple, cast

from autolog.integration import Capture, Detach, Tap
from autolog_torch import models, trained
from autolog_torch.compiling import compiling
from autolog_torch.given import record
from autolog_torch.steps import tracking

__all__ = ["attach_collections", "attach_torcheval", "attach_torchmetrics"]

_TASK: Final = re.compile(r"^(Binary|Multiclass|Multilabel)(?=[A-Z])")
_WORD: Final = re.compile(r"(?<=[a-z0-9])(?=[A-Z])|(?<=[A-Z])(?=[A-Z][a-z])")
_PHASE: Final = re.compile(r"^(train|training|val|valid|validation|test|eval)[_/](.+)$")
_PHASES: Final = {"training": "train", "valid": "val", "validation": "val"}
_AGGREGATION: Final = "aggregation"
_ELEMENTS: Final = 32
"""A result of more elements (a curve, a matrix) is no number for each of them."""


class _Inside(threading.local):
    """How deep in metrics this thread is."""

    depth = 0


class _Made(NamedTuple):
    """A metric that was made, and the variable it was stored in."""

    reference: weakref.ref[Any]
    variable: str | None


_inside = _Inside()
_made: dict[int, _Made] = {}
_called: dict[str, _Made] = {}
"""Which metric has each key."""


def attach_torchmetrics(capture: Capture) -> Detach:
    """Watch the metrics of torchmetrics, and of users who subclass them."""
    module: Any = import_module("torchmetrics.metric")
    return _Classes(capture, module.Metric, "torchmetrics", ("compute", "forward")).detach


def attach_collections(capture: Capture) -> Detach:
    """Watch collections: their results are named by the user, or by the classes in them."""
    cls: Any = import_module("torchmetrics.collections").MetricCollection
    watched = _Computations(capture, "torchmetrics")
    taps = [
        capture.tap(cls, "compute", watched.computation),
        capture.tap(cls, "__init__", Tap(enter=watched.made, unless=compiling())),
    ]

    def detach() -> None:
        for untap in taps:
            untap()

    return detach


def attach_torcheval(capture: Capture) -> Detach:
    """Watch the metrics of torcheval, and of users who subclass them."""
    module: Any = import_module("torcheval.metrics.metric")
    return _Classes(capture, module.Metric, "torcheval", ("compute",)).detach


class _Classes:
    """The classes of one package that are in use."""

    def __init__(
        self, capture: Capture, base: type, package: str, methods: tuple[str, ...]
    ) -> None:
        self._capture = capture
        self._base = base
        self._methods = methods
        self._computations = _Computations(capture, package)
        self._watched: set[type] = set()
        self._taps = [
            capture.tap(base, "__init__", Tap(enter=self._made, unless=compiling())),
        ]

    def detach(self) -> None:
        """Let go of all classes."""
        for untap in self._taps[::-1]:
            untap()
        _made.clear()
        _called.clear()

    def _made(self, args: tuple[Any, ...], kwargs: Mapping[str, Any]) -> None:
        for cls in type(args[0]).__mro__:
            if cls not in self._watched and issubclass(cls, self._base):
                self._watched.add(cls)
                self._watch(cls)
        self._computations.made(args, kwargs)

    def _watch(self, cls: type) -> None:
        for method in self._methods:
            # An abstract method is passed on to nobody.
            found = vars(cls).get(method)
            if found is None or getattr(found, "__isabstractmethod__", False):
                continue
            tap = self._computations.computation
            if method != "compute":
                tap = self._computations.passage
            self._taps.append(self._capture.tap(cls, method, tap))


class _Computations:
    """What happens around a computation."""

    def __init__(self, capture: Capture, package: str) -> None:
        self._capture = capture
        self._package = package
        self.computation = Tap(enter=self._begin, exit=self._end, error=_leave, unless=compiling())
        self.passage = Tap(enter=_enter, exit=_leave, error=_leave, unless=compiling())

    def made(self, args: tuple[Any, ...], _: Mapping[str, Any]) -> None:
        """Note the variable that a metric is stored in."""
        metric, key = args[0], id(args[0])

        def collected(reference: weakref.ref[Any]) -> None:
            known = _made.get(key)
            if known is not None and known.reference is reference:
                del _made[key]

        variable = self._capture.assigned_name(self._package)
        _made[key] = _Made(weakref.ref(metric, collected), variable)

    def _begin(self, _: tuple[Any, ...], __: Mapping[str, Any]) -> tuple[int, str | None]:
        """Enter; the phase is known now, since some compute in inference mode."""
        depth = _inside.depth
        _inside.depth = depth + 1
        outermost = depth == 0 and not self._capture.covered
        return depth, _phase(self._capture) if outermost else None

    def _end(
        self,
        state: tuple[int, str | None] | None,
        args: tuple[Any, ...],
        kwargs: Mapping[str, Any],
        result: Any,
    ) -> None:
        if state is None:
            return
        _leave(state, args, kwargs, result)
        if state[1] is None:
            return
        values = dict(_named(args[0], state[1], result))
        record(self._capture, values, source=self._package)


def _enter(_: tuple[Any, ...], __: Mapping[str, Any]) -> tuple[int, None]:
    depth = _inside.depth
    _inside.depth = depth + 1
    return depth, None


def _leave(state: Any, _: tuple[Any, ...], __: Mapping[str, Any], ___: Any) -> None:
    if state is not None:
        _inside.depth = state[0]


def _phase(capture: Capture) -> str:
    """Return what the training is doing, as far as it shows."""
    if not tracking.all():
        return "eval"
    torch: Any = import_module("torch")
    if not torch.is_grad_enabled():
        return "val"
    model = _trained(capture)
    return "train" if model is None or model.training else "val"


def _trained(capture: Capture) -> Any:
    """Return the module that the newest loop trains, or that is about to be trained."""
    loop = capture.loop()
    if loop is not None:
        return next(iter(trained.of_loop(loop).modules().values()), None)
    optimizers = [one.reference() for one in tracking.all()]
    return next((models.of_optimizer(one) for one in optimizers if one is not None), None)


def _named(metric: Any, phase: str, result: Any) -> Iterator[tuple[str, Any]]:
    """Name what a metric has computed."""
    made = _made.get(id(metric))
    if made is None or made.reference() is not metric:
        made = _Made(weakref.ref(metric), None)
    said, variable = _split(made.variable) if made.variable else (None, None)
    phase = said or phase
    if isinstance(result, dict):
        classes = _classes_in(metric)
        for key, value in cast("dict[Any, Any]", result).items():
            said, name = _split(str(key))
            yield f"{said or phase}/{classes.get(name, name)}", value
        return
    key = _key(made, phase, variable)
    elements = _elements(result)
    if elements is None:
        yield key, result
    elif len(elements) <= _ELEMENTS:
        for at, value in enumerate(elements):
            yield f"{key}/{at}", value


def _elements(result: Any) -> Sequence[Any] | None:
    """Return the elements of a list or a vector; None for a single value."""
    if isinstance(result, (list, tuple)):
        return cast("Sequence[Any]", result)
    if getattr(result, "ndim", 0) == 1 and result.numel() > 1:
        return result.unbind()
    return None


def _key(made: _Made, phase: str, variable: str | None) -> str:
    """Return the key of a metric: that of its class, unless another one in use has it."""
    cls = cast("type", type(made.reference()))
    own = _class_name(cls)
    if variable and _AGGREGATION in cls.__module__:
        own = variable
    key = f"{phase}/{own}"
    other = _called.get(key)
    if other is not None and other.reference() is not made.reference():
        there = other.reference() is not None
        if there and (variable is None or other.variable != made.variable):
            key = f"{phase}/{variable or own + '_2'}"
    _called[key] = made
    return key


def _class_name(cls: type) -> str:
    return _WORD.sub("_", _TASK.sub("", cls.__name__)).lower()


def _classes_in(collection: Any) -> dict[str, str]:
    """Return what the classes in a collection are called, by the names they have as its keys."""
    values = getattr(collection, "values", None)
    if values is None:
        return {}
    classes: set[type] = {type(one) for one in values(copy_state=False)}
    return {cls.__name__: _class_name(cls) for cls in classes}


def _split(name: str) -> tuple[str | None, str]:
    """Take the phase off the front of a name: `val_acc` is `acc` of `val`."""
    found = _PHASE.match(name)
    if found is None:
        return None, name
    return _PHASES.get(found[1], found[1]), found[2]
