"""Finds the classes of estimators: those that are loaded, and those that will be defined.

`BaseEstimator.__subclasses__()` knows the former, `__init_subclass__` tells of the latter; a list
of all of scikit-learn's would import it.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from importlib import import_module
from typing import Any

from autolog.integration import Call, Capture, Detach, Hook

__all__ = ["watch_classes"]


def watch_classes(capture: Capture, found: Callable[[type], None]) -> Detach:
    """Call `found` with each class of estimators, once it is whole."""
    module: Any = import_module("sklearn.base")  # not yet an attribute of its package
    base: type = module.BaseEstimator
    for cls in [base, *_subclasses(base)]:
        found(cls)
    # Where output is wrapped by a mixin's __init_subclass__, it is wrapped after the base's.
    mixin: type = getattr(import_module("sklearn.utils._set_output"), "_SetOutputMixin", base)
    owners = dict.fromkeys((base, mixin))

    def hook_of(owner: type) -> Hook:
        def defined(call: Call, _: Any) -> None:
            cls: type = call.instance
            if owner is next((one for one in cls.__mro__ if one in owners), owner):
                found(cls)

        return Hook(exit=defined)

    detaches = [capture.patch(owner, "__init_subclass__", hook_of(owner)) for owner in owners]

    def detach() -> None:
        for one in detaches:
            one()

    return detach


def _subclasses(cls: type) -> Iterator[type]:
    for child in type.__subclasses__(cls):
        yield child
        yield from _subclasses(child)
