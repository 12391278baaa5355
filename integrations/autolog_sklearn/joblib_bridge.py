"""Carries the span of a training into joblib's worker threads.

A context variable does not follow work into a thread: without the bridge a bagging or a grid
search on the threading backend opens a run for each inner fit
(quirk sklearn-joblib-threads-lose-context). The span travels on the batch of calls; joblib drops
the attribute when it pickles a batch, so nothing of it reaches a worker process.

What a user trains in joblib's processes, outside of any training that is watched, is not recorded
there: that is said once.
"""

from __future__ import annotations

import weakref
from collections.abc import Iterable
from contextlib import ExitStack
from importlib import import_module
from types import FunctionType, MethodType
from typing import Any, Final

from autolog.integration import Call, Capture, Detach, Hook, Span
from autolog_sklearn import extract

__all__ = ["attach"]

_SPAN = "_autolog_span"

_FITS: Final = frozenset({"fit", "fit_predict", "fit_transform", "partial_fit"})
_WITHIN: Final = 50
"""Arguments and names of a function that are looked at."""


def attach(capture: Capture) -> Detach:
    """Watch `joblib.Parallel` and its batches."""
    spans: weakref.WeakKeyDictionary[Any, Span] = weakref.WeakKeyDictionary()
    """Which training a parallel works for: later batches are made in a thread of joblib's."""

    def begins(call: Call) -> None:
        span = capture.current()
        if span is not None:
            spans[call.instance] = span
        else:
            spans.pop(call.instance, None)

    def sent(call: Call) -> None:
        """Let a batch carry its span; tell of one that is the user's and leaves this process."""
        batch: Any = (call.bound or {}).get("batch")
        span = capture.current() or spans.get(call.instance)
        if batch is None:
            return
        if span is not None:
            setattr(batch, _SPAN, span)
        elif not _shares_memory(call.instance) and any(_trains(*item) for item in batch.items):
            capture.notice(
                "joblib_processes",
                "models that joblib fits in worker processes are not recorded: to record them, use"
                ' joblib.parallel_config(backend="threading"), or fit them in this process',
            )

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

    module: Any = import_module("joblib.parallel")
    batched: Any = module.BatchedCalls
    detaches = (
        capture.patch(module.Parallel, "_dispatch", Hook(enter=sent)),
        capture.patch(module.Parallel, "__call__", Hook(enter=begins)),
        capture.patch(batched, "__call__", Hook(enter=enter, exit=leave, error=leave)),
    )

    def detach() -> None:
        for one in detaches:
            one()

    return detach


def _shares_memory(parallel: Any) -> bool:
    """Whether the backend works in this process; those that do say so."""
    backend = extract.known_of(parallel).get("_backend")
    return backend is None or bool(getattr(backend, "supports_sharedmem", False))


def _trains(function: Any, args: Iterable[Any] = (), keywords: Any = None) -> bool:
    """Whether a call that was put off is a fit, calls one itself, or is given an estimator.

    Functions of scikit-learn itself are none: what trains there is watched, or off.
    """
    if extract.class_of(function).__name__ == "_FuncWrapper":  # scikit-learn's own `delayed`
        function = function.function
    if isinstance(function, FunctionType) and str(function.__module__).startswith("sklearn."):
        return False
    if isinstance(function, MethodType) and function.__name__ in _FITS:
        return _is_estimator(function.__self__)
    given: list[Any] = [*args, *(keywords or {}).values()]
    return any(_is_estimator(one) for one in given[:_WITHIN]) or _calls_fit(function)


def _calls_fit(function: Any, depth: int = 1) -> bool:
    """Whether the text of a function, or of one that it names, has a call of `.fit`."""
    if not isinstance(function, FunctionType):
        return False
    names = function.__code__.co_names
    if not _FITS.isdisjoint(names):
        return True
    known = function.__globals__
    return depth > 0 and any(_calls_fit(known.get(name), depth - 1) for name in names[:_WITHIN])


def _is_estimator(thing: Any) -> bool:
    cls = extract.class_of(thing)
    return hasattr(cls, "get_params") and hasattr(cls, "fit")
