"""Exports runs as a bundle: one pass over the runs, one row group of points in memory."""

from __future__ import annotations

import contextlib
import json
import os
import shutil
import tempfile
import time
from collections.abc import Callable, Generator, Iterable, Sequence
from pathlib import Path
from typing import Any, Final

import msgspec
import numpy as np

from autolog.artifacts.repository import Repository
from autolog.artifacts.transfer import copy_files
from autolog.bundle.archive import is_archive, pack
from autolog.bundle.layout import (
    ARTIFACTS,
    FORMAT,
    MANIFEST,
    TABLES,
    digest_of,
    file_of,
    parquet,
    schema,
)
from autolog.errors import StoreError
from autolog.store import Store
from autolog.store.portrait import Points, Portrait
from autolog.store.sql.values import param_columns, to_json

__all__ = ["Exported", "export"]

_ROWS: Final = 500
_POINTS: Final = 1 << 16
"""Rows of a row group: of small tables, and of points."""


class Exported(msgspec.Struct, frozen=True):
    """What a bundle holds. `missing` are files of runs that the store itself has not any more."""

    path: str
    runs: int
    points: int
    files: int
    bytes: int
    missing: list[str]


def export(
    store: Store,
    runs: Sequence[str],
    destination: Path,
    *,
    version: str,
    progress: Callable[[int], None] | None = None,
) -> Exported:
    """Write runs with everything of theirs to a folder, or to a `.zip` or `.tar` file.

    The destination appears when it is whole.

    Args:
        store: where the runs are.
        runs: their ids.
        destination: what must not be there yet (an empty folder may be).
        version: of autolog, for the manifest.
        progress: called after each run, with the number of all runs.

    Raises:
        StoreError: the destination is there or cannot be written, or a file of a run is not what
            was stored.
    """
    parquet()
    if destination.exists() and (not destination.is_dir() or any(destination.iterdir())):
        raise StoreError(f"{destination} is there already; name a new folder or file")
    with _building(destination) as place:
        missing, points = _write_tables(store, runs, place, progress)
        files = Repository(place / ARTIFACTS).sizes()
        _write_manifest(store, place, version, {"runs": len(runs), "points": points})
    size = sum(path.stat().st_size for path in _files(destination))
    return Exported(str(destination), len(runs), points, files.blobs, size, missing)


@contextlib.contextmanager
def _building(destination: Path) -> Generator[Path]:
    """Give a folder beside the destination, and put it in its place when all went well."""
    try:
        destination.parent.mkdir(parents=True, exist_ok=True)
        place = Path(tempfile.mkdtemp(dir=destination.parent, prefix=f".{destination.name}-"))
    except OSError as exc:
        raise StoreError(f"{destination} cannot be written: {exc.strerror}") from exc
    try:
        yield place
        if is_archive(destination):
            whole = place / "whole"
            pack(place, whole, destination.suffix)
            os.replace(whole, destination)  # noqa: PTH105
        else:
            place.chmod(0o755)
            os.replace(place, destination)  # noqa: PTH105
    except OSError as exc:
        raise StoreError(f"{destination} cannot be written: {exc.strerror or exc}") from exc
    finally:
        shutil.rmtree(place, ignore_errors=True)


def _files(destination: Path) -> Iterable[Path]:
    if destination.is_file():
        return [destination]
    return (path for path in destination.rglob("*") if path.is_file())


def _write_tables(
    store: Store, runs: Sequence[str], place: Path, progress: Callable[[int], None] | None
) -> tuple[list[str], int]:
    source, target = Repository(store.location.artifacts), Repository(place / ARTIFACTS)
    missing: list[str] = []
    points = 0
    with contextlib.ExitStack() as stack:
        tables = {name: stack.enter_context(_Table(place, name)) for name in TABLES}
        for uid in sorted(runs):
            with store.take_out(uid) as portrait:
                gone = copy_files(portrait, source, target)
                missing += [f"{portrait.state.name}: {file.path}" for file in gone]
                for name, rows in _rows(portrait, {file.uri for file in gone}).items():
                    tables[name].add({"run_id": uid, **row} for row in rows)
                for key, some in portrait.points:
                    points += len(some)
                    tables["points"].add_points(uid, key, some)
            if progress is not None:
                progress(len(runs))
    return missing, points


