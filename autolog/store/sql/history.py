"""Reads every point of a metric: sealed chunks and the tail that is not sealed yet."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any

import numpy as np
from numpy.typing import NDArray
from sqlalchemy import Connection, select

from autolog.errors import StoreError
from autolog.store.answers import History
from autolog.store.sql import blob
from autolog.store.sql.schema import metadata
from autolog.store.sql.values import from_json

__all__ = ["read_history"]

_key = metadata.tables["key"]
_tail = metadata.tables["tail"]
_chunk = metadata.tables["chunk"]


def read_history(
    connection: Connection,
    run_id: int,
    name: str,
    context: str | Mapping[str, Any] | None,
    attempt: int | None,
) -> History | None:
    """Return the points of a metric; None if the run has none of this name at all."""
    number = connection.execute(
        select(_key.c.id).where(_key.c.kind == "metric", _key.c.name == name)
    ).scalar()
    blocks = [] if number is None else list(_blocks(connection, run_id, number))
    if not blocks:
        return None
    bodies = _contexts(connection, {block.context for block, _ in blocks})
    wanted = {"phase": context} if isinstance(context, str) else context or {}
    chosen = [
        (block, column)
        for block, column in blocks
        if (attempt is None or block.attempt == attempt)
        and all(bodies[block.context].get(key) == value for key, value in wanted.items())
    ]
    return _joined(chosen, bodies)


def _blocks(
    connection: Connection, run_id: int, number: int
) -> Iterable[tuple[blob.Block, NDArray[np.float64]]]:
    """Yield each block that has the key, with the key's column of values."""
    sealed = select(_chunk.c.codec, _chunk.c.data).where(
        _chunk.c.run_id == run_id, _chunk.c.key_id == number
    )
    tail = select(_tail.c.data).where(_tail.c.run_id == run_id).order_by(_tail.c.no)
    blobs: list[bytes] = []
    for codec, data in connection.execute(sealed.order_by(_chunk.c.axis_id)):
        if codec != blob.CODEC:
            raise StoreError(
                f"points in codec {codec} were sealed by a newer autolog."
                " Run: pip install -U autolog-ml"
            )
        blobs.append(data)
    blobs += connection.execute(tail).scalars()
    for data in blobs:
        for block in blob.decode(data):
            for column in np.flatnonzero(block.keys == number):
                yield block, block.values[:, column]


def _contexts(connection: Connection, ids: set[int]) -> dict[int, dict[str, Any]]:
    query = select(_key.c.id, _key.c.name).where(_key.c.id.in_(ids))
    return {row.id: from_json(row.name) for row in connection.execute(query)}


def _joined(
    parts: list[tuple[blob.Block, NDArray[np.float64]]], bodies: dict[int, dict[str, Any]]
) -> History:
    blocks = [block for block, _ in parts]
    lengths = [len(block.seq) for block in blocks]
    step = _cat([block.step for block in blocks], np.int64)
    wall_us = _cat([block.wall_us for block in blocks], np.int64)
    seq = _cat([block.seq for block in blocks], np.int64)
    order = np.lexsort((seq, wall_us, step))
    context = np.empty(len(blocks), object)
    context[:] = [bodies[block.context] for block in blocks]
    attempts = np.array([block.attempt for block in blocks], np.int64)
    return History(
        step=step[order],
        value=_cat([values for _, values in parts], np.float64)[order],
        timestamp=wall_us[order],
        epoch=_cat([_epochs(block) for block in blocks], np.float64)[order],
        attempt=np.repeat(attempts, lengths)[order],
        context=np.repeat(context, lengths)[order],
    )


def _epochs(block: blob.Block) -> NDArray[np.float64]:
    if block.epoch is None:
        return np.full(len(block.seq), np.nan)
    epochs = block.epoch.astype(np.float64)
    return epochs if block.has_epoch is None else np.where(block.has_epoch, epochs, np.nan)


def _cat(parts: list[NDArray[Any]], dtype: Any) -> NDArray[Any]:
    return np.concatenate(parts) if parts else np.empty(0, dtype)
