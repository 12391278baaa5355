"""What the contract suite looks at: a training's result, a method's traits, the framework's state.

Everything is given as text or plain lists, so that two processes, one with autolog and one
without, can be compared.
"""

from __future__ import annotations

import builtins
import contextlib
import copy
import hashlib
import importlib
import inspect
import logging
import os
import pickle
import random
import re
import signal
import sys
import threading
import traceback
import warnings
import weakref
from collections.abc import Callable, Iterable
from types import FunctionType, ModuleType
from typing import Any

from autolog.integration import Example

__all__ = [
    "attributes",
    "bound_method",
    "differences",
    "failure",
    "locate",
    "predictions",
    "process_state",
    "training",
    "traits",
]

Found = dict[str, Any]

_UNKNOWN = "autolog_contract_unknown_argument"

_OF_PYTHON = frozenset({"__slotnames__", "__annotations_cache__"})
"""What copyreg and annotationlib keep on a class that was pickled or inspected."""


def locate(reference: str) -> Any:
    """Import what `"package.module:Class"` names, or the module `"package.module"`."""
    name, _, path = reference.partition(":")
    found: Any = importlib.import_module(name)
    for part in filter(None, path.split(".")):
        found = getattr(found, part)
    return found


def training(example: Example) -> tuple[Any, Found]:
    """Train once from the same seeds: the model, and digests of all that must not change."""
    random.seed(0)
    numpy, torch = sys.modules.get("numpy"), sys.modules.get("torch")
    if numpy is not None:
        numpy.random.seed(0)
    if torch is not None:
        torch.manual_seed(0)
    model, result = example.train()
    states = [repr(random.getstate())]
    if numpy is not None:
        states.append(repr(numpy.random.get_state(legacy=False)["state"]["key"].tobytes()))
        states.append(repr(numpy.random.get_state()[2:]))
    if torch is not None:
        states.append(repr(torch.get_rng_state().tolist()))
    return model, {
        "result": _digest(pickle.dumps(result)),
        "random": _digest("".join(states).encode()),
        "attributes of the model": sorted(getattr(model, "__dict__", ())),
    }


def bound_method(example: Example, model: Any) -> Any:
    """The method of the example's model; of the owner, if the model is of another class."""
    owner = locate(example.owner)
    bound = isinstance(owner, type) and isinstance(model, owner)
    return getattr(model if bound else owner, example.method)


def failure(example: Example, model: Any) -> Found | None:
    """What the user sees of a training that fails; None if it does not fail."""
    function = bound_method(example, model)
    call = example.fails or (lambda: function(**{_UNKNOWN: 1}))
    try:
        call()
    except Exception as exc:
        frames = traceback.extract_tb(exc.__traceback__)
        chain = (exc.__cause__, exc.__context__)
        return {
            "type": type(exc).__qualname__,
            "text": _without_addresses(str(exc)),
            "chain": [type(one).__qualname__ if one else None for one in chain],
            "frames": [one.name for one in frames if "autolog engine" not in one.filename],
        }
    return None


def predictions(example: Example, model: Any) -> str:
    """A digest of what a model computes: its predictions, or else its pickle."""
    if example.predict is not None:
        return _digest(pickle.dumps(example.predict(model)))
    # Only what has been through a pickle once gives the same bytes again.
    return _digest(pickle.dumps(pickle.loads(pickle.dumps(model))))  # noqa: S301


def traits(example: Example, model: Any) -> dict[str, str]:
    """How the method and the model describe themselves, and how copying and pickling go."""
    method = getattr(locate(example.owner), example.method)
    bound = bound_method(example, model)
    found = {
        name: _without_addresses(str(getattr(method, name, None)))
        for name in ("__name__", "__qualname__", "__module__", "__doc__")
    }
    trials: dict[str, Callable[[], Any]] = {
        "signature": lambda: inspect.signature(method),
        "signature of the bound method": lambda: inspect.signature(bound),
        "source": lambda: _digest(inspect.getsource(method).encode()),
        "kind": lambda: (inspect.isfunction(method), inspect.ismethod(bound)),
        "pickle of the method": lambda: _same_kind(bound, pickle.loads(pickle.dumps(bound))),  # noqa: S301
        "pickle of the model": lambda: _same_kind(model, pickle.loads(pickle.dumps(model))),  # noqa: S301
        "cloudpickle of the method": lambda: _through_cloudpickle(bound),
        "cloudpickle of the model": lambda: _through_cloudpickle(model),
        "copy of the model": lambda: _same_kind(model, copy.copy(model)),
        "deepcopy of the method": lambda: _same_kind(bound, copy.deepcopy(bound)),
        "deepcopy of the model": lambda: _same_kind(model, copy.deepcopy(model)),
        "weakref.WeakMethod": lambda: weakref.WeakMethod(bound)() == bound,
        "clone": lambda: _clone(model),
    }
    for name, trial in trials.items():
        try:
            found[name] = _without_addresses(str(trial()))
        except Exception as exc:
            found[name] = _without_addresses(f"{type(exc).__name__}: {exc}")
    return found


