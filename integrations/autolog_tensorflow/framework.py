"""The few functions of TensorFlow that hooks need, found once TensorFlow is there."""

from __future__ import annotations

from collections.abc import Callable
from importlib import import_module
from typing import Any

__all__ = ["first_leaf", "flatten", "graph_now", "is_eager", "look_up", "replica"]


class _Found:
    is_eager: Callable[[], bool]
    graph: Callable[[], Any]
    flatten: Callable[..., list[Any]]
    has_strategy: Callable[[], bool]
    replica_context: Callable[[], Any]


_found = _Found()


def look_up() -> None:
    """Find them; TensorFlow must be there as a whole."""
    tensorflow: Any = import_module("tensorflow")
    _found.is_eager = tensorflow.executing_eagerly
    _found.graph = tensorflow.compat.v1.get_default_graph
    _found.flatten = tensorflow.nest.flatten
    _found.has_strategy = tensorflow.distribute.has_strategy
    _found.replica_context = tensorflow.distribute.get_replica_context


def is_eager() -> bool:
    """Whether what is called now is done now, and not noted down in a graph."""
    return _found.is_eager()


def graph_now() -> Any:
    """Return the graph that is being built; None if it is none of a `tf.function`."""
    graph = _found.graph()
    return graph if graph.building_function else None


def flatten(structure: Any) -> list[Any]:
    """Return the tensors and other leaves of a structure, without what is None."""
    return [one for one in _found.flatten(structure, expand_composites=True) if one is not None]


def first_leaf(structure: Any) -> Any:
    """Return the first thing in nested tuples, lists and dictionaries; None if there is none."""
    leaf: Any = structure
    while issubclass(type(leaf), (tuple, list, dict)):
        parts: Any = leaf.values() if issubclass(type(leaf), dict) else leaf
        leaf = next(iter(parts), None)
    return leaf


def replica() -> int | None:
    """Return the number of the replica that this code runs for; None if there is only one."""
    if not _found.has_strategy():
        return None
    context = _found.replica_context()
    if context is None or context.num_replicas_in_sync < 2:
        return None
    number = getattr(context, "_replica_id", 0)
    return number if isinstance(number, int) else 0
