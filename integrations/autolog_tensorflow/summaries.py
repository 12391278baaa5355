"""Scalars that the user writes for TensorBoard: `tf.summary.scalar`.

They keep their tags and their steps; where they are written to is a tag of the run. Figures, images
and histograms are left to TensorBoard. What Keras' own callback writes are the logs of a fit, which
are recorded there. Inside of a `tf.function` a call notes down what is to be written, once, and has
no value: only a notice says so.
"""

from __future__ import annotations

import os
import sys
import weakref
from collections.abc import Mapping
from importlib import import_module
from typing import Any, Final

from autolog.integration import Capture, Detach, Tap
from autolog_tensorflow import framework
from autolog_tensorflow.callers import is_called_by_keras

__all__ = ["attach"]

SOURCE: Final = "tensorboard"


def attach(capture: Capture) -> Detach:
    """Watch the scalars, and which folders the writers write to."""
    if not capture.options.summaries:
        return lambda: None
    summary: Any = import_module("tensorflow").summary
    written = _Summaries(capture)
    undo = [
        capture.tap(sys.modules[function.__module__], function.__name__, Tap(exit=hook))
        for function, hook in (
            (summary.scalar, written.scalar),
            (summary.create_file_writer, written.opened),
        )
    ]

    def detach() -> None:
        for one in undo:
            one()

    return detach


class _Summaries:
    """What is written through the writers of this process."""

    def __init__(self, capture: Capture) -> None:
        self._capture = capture
        self._operations: Any = import_module("tensorflow.python.ops.summary_ops_v2")
        self._folders: dict[int, tuple[weakref.ref[Any], str]] = {}
        """The folder of each writer."""
        self._linked: weakref.WeakKeyDictionary[Any, list[str]] = weakref.WeakKeyDictionary()
        """The folders that the run of each loop is known to write to."""

    def opened(self, _: Any, args: tuple[Any, ...], kwargs: Mapping[str, Any], writer: Any) -> None:
        """A writer was made."""
        folder = args[0] if args else kwargs.get("logdir")
        if not isinstance(folder, (str, os.PathLike)):
            return
        key = id(writer)

        def closed(reference: weakref.ref[Any]) -> None:
            known = self._folders.get(key)
            if known is not None and known[0] is reference:
                del self._folders[key]

        self._folders[key] = (weakref.ref(writer, closed), os.fspath(folder))

    def scalar(self, _: Any, args: tuple[Any, ...], kwargs: Mapping[str, Any], result: Any) -> None:
        """A scalar was written, unless there is no writer or it is paused."""
        writer = _attribute(self._operations, "_summary_state", "writer")
        if writer is None or is_called_by_keras():
            return
        if not framework.is_eager():
            self._capture.notice(
                "summaries_in_graphs",
                "tf.summary.scalar inside of a tf.function writes its values from the graph, where"
                " they cannot be seen: they are in TensorBoard alone. Return the value and write"
                " it outside, or give it to autolog.log_metric there",
            )
            return
        if _is_here(result) and not bool(result):
            return
        name = args[0] if args else kwargs["name"]
        value = _number(args[1] if len(args) > 1 else kwargs["data"])
        step = args[2] if len(args) > 2 else kwargs.get("step")
        if step is None:
            step = import_module("tensorflow").summary.experimental.get_step()
        at = _number(step)
        if value is None or at is None:
            return
        scope = import_module("tensorflow").get_current_name_scope()
        tag = f"{scope}/{name}" if scope else str(name)
        self._capture.log({tag: value}, source=SOURCE, step=int(at))
        self._link(writer)

    def _link(self, writer: Any) -> None:
        """Say where the run is written to: the first folder, and those beside it."""
        known = self._folders.get(id(writer))
        if known is None or known[0]() is not writer:
            return
        around = self._capture.current() or self._capture.loop() or self._capture
        linked = self._linked.setdefault(around, [])
        if known[1] not in linked:
            linked.append(known[1])
            place = "" if len(linked) == 1 else f".{len(linked)}"
            self._capture.set_tag(f"{SOURCE}.log_dir{place}", known[1])


def _number(value: Any) -> float | None:
    """Return a number, or the only element of an array, an eager tensor or a variable.

    TensorFlow has brought a tensor to the CPU to write it.
    """
    if isinstance(value, (bool, int, float)):
        return float(value)
    try:
        array = value.numpy() if hasattr(value, "numpy") else value
        return float(array.item())
    except (AttributeError, TypeError, ValueError, NotImplementedError):
        return None


def _is_here(value: Any) -> bool:
    return "CPU" in getattr(value, "backing_device", "")


def _attribute(thing: Any, *names: str) -> Any:
    for name in names:
        thing = getattr(thing, name, None)
    return thing