def process_state() -> dict[str, Any]:
    """What belongs to the whole process, and to the user: hooks, handlers, threads."""
    handlers: dict[str, Any] = {}
    for number in signal.valid_signals():
        with contextlib.suppress(ValueError):
            handlers[f"handler of signal {int(number)}"] = signal.getsignal(number)
    return {
        "sys.excepthook": sys.excepthook,
        "sys.unraisablehook": sys.unraisablehook,
        "sys.displayhook": sys.displayhook,
        "sys.path": tuple(sys.path),
        "sys.path_hooks": tuple(sys.path_hooks),
        "threading.excepthook": threading.excepthook,
        "threads": threading.active_count(),
        "builtins.__import__": builtins.__import__,
        "warnings.showwarning": warnings.showwarning,
        "logging handlers": tuple(logging.root.handlers),
        "logging level": logging.root.level,
        "working directory": os.getcwd(),  # noqa: PTH109
        "environment": {k: v for k, v in os.environ.items() if not k.startswith("AUTOLOG_")},
        **handlers,
    }


def attributes(tops: Iterable[str]) -> dict[str, tuple[Any, ...]]:
    """All functions (with code and attributes) and class attributes of some packages.

    Of a module, only what is a function or a class counts: its other names are caches and
    counters, which change with each training.
    """
    wanted = frozenset(tops)
    found: dict[str, tuple[Any, ...]] = {}
    modules: list[tuple[str, object]] = list(sys.modules.items())
    for name, module in modules:
        if name.partition(".")[0] not in wanted or not isinstance(module, ModuleType):
            continue
        for key, value in list(vars(module).items()):
            place = f"{name}:{key}"
            if isinstance(value, FunctionType):
                own = vars(value)
                found[place] = (value, value.__code__, *own, *own.values())
            elif isinstance(value, type):
                found[place] = (value,)
                if value.__module__.partition(".")[0] in wanted:
                    for attribute, inner in list(vars(value).items()):
                        if attribute not in _OF_PYTHON:
                            found[f"{place}.{attribute}"] = (inner,)
            elif callable(value):
                found[place] = (value,)
    return found


def differences(before: dict[str, tuple[Any, ...]], after: dict[str, tuple[Any, ...]]) -> list[str]:
    """Where two `attributes` differ; names that a module gained by lazy imports do not count."""
    places = [name for name in before if name not in after]
    for name, parts in after.items():
        known = before.get(name)
        if known is None:
            if "." in name.partition(":")[2] and name.rpartition(".")[0] in before:
                places.append(name)
        elif len(known) != len(parts) or any(
            old is not new and not (isinstance(old, str) and old == new)
            for old, new in zip(known, parts, strict=True)
        ):
            places.append(name)
    return sorted(places)


def _same_kind(before: Any, after: Any) -> str:
    if type(after) is not type(before):
        return f"gives a {type(after).__name__} for a {type(before).__name__}"
    return f"gives {getattr(after, '__name__', type(after).__name__)}"


def _through_cloudpickle(thing: Any) -> str:
    try:
        cloudpickle: Any = importlib.import_module("cloudpickle")
    except ModuleNotFoundError:
        return "not installed"
    return _same_kind(thing, pickle.loads(cloudpickle.dumps(thing)))  # noqa: S301


def _clone(model: Any) -> str:
    if not hasattr(model, "get_params") or "sklearn" not in sys.modules:
        return "not applicable"
    return _same_kind(model, importlib.import_module("sklearn.base").clone(model))


def _digest(data: bytes) -> str:
    return hashlib.sha256(data).hexdigest()


def _without_addresses(text: str) -> str:
    return re.sub(r"0x[0-9a-f]+", "0x", text)
