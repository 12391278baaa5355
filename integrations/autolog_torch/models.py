"""Which module an optimizer trains: the one that holds all of its parameters, and no other.

A module may hold nothing but a part that holds them all (`self.main = nn.Sequential(...)`): then it
is the module meant. What torch or a launcher wraps around a module is not.

Modules tell of their parameters and their parts through torch's registration hooks as they are
built; nothing is kept alive. A module that came about without building (a copy, a pickle, before
autolog was on) is looked for once, among the objects of the process.
"""

from __future__ import annotations

import gc
import weakref
from collections.abc import Mapping
from importlib import import_module
from typing import Any

from autolog.integration import Capture, Detach, Tap
from autolog_torch.compiling import compiling

__all__ = ["attach", "of_optimizer", "of_parameters", "root_of", "parent_of"]

_holders: dict[int, tuple[weakref.ref[Any], weakref.ref[Any]]] = {}
"""By the id of a parameter: the parameter, and the module that holds it."""
_parents: weakref.WeakKeyDictionary[Any, weakref.ref[Any]] = weakref.WeakKeyDictionary()
"""The module that a module is a part of."""
_looked_around = False
_WRAPPING = frozenset(
    {"accelerate", "deepspeed", "lightning", "lightning_fabric", "pytorch_lightning", "torch"}
)
"""Packages whose modules, around another one with the same parameters, are not what is meant."""


def attach(capture: Capture) -> Detach:
    """Listen to modules as they are built."""
    module: Any = import_module("torch.nn.modules.module")
    handles = [
        module.register_module_parameter_registration_hook(capture.guarded(_holds)),
        module.register_module_module_registration_hook(capture.guarded(_contains)),
    ]
    untap = capture.tap(module.Module, "__setstate__", Tap(exit=_restored, unless=compiling()))

    def detach() -> None:
        global _looked_around
        for handle in handles:
            handle.remove()
        untap()
        _holders.clear()
        _parents.clear()
        _looked_around = False

    return detach


def of_optimizer(optimizer: Any) -> Any:
    """Return the module whose parameters an optimizer trains; None if there is none."""
    return of_parameters([one for group in optimizer.param_groups for one in group["params"]])


def of_parameters(parameters: list[Any]) -> Any:
    """Return the module that is nothing but these parameters, or the smallest that holds them."""
    if not parameters:
        return None
    found = _climb(parameters)
    if found is None and not _looked_around:
        _look_around()
        found = _climb(parameters)
    return found


def parent_of(module: Any) -> Any:
    """Return the module that a module is a part of, as far as that is known."""
    parent = _parents.get(module)
    return parent() if parent is not None else None


def root_of(module: Any) -> Any:
    """Return the module that is no part of another, and that this one is or is a part of."""
    seen = {id(module)}
    while (parent := parent_of(module)) is not None and id(parent) not in seen:
        seen.add(id(parent))
        module = parent
    return module


def _climb(parameters: list[Any]) -> Any:
    entry = _holders.get(id(parameters[0]))
    if entry is None or entry[0]() is not parameters[0]:
        return None
    wanted = {id(one) for one in parameters}
    module = entry[1]()
    while module is not None:
        held = {id(one) for one in module.parameters()}
        if wanted <= held:
            return _alone(module, held)
        module = parent_of(module)
    return None


def _alone(module: Any, held: set[int]) -> Any:
    """Return the outermost module around this one that has the same parameters."""
    above, seen = parent_of(module), {id(module)}
    while above is not None and id(above) not in seen:
        package = type(above).__module__.partition(".")[0]
        if package in _WRAPPING or held != {id(one) for one in above.parameters()}:
            break
        seen.add(id(above))
        module, above = above, parent_of(above)
    return module


def _holds(module: Any, _: str, parameter: Any) -> None:
    if parameter is None:
        return
    key = id(parameter)

    def forget(reference: weakref.ref[Any]) -> None:
        known = _holders.get(key)
        if known is not None and known[0] is reference:
            del _holders[key]

    known = _holders.get(key)
    if known is None or known[0]() is not parameter or known[1]() is None:
        _holders[key] = (weakref.ref(parameter, forget), weakref.ref(module))


def _contains(whole: Any, _: str, part: Any) -> None:
    if part is not None:
        _parents[part] = weakref.ref(whole)


def _restored(_: Any, args: tuple[Any, ...], __: Mapping[str, Any], ___: Any) -> None:
    """A copy or an unpickled module has got its parameters and parts."""
    _take(args[0])


def _take(module: Any) -> None:
    parameters: dict[str, Any] = getattr(module, "_parameters", {})
    parts: dict[str, Any] = getattr(module, "_modules", {})
    for name, parameter in parameters.items():
        _holds(module, name, parameter)
    for name, part in parts.items():
        _contains(module, name, part)


def _look_around() -> None:
    """Find the modules that were built before autolog was on; once, since it looks everywhere."""
    global _looked_around
    _looked_around = True
    cls = import_module("torch.nn.modules.module").Module
    things: list[Any] = gc.get_objects()
    for thing in things:
        if issubclass(type(thing), cls):
            _take(thing)
