"""What is recorded of the data of a loop: how its loader is set up, and what the dataset is.

Nothing is iterated and no item is read. A length is asked for only where torch's own samplers ask
for it too, before every pass.
"""

from __future__ import annotations

from importlib import import_module
from typing import Any, Final

from autolog.integration import Loop
from autolog_torch.passes import Source

__all__ = ["describe_data", "look_at"]

_OPTIONS: Final = ("num_workers", "drop_last", "pin_memory", "persistent_workers")


def describe_data(loop: Loop, source: Source, role: str) -> None:
    """Record a loader and its dataset; those of `train` have plain names, others `val.`."""
    setup = source.setup or {}
    if role != "train":
        setup = {
            f"{role}.{key}": setup[key] for key in ("batch_size", "dataset_size") if key in setup
        }
    loop.span.params(setup)
    loader = source.reference()
    iterator = source.iterator() if source.iterator is not None else None
    dataset = loader.dataset if loader is not None else getattr(iterator, "_dataset", None)
    if dataset is not None:
        loop.span.input(role, dataset, name=source.name)


def look_at(loader: Any, source: Source) -> None:
    """Note how a loader is set up: one that is written into a `for` is gone when that begins."""
    setup: dict[str, Any] = {}
    size = _batch_size(loader)
    if size is not None:
        setup["batch_size"] = size
    length = _length(loader)
    if length is not None:
        setup["dataset_size"] = length
    source.setup = setup | {f"loader.{name}": value for name, value in _set_up(loader).items()}


def _batch_size(loader: Any) -> int | None:
    if loader.batch_size is not None:
        return loader.batch_size
    sampler = loader.batch_sampler
    state: dict[str, Any] = getattr(sampler, "__dict__", {})
    size = state.get("batch_size")
    return size if isinstance(size, int) else None


def _length(loader: Any) -> int | None:
    """Return the length of a dataset that torch itself has asked for."""
    data: Any = import_module("torch.utils.data")
    state: dict[str, Any] = loader.__dict__
    kept = state.get("_IterableDataset_len_called")
    if isinstance(kept, int):
        return kept
    batched = loader.batch_sampler is None or type(loader.batch_sampler) is data.BatchSampler
    if not batched or type(loader.sampler) not in (data.SequentialSampler, data.RandomSampler):
        return None
    try:
        return len(loader.dataset)
    except Exception:  # the user's own: it was well when the pass began
        return None


def _set_up(loader: Any) -> dict[str, Any]:
    data: Any = import_module("torch.utils.data")
    found: dict[str, Any] = {name: getattr(loader, name) for name in _OPTIONS}
    sampler = loader.sampler if loader.batch_size is not None else loader.batch_sampler
    if sampler is not None:
        found["shuffle"] = type(sampler) is data.RandomSampler
        found["sampler"] = type(sampler).__name__
    if not isinstance(loader.dataset, data.IterableDataset):
        return found
    return {name: value for name, value in found.items() if name not in ("shuffle", "sampler")}
