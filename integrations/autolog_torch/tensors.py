"""The weights of a module by name, and how they are written to a file of safetensors."""

from __future__ import annotations

import contextlib
import json
import threading
from collections.abc import Generator, Iterator, Mapping
from importlib import import_module
from pathlib import Path
from typing import Any, cast

__all__ = ["is_own", "is_sharded", "named_tensors", "size_of", "write_tensors", "writing_own"]

_SHARDED = frozenset({"DTensor", "FlatParameter"})


class _Own(threading.local):
    writing = False


_own = _Own()


def named_tensors(module: Any) -> dict[str, Any]:
    """Return what `state_dict` holds by default, calling no code of the user's.

    Modules of a distributed training gather their shards in hooks of `state_dict`, which would wait
    for the other processes.
    """
    return dict(_tensors(module, "", set()))


def write_tensors(tensors: Mapping[str, Any], path: Path) -> None:
    """Write tensors to a safetensors file: those on a device are copied from it, which waits.

    A tensor that stands under several names is written once.

    Raises:
        ValueError: one is of a kind that has no place there.
    """
    save_file = import_module("safetensors.torch").save_file
    kept: dict[str, Any] = {}
    tied: dict[str, str] = {}
    places: dict[tuple[Any, ...], str] = {}
    for name, tensor in tensors.items():
        plain = tensor.detach()
        if type(plain).__name__ not in ("Tensor", "Parameter") or plain.is_sparse:
            raise ValueError(f"{name} is a {type(tensor).__name__} of layout {tensor.layout}")
        shape = (tuple(plain.shape), plain.stride(), plain.dtype)
        place = (plain.device, plain.data_ptr(), *shape)
        if plain.numel() and place in places:
            tied[name] = places[place]
            continue
        places[place] = name
        kept[name] = plain.cpu()
    kept = _apart(kept)
    metadata = {"format": "pt", "order": json.dumps(list(tensors))}
    if tied:
        metadata["tied"] = json.dumps(tied)
    with writing_own():
        save_file(kept, path, metadata=metadata)


def size_of(tensors: Mapping[str, Any]) -> int:
    """Return the bytes of all tensors; what stands under several names counts once."""
    sizes = {
        (one.data_ptr(), tuple(one.shape)): one.numel() * one.element_size()
        for one in tensors.values()
    }
    return sum(sizes.values())


def is_sharded(tensors: Mapping[str, Any]) -> bool:
    """Whether each process of a distributed training holds a part of them."""
    return any(type(one).__name__ in _SHARDED for one in tensors.values())


@contextlib.contextmanager
def writing_own() -> Generator[None]:
    """Mark what is written in this thread as ours."""
    _own.writing = True
    try:
        yield
    finally:
        _own.writing = False


def is_own() -> bool:
    """Whether we ourselves are writing in this thread."""
    return _own.writing


def _tensors(module: Any, prefix: str, seen: set[int]) -> Iterator[tuple[str, Any]]:
    known = cast("dict[str, dict[str, Any]]", vars(module))
    transient: Any = known.get("_non_persistent_buffers_set", ())
    for name, tensor in known.get("_parameters", {}).items():
        if tensor is not None:
            yield f"{prefix}{name}", tensor
    for name, tensor in known.get("_buffers", {}).items():
        if tensor is not None and name not in transient:
            yield f"{prefix}{name}", tensor
    for name, part in known.get("_modules", {}).items():
        if part is not None and id(part) not in seen:  # of itself: a cycle has no state dict
            yield from _tensors(part, f"{prefix}{name}.", seen | {id(part)})


def _apart(tensors: dict[str, Any]) -> dict[str, Any]:
    """Make each tensor dense, with a memory of its own."""
    taken: set[int] = set()
    apart: dict[str, Any] = {}
    for name, tensor in tensors.items():
        storage = tensor.untyped_storage().data_ptr()
        if not tensor.is_contiguous() or (tensor.numel() and storage in taken):
            apart[name] = tensor.clone(memory_format=_contiguous())
        else:
            apart[name] = tensor
            taken.add(storage)
    return apart


def _contiguous() -> Any:
    return cast("Any", import_module("torch")).contiguous_format
