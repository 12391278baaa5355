"""Groups of metrics that were logged together: what a seal makes chunks of."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from autolog.store.sql import blob, sealed

__all__ = ["Group", "behind", "groups_of", "part_of"]


@dataclass(slots=True)
class Group:
    """Points of several metrics at the same places: `values` has one row per key."""

    context: int
    attempt: int
    keys: list[int]
    axis: sealed.Axis
    values: NDArray[np.float64]


def groups_of(blocks: Iterable[tuple[int, blob.Block]]) -> Iterator[Group]:
    """Put blocks together whose keys occur in the same ones, each group in order."""
    by_place: dict[tuple[int, int], dict[bytes, list[tuple[int, blob.Block]]]] = {}
    for no, block in blocks:
        shapes = by_place.setdefault((block.context, block.attempt), {})
        shapes.setdefault(block.keys.tobytes(), []).append((no, block))
    for (context, attempt), shapes in by_place.items():
        columns: dict[int, list[tuple[bytes, int]]] = defaultdict(list)
        for shape, several in shapes.items():
            for column, key_id in enumerate(several[0][1].keys.tolist()):
                columns[key_id].append((shape, column))
        alike: dict[tuple[bytes, ...], list[int]] = defaultdict(list)
        for key_id, where in columns.items():
            alike[tuple(shape for shape, _ in where)].append(key_id)
        for names, keys in alike.items():
            parts = [
                (no, block, [columns[key_id][at][1] for key_id in keys])
                for at, shape in enumerate(names)
                for no, block in shapes[shape]
            ]
            yield _joined(context, attempt, keys, parts)


def _joined(
    context: int, attempt: int, keys: list[int], parts: Sequence[tuple[int, blob.Block, list[int]]]
) -> Group:
    blocks = [block for _, block, _ in parts]
    axis = sealed.Axis(
        np.concatenate([block.step for block in blocks]),
        np.concatenate([block.wall_us for block in blocks]),
        *_epochs([(len(block.seq), block.epoch, block.has_epoch) for block in blocks]),
    )
    group = Group(
        context,
        attempt,
        keys,
        axis,
        np.concatenate(
            [np.transpose(block.values)[columns] for _, block, columns in parts], axis=1
        ),
    )
    arrival = np.repeat([no for no, _, _ in parts], [len(block.seq) for block in blocks])
    seq = np.concatenate([block.seq for block in blocks])
    return _ordered(group, (seq, arrival))


def _ordered(group: Group, arrival: tuple[NDArray[np.int64], ...]) -> Group:
    """Sort a group by step, time and `arrival` (as `np.lexsort` takes it: the last counts most)."""
    axis = group.axis
    order = np.lexsort((*arrival, axis.wall_us, axis.step))
    if (order[1:] > order[:-1]).all():
        return group
    group.axis = part_of(axis, order)
    group.values = group.values[:, order]
    return group


def part_of(axis: sealed.Axis, where: slice | NDArray[np.intp]) -> sealed.Axis:
    """Return the chosen points of an axis."""
    epoch, has_epoch = axis.epoch, axis.has_epoch
    if has_epoch is not None:
        has_epoch = has_epoch[where]
        if not has_epoch.any():
            epoch = has_epoch = None
        elif has_epoch.all():
            has_epoch = None
    return sealed.Axis(
        axis.step[where], axis.wall_us[where], None if epoch is None else epoch[where], has_epoch
    )


def _epochs(
    parts: Sequence[tuple[int, NDArray[np.int64] | None, NDArray[np.bool_] | None]],
) -> tuple[NDArray[np.int64] | None, NDArray[np.bool_] | None]:
    """Join epochs, each of so many points."""
    if all(epoch is None for _, epoch, _ in parts):
        return None, None
    joined = np.concatenate(
        [np.zeros(n, np.int64) if epoch is None else epoch for n, epoch, _ in parts]
    )
    if all(epoch is not None and mask is None for _, epoch, mask in parts):
        return joined, None
    return joined, np.concatenate(
        [np.full(n, epoch is not None) if mask is None else mask for n, epoch, mask in parts]
    )


def behind(old: Sequence[tuple[sealed.Axis, NDArray[np.float64]]], group: Group) -> Group:
    """Put a group behind what was sealed of it before, the oldest first."""
    parts = [*old, (group.axis, group.values)]
    axis = sealed.Axis(
        np.concatenate([axis.step for axis, _ in parts]),
        np.concatenate([axis.wall_us for axis, _ in parts]),
        *_epochs([(len(axis.step), axis.epoch, axis.has_epoch) for axis, _ in parts]),
    )
    values = np.concatenate([values for _, values in parts], axis=1)
    return _ordered(Group(group.context, group.attempt, group.keys, axis, values), ())
