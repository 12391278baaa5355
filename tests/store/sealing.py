"""Seals what would not be worth it yet, and looks at what the tables hold."""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np

from autolog.store.points import History
from autolog.store.sql.find import find_run
from autolog.store.sql.seal import MAX_VALUES, seal


def seal_run(store, uid: str, limit: int = MAX_VALUES) -> int:
    """Seal all of a run, however little it is, about `limit` values at a time."""
    done = 0

    def one(connection) -> int:
        return seal(connection, find_run(connection, uid).id, limit, thinnest=1)

    while sealed := store._database.transact(one):
        done += sealed
    return done


def scalar(store, query: str):
    """Return the one value that a query finds."""
    with store._database.read() as connection:
        return connection.exec_driver_sql(query).scalar()


def bits(history: History) -> list[tuple]:
    """Return the points of a history in order, floats as the bits that they are."""
    return list(
        zip(
            history.step.tolist(),
            history.value.view(np.uint64).tolist(),
            history.timestamp.tolist(),
            np.nan_to_num(history.epoch, nan=-1).tolist(),
            history.attempt.tolist(),
            map(str, history.context),
            strict=True,
        )
    )


def chunk_sizes(store) -> list[int]:
    """Return how many points the chunks have, the oldest first."""
    with store._database.read() as connection:
        rows = connection.exec_driver_sql("SELECT n FROM chunk ORDER BY key_id, axis_id")
        return list(rows.scalars())


def batches(total: int, size: int) -> Iterator[range]:
    """Cut the numbers below `total` into ranges."""
    for start in range(0, total, size):
        yield range(start, min(start + size, total))
