"""Metrics whose results the user's own code asks for, in loops that no `fit` makes.

What counts is `result()` called by the user's code where values are computed at once: not by Keras
(`Metric.__call__`, `fit`, `train_on_batch`), not by another metric, and not while a function is
traced, where a result is no number. It is recorded at the step of the loop, under the metric's own
name, or under the variable's where several metrics have that name by default.

The classes in use are watched, from their first instance on. On TensorFlow those of users are not:
AutoGraph translates what it finds in a user's class from its source, and a wrapper has none. Where
such a class leaves `result` to Keras, its results are seen.
"""

from __future__ import annotations

import sys
import threading
import weakref
from collections.abc import Iterator, Mapping
from importlib import import_module
from types import FrameType
from typing import Any, Final, NamedTuple, cast

from autolog.integration import Capture, Detach, Tap
from autolog_keras.held import Held, is_single, plain

__all__ = ["attach"]

SOURCE: Final = "keras_metric"

_ENGINE: Final = "<autolog"
_IN_BETWEEN: Final = frozenset({"decorated", "merge_fn_wrapper", "result_fn"})
"""What tf_keras puts around the `result` of each metric."""
_OF_A_METRIC: Final = frozenset({"__call__", "result", "update_state"})
"""Methods in which a metric asks another one."""
_TRANSLATED: Final = "tf__"
"""What AutoGraph puts before the name of a function: tf_keras has it translate those of users."""
_DEPTH: Final = 24

_get_frame = sys._getframe  # noqa: SLF001 # pyright: ignore[reportPrivateUsage]


class _Inside(threading.local):
    """How deep in results this thread is."""

    depth = 0


class _Made(NamedTuple):
    """A metric that was made, and the variable it was stored in."""

    reference: weakref.ref[Any]
    variable: str | None


def attach(capture: Capture, namespace: str) -> Detach:
    """Watch the metrics of one package, `keras` or `tf_keras`, and those of users."""
    keras: Any = sys.modules[namespace]
    return _Metrics(capture, keras.metrics.Metric, namespace).detach


