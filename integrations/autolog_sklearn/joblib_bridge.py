"""Carries the span of a training into joblib's worker threads.

A context variable does not follow work into a thread: without the bridge a bagging or a grid
search on the threading backend opens a run for each inner fit
(quirk sklearn-joblib-threads-lose-context). The span travels on the batch of calls; joblib drops
the attribute when it pickles a batch, so nothing of it reaches a worker process.
"""

from __future__ import annotations

from contextlib import ExitStack
from importlib import import_module
from typing import Any

from autolog.integration import Call, Capture, Detach, Hook

__all__ = ["attach"]

_SPAN = "_autolog_span"


def attach(capture: Capture) -> Detach:
    """Watch `joblib.parallel.BatchedCalls`."""

    def made(call: Call, _: Any) -> None:
        span = capture.current()
        if span is not None:
            setattr(call.instance, _SPAN, span)

    def enter(call: Call) -> None:
        span = getattr(call.instance, _SPAN, None)
        if span is not None and capture.current() is None:
            stack = ExitStack()
            stack.enter_context(capture.enclosed(span))
            call.state["stack"] = stack

    def leave(call: Call, _: Any) -> None:
        stack = call.state.pop("stack", None)
        if stack is not None:
            stack.close()

    batched: Any = import_module("joblib.parallel").BatchedCalls
    detaches = (
        capture.patch(batched, "__init__", Hook(exit=made)),
        capture.patch(batched, "__call__", Hook(enter=enter, exit=leave, error=leave)),
    )

    def detach() -> None:
        for one in detaches:
            one()

    return detach
