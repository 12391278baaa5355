"""What a bundle consists of. Documented in docs/bundle.md, which a test compares with this.

Every table has the run's id in its first column and its rows in the order of `runs`, so that
each file is read and written once through, a run at a time.
"""

from __future__ import annotations

import hashlib
import re
from collections.abc import Mapping
from pathlib import Path
from typing import Any, Final, get_type_hints

from autolog.errors import StoreError
from autolog.store.portrait import Attempt, State, Witness

__all__ = [
    "ARTIFACTS",
    "FORMAT",
    "MANIFEST",
    "TABLES",
    "digest_of",
    "file_of",
    "is_member",
    "parquet",
    "schema",
]

FORMAT: Final = 1
"""Version of the format; a reader refuses higher ones."""

MANIFEST: Final = "bundle.json"
ARTIFACTS: Final = "artifacts"

_TYPES: Final = {"bool": "bool", "int": "int64", "str": "string"}


def _columns(cls: type[Any], *without: str) -> dict[str, str]:
    """Return the columns that hold the plain fields of a struct."""
    hints = get_type_hints(cls)
    return {
        field: _TYPES[str(getattr(hints[field], "__name__", hints[field])).partition(" ")[0]]
        for field in cls.__struct_fields__
        if field not in without
    }


TABLES: Final[Mapping[str, Mapping[str, str]]] = {
    "runs": {"run_id": "string", **_columns(State), "metrics": "string", "contexts": "string"},
    "params": {
        "run_id": "string",
        "key": "string",
        "type": "string",
        "json": "string",
        "num": "double",
        "text": "string",
    },
    "tags": {"run_id": "string", "key": "string", "text": "string"},
    "points": {
        "run_id": "string",
        "key": "string",
        "step": "int64",
        "timestamp": "int64",
        "epoch": "int64",
        "attempt": "int64",
        "context": "string",
        "value": "double",
    },
    "events": {"run_id": "string", "wall_us": "int64", "kind": "string", "data": "string"},
    "artifacts": {
        "run_id": "string",
        "path": "string",
        "size": "int64",
        "sha256": "string",
        "uri": "string",
        "included": "bool",
    },
    "models": {
        "run_id": "string",
        "name": "string",
        "format": "string",
        "safe": "bool",
        "size": "int64",
        "paths": "string",
        "manifest": "string",
        "wall_us": "int64",
    },
    "inputs": {"run_id": "string", "role": "string", "name": "string", "profile": "string"},
    "attempts": {"run_id": "string", **_columns(Attempt)},
    "processes": {
        "run_id": "string",
        **_columns(Witness, "records", "events"),
        "records": "string",
        "events": "string",
    },
    "versions": {"run_id": "string", "ver": "int64"},
}
"""Columns of each table, with their Arrow types."""

_MEMBER: Final = re.compile(
    rf"{re.escape(MANIFEST)}|({'|'.join(TABLES)})\.parquet"
    rf"|{ARTIFACTS}/blobs/([0-9a-f]{{2}})/\2[0-9a-f]{{62}}"
)


def file_of(table: str) -> str:
    """Return the name of a table's file."""
    return f"{table}.parquet"


def is_member(name: str) -> bool:
    """Whether a bundle has a file of this name; no such name leads out of its folder."""
    return _MEMBER.fullmatch(name) is not None


def parquet() -> Any:
    """Return `pyarrow` with its `parquet` module.

    Raises:
        StoreError: it is not installed.
    """
    try:
        import pyarrow.parquet  # type: ignore[reportMissingTypeStubs]
    except ImportError as exc:
        raise StoreError(
            "bundles are written and read with pyarrow, which is not installed."
            " Run: pip install 'autolog-ml[parquet]'"
        ) from exc
    return pyarrow


def schema(table: str) -> Any:
    """Return the Arrow schema of a table."""
    arrow = parquet()
    columns = TABLES[table]
    return arrow.schema([(name, arrow.type_for_alias(kind)) for name, kind in columns.items()])


def digest_of(path: Path) -> str:
    """Return the sha256 of a file, read a mebibyte at a time."""
    digest = hashlib.sha256()
    with path.open("rb") as file:
        while piece := file.read(1 << 20):
            digest.update(piece)
    return digest.hexdigest()
