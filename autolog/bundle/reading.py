"""Imports a bundle: checked as a whole first, then taken in a run at a time."""

from __future__ import annotations

import contextlib
import json
import tempfile
from collections.abc import Callable, Generator, Iterator
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, Final, cast

import msgspec

from autolog.artifacts.repository import Repository
from autolog.artifacts.transfer import copy_files
from autolog.bundle.archive import unpack
from autolog.bundle.layout import ARTIFACTS, FORMAT, MANIFEST, TABLES, digest_of, file_of, parquet
from autolog.bundle.rows import PointRows, Rows
from autolog.entities import Artifact
from autolog.errors import StoreError
from autolog.store import Store
from autolog.store.portrait import Attempt, Happening, Input, Portrait, SavedModel, State, Witness
from autolog.store.sql.values import from_json, param_value

__all__ = ["Bundle", "Imported", "import_bundle", "opened"]

_MANIFEST_LIMIT: Final = 1 << 20


class Imported(msgspec.Struct, frozen=True):
    """What an import did: runs in the bundle, those that were unknown, those with news."""

    runs: int
    created: int
    changed: int
    points: int


class _File(msgspec.Struct, frozen=True):
    sha256: str
    bytes: int


class _Manifest(msgspec.Struct, frozen=True):
    format: int
    source: str
    counts: dict[str, int]
    files: dict[str, _File]


@dataclass(frozen=True, slots=True)
class Bundle:
    """A bundle whose tables are what its manifest says."""

    folder: Path
    source: str
    runs: int

    def portraits(self) -> Iterator[tuple[Portrait, set[str]]]:
        """Yield every run, with the uris of its files that the bundle is said to have.

        Its points are to be read before the next one is asked for, or not at all.
        """
        tables = {name: Rows(self.folder / file_of(name)) for name in TABLES if name != "points"}
        points = PointRows(self.folder / file_of("points"))
        for row in tables["runs"]:
            uid = row["run_id"]
            of_run = {name: rows.take(uid) for name, rows in tables.items() if name != "runs"}
            try:
                portrait, included = _portrait(self.source, row, of_run)
            except (ValueError, TypeError, KeyError) as exc:
                raise StoreError(f"the bundle is damaged: run {uid}: {exc}") from exc
            metrics, contexts = set(portrait.metrics), portrait.contexts
            yield replace(portrait, points=points.of(uid, metrics, contexts)), included
            points.drop(uid)
        for rows in (*(rows for name, rows in tables.items() if name != "runs"), points):
            rows.must_be_over()


def import_bundle(
    store: Store,
    path: Path,
    *,
    into: str | None = None,
    progress: Callable[[int], None] | None = None,
) -> Imported:
    """Take every run of a bundle into a store; what is there already is not taken twice.

    Args:
        store: where to.
        path: the folder, or the `.zip` or `.tar` file.
        into: the experiment of runs that the store does not know yet; their own by default.
        progress: called after each run, with the number of all runs.

    Raises:
        StoreError: the bundle is damaged, incomplete, or written by a newer autolog. Each run is
            taken in whole or not at all.
    """
    created = changed = points = 0
    with opened(path) as bundle:
        source = Repository(bundle.folder / ARTIFACTS)
        target = Repository(store.location.artifacts)
        for portrait, included in bundle.portraits():
            for file in copy_files(portrait, source, target):
                if file.uri in included:
                    raise StoreError(f"{path} is incomplete: {file.path} of {portrait.uid} is gone")
            if into is not None:
                state = msgspec.structs.replace(portrait.state, experiment=into)
                portrait = replace(portrait, state=state)
            taken = store.take_in(portrait)
            created += taken.created
            changed += taken.changed
            points += taken.points
            if progress is not None:
                progress(bundle.runs)
    return Imported(bundle.runs, created, changed, points)


@contextlib.contextmanager
def opened(path: Path) -> Generator[Bundle]:
    """Check a bundle and give access to it; one in a file is unpacked for as long.

    Raises:
        StoreError: see `import_bundle`.
    """
    parquet()
    if path.is_dir():
        yield _checked(path, path)
        return
    if not path.is_file():
        raise StoreError(f"there is no bundle {path}")
    with tempfile.TemporaryDirectory(prefix="autolog-") as place:
        unpack(path, Path(place))
        yield _checked(Path(place), path)