def _rows(portrait: Portrait, gone: set[str]) -> dict[str, Iterable[dict[str, Any]]]:
    """Return the rows of every table but `points`."""
    run = msgspec.structs.asdict(portrait.state)
    run |= {"metrics": to_json(portrait.metrics), "contexts": to_json(portrait.contexts)}
    return {
        "runs": [run],
        "params": (
            {"key": key, **param_columns(value)._asdict()} for key, value in portrait.params.items()
        ),
        "tags": ({"key": key, "text": text} for key, text in portrait.tags.items()),
        "events": map(msgspec.structs.asdict, portrait.events),
        "artifacts": (
            {**msgspec.structs.asdict(file), "included": file.uri not in gone}
            for file in portrait.artifacts
        ),
        "models": (
            {
                **msgspec.structs.asdict(model),
                "paths": to_json(model.paths),
                "manifest": to_json(model.manifest),
            }
            for model in portrait.models
        ),
        "inputs": (
            {**msgspec.structs.asdict(one), "profile": to_json(one.profile)}
            for one in portrait.inputs
        ),
        "attempts": map(msgspec.structs.asdict, portrait.attempts),
        "processes": (
            {
                **msgspec.structs.asdict(one),
                "records": to_json(one.records),
                "events": to_json([msgspec.structs.astuple(event) for event in one.events]),
            }
            for one in portrait.witnesses
        ),
        "versions": [{"ver": portrait.ver}],
    }


def _write_manifest(store: Store, place: Path, version: str, counts: dict[str, int]) -> None:
    files = {
        file_of(table): {
            "sha256": digest_of(place / file_of(table)),
            "bytes": (place / file_of(table)).stat().st_size,
        }
        for table in TABLES
    }
    manifest = {
        "format": FORMAT,
        "autolog": version,
        "created_us": time.time_ns() // 1000,
        "source": store.identity(),
        "counts": counts,
        "files": files,
    }
    text = json.dumps(manifest, indent=2) + "\n"
    (place / MANIFEST).write_text(text, encoding="utf-8")


class _Table:
    """Writes the file of one table, a row group at a time."""

    def __init__(self, place: Path, name: str) -> None:
        self._arrow = parquet()
        self._schema = schema(name)
        path = place / file_of(name)
        self._writer = self._arrow.parquet.ParquetWriter(path, self._schema, compression="zstd")
        self._rows: list[dict[str, Any]] = []
        self._parts: list[Any] = []
        self._waiting = 0

    def __enter__(self) -> _Table:
        return self

    def __exit__(self, *_: object) -> None:
        self._flush()
        self._writer.close()

    def add(self, rows: Iterable[dict[str, Any]]) -> None:
        for row in rows:
            self._rows.append(row)
            if len(self._rows) == _ROWS:
                self._flush()

    def add_points(self, run_id: str, key: str, points: Points) -> None:
        """Add a metric; small ones wait for others, those of large ones get row groups alone."""
        for start in range(0, len(points), _POINTS):
            part = slice(start, start + _POINTS)
            self._parts.append(self._points(run_id, key, points, part))
            self._waiting += len(points.step[part])
            if self._waiting >= _POINTS:
                self._flush()

    def _points(self, run_id: str, key: str, points: Points, part: slice) -> Any:
        arrow = self._arrow
        n = len(points.step[part])
        epoch = points.epoch[part]
        missing = np.isnan(epoch)
        columns = {
            "run_id": arrow.repeat(run_id, n),
            "key": arrow.repeat(key, n),
            "step": points.step[part],
            "timestamp": points.timestamp[part],
            "epoch": arrow.array(np.where(missing, 0, epoch).astype(np.int64), mask=missing),
            "attempt": points.attempt[part],
            "context": _contexts(arrow, points, part),
            "value": arrow.array(points.value[part]),
        }
        return arrow.table(columns, schema=self._schema)

    def _flush(self) -> None:
        if self._rows:
            self._writer.write_table(self._arrow.Table.from_pylist(self._rows, self._schema))
        if self._parts:
            self._writer.write_table(self._arrow.concat_tables(self._parts))
        self._rows, self._parts, self._waiting = [], [], 0


def _contexts(arrow: Any, points: Points, part: slice) -> Any:
    """Return each point's context as JSON."""
    texts = [to_json(body) for body in points.contexts]
    return arrow.array(texts, arrow.string()).take(arrow.array(points.context[part]))
