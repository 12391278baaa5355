"""Which model a program is about to save, told from the object that it gives to be saved.

A module is one. A dictionary of tensors is the state of one if it came from `state_dict`, which
leaves its mark, or if its names are those of a module that is being trained. Both are looked for
in dictionaries and lists, a few levels deep: a cached data set is found to be none.
"""

from __future__ import annotations

import itertools
import sys
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any, Final, cast

from autolog_torch.tensors import named_tensors

__all__ = ["Held", "find_models", "is_module", "tensors_in"]

_DEPTH: Final = 3
_BREADTH: Final = 256
_WRAPPERS: Final = ("_forward_module.", "module.", "_orig_mod.")
"""What Fabric, DataParallel, DistributedDataParallel and compiled modules put before the names."""


@dataclass(frozen=True, slots=True)
class Held:
    """A model in an object: the keys that lead to it, and it itself or its state."""

    where: tuple[str | int, ...]
    module: Any = None
    state: Mapping[str, Any] | None = None
    marked: bool = False

    def is_state_of(self, module: Any) -> bool:
        """Whether it is this module, a wrapper or a part of it, or has its names."""
        if self.module is not None:
            mine = {id(one) for one in self.module.modules()}
            return id(module) in mine or any(one is self.module for one in module.modules())
        shapes = {name: tuple(one.shape) for name, one in named_tensors(module).items()}
        given = {_bare(name): one for name, one in (self.state or {}).items() if _is_tensor(one)}
        common = given.keys() & shapes.keys()
        if not common or not all(tuple(given[name].shape) == shapes[name] for name in common):
            return False
        return 2 * len(common) >= min(len(given), len(shapes))

    def shares_memory_with(self, module: Any) -> bool:
        """Whether it holds the tensors of this very module."""
        if self.module is not None:
            return self.is_state_of(module)
        places = {one.data_ptr() for one in named_tensors(module).values() if one.numel()}
        return any(
            _is_tensor(one) and one.data_ptr() in places for one in (self.state or {}).values()
        )


def find_models(thing: Any) -> list[Held]:
    """Return what may be models in an object that is saved; the caller knows the unmarked ones."""
    return list(_held(thing, (), _DEPTH))


def tensors_in(thing: Any) -> Iterator[Any]:
    """Yield the tensors and modules in an object that was loaded."""
    stack = [(thing, _DEPTH)]
    while stack:
        one, depth = stack.pop()
        if _is_tensor(one) or is_module(one):
            yield one
        elif depth and isinstance(one, Mapping):
            stack += [(value, depth - 1) for value in cast("Mapping[Any, Any]", one).values()]
        elif depth and isinstance(one, (list, tuple)):
            stack += [(value, depth - 1) for value in cast("list[Any]", one)]


def _held(thing: Any, where: tuple[str | int, ...], depth: int) -> Iterator[Held]:
    if is_module(thing):
        yield Held(where, module=thing, marked=True)
    elif isinstance(thing, Mapping):
        items = cast("Mapping[Any, Any]", thing)
        if _is_state(items):
            yield Held(where, state=items, marked=hasattr(items, "_metadata"))
        elif depth:
            for key, value in itertools.islice(items.items(), _BREADTH):
                if isinstance(key, (str, int)):
                    yield from _held(value, (*where, key), depth - 1)
    elif depth and isinstance(thing, (list, tuple)):
        for at, value in enumerate(itertools.islice(cast("list[Any]", thing), _BREADTH)):
            yield from _held(value, (*where, at), depth - 1)


def _is_state(items: Mapping[Any, Any]) -> bool:
    """Whether all keys are names and most values are tensors."""
    tensors = 0
    for key, value in items.items():
        if not isinstance(key, str):
            return False
        tensors += _is_tensor(value)
    return tensors > 0 and 2 * tensors >= len(items)


def _bare(name: str) -> str:
    for wrapper in _WRAPPERS:
        name = name.removeprefix(wrapper)
    return name


def _is_tensor(thing: Any) -> bool:
    return issubclass(type(thing), _torch().Tensor)


def is_module(thing: Any) -> bool:
    """Whether it is a module, by its type: no attribute of an unknown object is asked for."""
    return issubclass(type(thing), _torch().nn.Module)


def _torch() -> Any:
    return sys.modules["torch"]