class _Metrics:
    """The metrics of one package."""

    def __init__(self, capture: Capture, base: Any, namespace: str) -> None:
        self._capture = capture
        self._base = base
        self._namespace = namespace
        self._translated = _translates(namespace)
        self._inside = _Inside()
        self._held = Held()
        self._classes: weakref.WeakSet[type] = weakref.WeakSet()
        self._made: dict[int, _Made] = {}
        self._newest: dict[int, tuple[Any, ...]] = {}
        """By the id of each metric: the loop, its step and the values that were recorded last."""
        self._result = Tap(enter=self._enter, exit=self._end, error=self._leave, unless=_tracing())
        self._undo = [
            capture.tap(base, "__init__", Tap(enter=self._is_made)),
            capture.on_settle(self._held.read),
        ]
        if "__new__" in vars(base):
            # quirk keras-two-namespaces: tf_keras binds the result of an instance when it is made
            self._undo.append(capture.tap(base, "__new__", Tap(enter=self._is_new)))

    def detach(self) -> None:
        """Let go of all classes."""
        self._held.read()
        for undo in self._undo[::-1]:
            undo()
        self._made.clear()
        self._newest.clear()

    # -- which metrics there are -------------------------------------------------------------

    def _is_new(self, args: tuple[Any, ...], _: Mapping[str, Any]) -> None:
        self._watch(args[0])

    def _is_made(self, args: tuple[Any, ...], _: Mapping[str, Any]) -> None:
        metric, key = args[0], id(args[0])
        self._watch(type(cast("object", metric)))

        def collected(reference: weakref.ref[Any]) -> None:
            known = self._made.get(key)
            if known is not None and known.reference is reference:
                del self._made[key]
                self._newest.pop(key, None)

        variable = self._capture.assigned_name(self._namespace)
        self._made[key] = _Made(weakref.ref(metric, collected), variable)

    def _watch(self, cls: type) -> None:
        for one in cls.__mro__:
            if one in self._classes or not issubclass(one, self._base):
                continue
            self._classes.add(one)
            # quirk tensorflow-autograph-skips-wrapped: see above
            left_alone = self._translated and one.__module__.partition(".")[0] != self._namespace
            # That of the base itself raises.
            if "result" in vars(one) and one is not self._base and not left_alone:
                self._undo.append(self._capture.tap(one, "result", self._result))

    # -- around a result ---------------------------------------------------------------------

    def _enter(self, _: tuple[Any, ...], __: Mapping[str, Any]) -> int:
        depth = self._inside.depth
        self._inside.depth = depth + 1
        return depth

    def _leave(self, depth: Any, _: tuple[Any, ...], __: Mapping[str, Any], ___: Any) -> None:
        if depth is not None:
            self._inside.depth = depth

    def _end(
        self, depth: Any, args: tuple[Any, ...], kwargs: Mapping[str, Any], result: Any
    ) -> None:
        self._leave(depth, args, kwargs, result)
        if depth == 0 and not self._capture.covered and self._is_asked_by_user():
            self._record(args[0], result)

    def _is_asked_by_user(self) -> bool:
        """Whether the frame around the result is the user's, and is none of a metric."""
        frame: FrameType | None = _get_frame(2)
        reached = False
        for _ in range(_DEPTH):
            if frame is None:
                return False
            name = frame.f_code.co_name.removeprefix(_TRANSLATED)
            home = str(frame.f_globals.get("__name__", ""))
            if frame.f_code.co_filename.startswith(_ENGINE):
                reached = True
            elif reached and not self._is_in_between(name, home):
                return name not in _OF_A_METRIC and home.partition(".")[0] != self._namespace
            frame = frame.f_back
        return False

    def _is_in_between(self, name: str, home: str) -> bool:
        package = home.partition(".")[0]
        return package == "tensorflow" or (package == self._namespace and name in _IN_BETWEEN)

    # -- recording ---------------------------------------------------------------------------

    def _record(self, metric: Any, result: Any) -> None:
        found = ((key, plain(value)) for key, value in self._named(metric, result))
        named = {key: value for key, value in found if is_single(value)}
        if not named:
            return
        loop = self._capture.loop()
        step = loop.step if loop is not None else None
        reference, key = (weakref.ref(loop) if loop is not None else None), id(metric)

        def write(values: list[float]) -> None:
            state = (reference, step, *values)
            if self._newest.get(key) != state or reference is None:
                if key in self._made:
                    self._newest[key] = state
                found = dict(zip(named, values, strict=True))
                self._capture.log(found, source=SOURCE, step=step, opens=False)

        self._held.give([*named.values()], write)

    def _named(self, metric: Any, result: Any) -> Iterator[tuple[str, Any]]:
        """Name a result; the parts of one that is a dictionary have names of their own in Keras."""
        if isinstance(result, dict):
            for key, value in cast("dict[Any, Any]", result).items():
                yield str(key), value
            return
        name = str(metric.name)
        made = self._made.get(id(metric))
        if made is not None and made.variable and self._is_shared(name):
            name = made.variable
        yield name, result

    def _is_shared(self, name: str) -> bool:
        """Whether several metrics have this name."""
        there = [made.reference() for made in list(self._made.values())]
        return sum(one is not None and getattr(one, "name", None) == name for one in there) > 1


def _translates(namespace: str) -> bool:
    """Whether AutoGraph may come upon these metrics."""
    return namespace == "tf_keras" or sys.modules[namespace].backend.backend() == "tensorflow"


def _tracing() -> Any:
    """Return what tells that PyTorch compiles, where it is there: it must not see the tap."""
    if "torch.compiler" not in sys.modules:
        return None
    return import_module("torch.compiler").is_compiling
