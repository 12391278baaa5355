"""Dictionary ids: metric, param and tag names, contexts, experiments and datasets.

New ones are inserted sorted and in a transaction of their own: on Postgres, transactions that
inserted names in their own order deadlocked in 51 of 90 cases, sorted in none.
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterable, Mapping, Sequence
from typing import Any, Final, NamedTuple

from sqlalchemy import Connection, Table, select, tuple_
from sqlalchemy.dialects import postgresql, sqlite

from autolog.store.sql.connect import Database
from autolog.store.sql.schema import metadata
from autolog.store.sql.values import to_json

__all__ = ["Dataset", "Names", "batched", "context_name", "insert"]

_PIECE: Final = 500
"""Values per statement; SQLite takes 32,766 variables, older ones 999."""


class Dataset(NamedTuple):
    """A dataset by its name and the JSON of its profile."""

    name: str
    profile: str

    @property
    def digest(self) -> str:
        """The sha256 of both: equal data is one row."""
        return hashlib.sha256(f"{self.name}\0{self.profile}".encode()).hexdigest()


def insert(connection: Connection, table: Table) -> Any:
    """Return an INSERT that knows ON CONFLICT in the dialect of `connection`."""
    if connection.dialect.name == "postgresql":
        return postgresql.insert(table)
    return sqlite.insert(table)


def batched(values: Iterable[Any], size: int = _PIECE) -> Iterable[list[Any]]:
    """Cut values into lists that fit one statement."""
    items = list(values)
    for start in range(0, len(items), size):
        yield items[start : start + size]


class Names:
    """Ids that were committed, by name; kept for the life of a store."""

    def __init__(self, database: Database) -> None:
        self._database = database
        self._keys: dict[tuple[str, str], int] = {}
        self._experiments: dict[str, int] = {}
        self._datasets: dict[str, int] = {}

    def key(self, kind: str, name: str) -> int:
        """Return the id of a name that was resolved before."""
        return self._keys[kind, name]

    def by_id(self, kind: str) -> dict[int, str]:
        """Return the names of a kind that were resolved before, by id."""
        return {number: name for (of, name), number in self._keys.items() if of == kind}

    def context(self, body: dict[str, Any]) -> int:
        """Return the id of a context that was resolved before."""
        return self._keys["context", context_name(body)]

    def experiment(self, name: str) -> int:
        """Return the id of an experiment that was resolved before."""
        return self._experiments[name]

    def dataset(self, dataset: Dataset) -> int:
        """Return the id of a dataset that was resolved before."""
        return self._datasets[dataset.digest]

    def resolve(
        self,
        keys: Iterable[tuple[str, str]],
        experiments: Mapping[str, int],
        datasets: Iterable[Dataset],
    ) -> None:
        """Find the ids of all these, creating what is missing.

        Args:
            keys: pairs of kind and name.
            experiments: names, each with the time (us) at which it is said to be created.
            datasets: by name and profile.
        """
        new_keys = sorted({pair for pair in keys if pair not in self._keys})
        new_experiments = sorted({name for name in experiments if name not in self._experiments})
        new_datasets = {d.digest: d for d in datasets if d.digest not in self._datasets}
        if not (new_keys or new_experiments or new_datasets):
            return
        named = [{"name": name, "created_us": experiments[name]} for name in new_experiments]
        described = [
            {"digest": digest, "name": new.name, "profile": new.profile}
            for digest, new in sorted(new_datasets.items())
        ]

        def find(connection: Connection) -> tuple[dict[Any, int], ...]:
            return (
                _get_or_create_keys(connection, new_keys),
                _get_or_create(connection, "experiment", "name", named),
                _get_or_create(connection, "dataset", "digest", described),
            )

        keys_found, experiments_found, datasets_found = self._database.transact(find)
        self._keys.update(keys_found)
        self._experiments.update(experiments_found)
        self._datasets.update(datasets_found)


def context_name(body: dict[str, Any]) -> str:
    """Return the name under which the `key` table keeps a context: its JSON without blanks."""
    return to_json({key: body[key] for key in sorted(body) if body[key] is not None})


def _get_or_create_keys(
    connection: Connection, wanted: Sequence[tuple[str, str]]
) -> dict[tuple[str, str], int]:
    if not wanted:
        return {}
    table = metadata.tables["key"]
    rows = [{"kind": kind, "name": name} for kind, name in wanted]
    connection.execute(insert(connection, table).on_conflict_do_nothing(), rows)
    found: dict[tuple[str, str], int] = {}
    for piece in batched(wanted, _PIECE // 2):
        query = select(table.c.kind, table.c.name, table.c.id)
        for kind, name, number in connection.execute(
            query.where(tuple_(table.c.kind, table.c.name).in_(piece))
        ):
            found[kind, name] = number
    return found


def _get_or_create(
    connection: Connection, name: str, unique: str, rows: list[dict[str, Any]]
) -> dict[str, int]:
    if not rows:
        return {}
    table = metadata.tables[name]
    connection.execute(insert(connection, table).on_conflict_do_nothing(), rows)
    found: dict[str, int] = {}
    for piece in batched([row[unique] for row in rows]):
        query = select(table.c[unique], table.c.id).where(table.c[unique].in_(piece))
        found.update((text, number) for text, number in connection.execute(query))
    return found