def _checked(folder: Path, path: Path) -> Bundle:
    manifest = _manifest(folder, path)
    if (folder / ARTIFACTS).is_symlink():
        raise StoreError(f"{path} is damaged: {ARTIFACTS} is a link")
    for table in TABLES:
        name = file_of(table)
        known, file = manifest.files.get(name), folder / name
        if known is None or file.is_symlink() or not file.is_file():
            raise StoreError(f"{path} is incomplete: it has no {name}")
        if file.stat().st_size != known.bytes or digest_of(file) != known.sha256:
            raise StoreError(f"{path} is damaged: {name} is not what {MANIFEST} says")
        _check_columns(file, table, path)
    return Bundle(folder, manifest.source, manifest.counts.get("runs", 0))


def _manifest(folder: Path, path: Path) -> _Manifest:
    try:
        with (folder / MANIFEST).open("rb") as file:
            raw = json.loads(file.read(_MANIFEST_LIMIT))
    except FileNotFoundError:
        raise StoreError(f"{path} is no whole bundle: it has no {MANIFEST}") from None
    except (OSError, ValueError) as exc:
        raise StoreError(f"{path} is damaged: {MANIFEST} cannot be read: {exc}") from exc
    found: Any = cast("dict[str, Any]", raw).get("format") if isinstance(raw, dict) else None
    if isinstance(found, int) and found > FORMAT:
        raise StoreError(
            f"{path} is a bundle of format {found}, written by a newer autolog; this one reads up"
            f" to {FORMAT}. Run: pip install -U autolog-ml"
        )
    try:
        return msgspec.convert(raw, _Manifest)
    except msgspec.ValidationError as exc:
        raise StoreError(f"{path} is damaged: {MANIFEST}: {exc}") from exc


def _check_columns(file: Path, table: str, path: Path) -> None:
    arrow = parquet()
    try:
        found = arrow.parquet.read_schema(file)
    except (arrow.ArrowException, OSError) as exc:
        raise StoreError(f"{path} is damaged: {file.name} cannot be read: {exc}") from exc
    columns = {field.name: str(field.type) for field in found}
    for name, kind in TABLES[table].items():
        if columns.get(name) != kind:
            has = columns.get(name, "missing")
            raise StoreError(f"{path}: column {name} of {file.name} is {has}, not {kind}")


def _portrait(
    source: str, row: dict[str, Any], tables: dict[str, list[dict[str, Any]]]
) -> tuple[Portrait, set[str]]:
    """Put a run together from its rows, whose `run_id` is taken out of them."""
    uid = row["run_id"]
    for rows in tables.values():
        for one in rows:
            del one["run_id"]
    if len(tables["versions"]) != 1:
        raise StoreError(f"the bundle is damaged: run {uid} has {len(tables['versions'])} versions")
    for one in tables["artifacts"]:
        _check_path(one["path"], uid)
    included = {one["uri"] for one in tables["artifacts"] if one.pop("included")}
    portrait = Portrait(
        uid=uid,
        source=source,
        ver=tables["versions"][0]["ver"],
        state=State(**{field: row[field] for field in State.__struct_fields__}),
        params={one["key"]: param_value(one["json"], one["text"]) for one in tables["params"]},
        tags={one["key"]: one["text"] for one in tables["tags"]},
        events=[Happening(**one) for one in tables["events"]],
        artifacts=[Artifact(**one) for one in tables["artifacts"]],
        models=[
            SavedModel(
                **one | {"paths": from_json(one["paths"]), "manifest": from_json(one["manifest"])}
            )
            for one in tables["models"]
        ],
        inputs=[
            Input(one["role"], one["name"], from_json(one["profile"])) for one in tables["inputs"]
        ],
        attempts=[Attempt(**one) for one in tables["attempts"]],
        witnesses=[_witness(one) for one in tables["processes"]],
        contexts=from_json(row["contexts"]),
        metrics=from_json(row["metrics"]),
    )
    return portrait, included


def _witness(row: dict[str, Any]) -> Witness:
    row["records"] = [(seq, data) for seq, data in from_json(row["records"])]
    row["events"] = [Happening(*event) for event in from_json(row["events"])]
    return Witness(**row)


def _check_path(path: str, uid: str) -> None:
    """Refuse a path that would leave the folder that the run's files are fetched to."""
    parts = path.replace("\\", "/").split("/")
    if not parts[0] or ".." in parts or "\0" in path or parts[0].endswith(":"):
        raise StoreError(f"run {uid} of the bundle has a file outside of its own: {path!r}")
