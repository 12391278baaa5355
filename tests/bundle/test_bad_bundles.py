"""Bundles that are damaged, incomplete, newer, or made to do harm."""

from __future__ import annotations

import hashlib
import io
import json
import shutil
import stat
import tarfile
import zipfile
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from autolog.bundle.layout import TABLES, digest_of, schema
from autolog.bundle.reading import import_bundle
from autolog.errors import StoreError


@pytest.fixture
def bundle(exported: Path, tmp_path: Path) -> Path:
    return Path(shutil.copytree(exported, tmp_path / "bundle"))


def _rewrite(bundle: Path, table: str, change) -> None:
    """Change the rows of a table, as somebody would who can also mend the manifest."""
    path = bundle / f"{table}.parquet"
    rows = pq.read_table(path).to_pylist()
    pq.write_table(pa.Table.from_pylist(change(rows), schema(table)), path)
    _sign(bundle, path.name)


def _sign(bundle: Path, name: str) -> None:
    manifest = json.loads((bundle / "bundle.json").read_text())
    path = bundle / name
    manifest["files"][name] = {"sha256": digest_of(path), "bytes": path.stat().st_size}
    (bundle / "bundle.json").write_text(json.dumps(manifest))


def _refused(store, bundle: Path, why: str, runs: int = 0) -> None:
    with pytest.raises(StoreError, match=why):
        import_bundle(store, bundle)
    assert len(store.runs().runs) == runs


@pytest.mark.parametrize("name", [f"{table}.parquet" for table in TABLES])
def test_a_flipped_bit_in_any_table_is_found_before_anything_is_taken_in(bundle, fresh, name):
    path = bundle / name
    data = bytearray(path.read_bytes())
    data[len(data) // 2] ^= 1
    path.write_bytes(data)
    _refused(fresh, bundle, f"{name} is not what bundle.json says")


def test_a_table_that_was_cut_off_is_found(bundle, fresh):
    path = bundle / "points.parquet"
    path.write_bytes(path.read_bytes()[:-100])
    _refused(fresh, bundle, "points.parquet is not what")


@pytest.mark.parametrize("name", ["runs.parquet", "points.parquet"])
def test_a_missing_table_is_named(bundle, fresh, name):
    (bundle / name).unlink()
    _refused(fresh, bundle, f"it has no {name}")


def test_a_bundle_that_was_not_finished_says_so(bundle, fresh):
    (bundle / "bundle.json").unlink()
    _refused(fresh, bundle, "no whole bundle")


@pytest.mark.parametrize("text", ["", "{", "[]", '{"format": 1}', "null", '{"format": "x"}'])
def test_a_manifest_that_makes_no_sense_is_refused(bundle, fresh, text):
    (bundle / "bundle.json").write_text(text)
    _refused(fresh, bundle, "bundle.json")


def test_a_newer_bundle_says_what_to_install(bundle, fresh):
    (bundle / "bundle.json").write_text(json.dumps({"format": 2, "everything": "else"}))
    _refused(fresh, bundle, "format 2, written by a newer autolog.*pip install -U autolog-ml")


def test_what_is_not_there_is_no_bundle(fresh, tmp_path):
    _refused(fresh, tmp_path / "nothing", "there is no bundle")


def test_a_file_that_is_no_archive_is_refused(fresh, tmp_path):
    (tmp_path / "x.zip").write_bytes(b"no archive")
    _refused(fresh, tmp_path / "x.zip", "is damaged or no bundle")


@pytest.mark.parametrize("suffix", [".zip", ".tar"])
def test_an_archive_that_was_cut_off_is_refused(exported, fresh, tmp_path, suffix):
    from autolog.bundle.archive import pack

    path = tmp_path / f"x{suffix}"
    pack(exported, path, suffix)
    path.write_bytes(path.read_bytes()[: path.stat().st_size // 3])
    _refused(fresh, path, "damaged|incomplete|no whole bundle")


NAMES = [
    "../evil",
    "/tmp/evil",
    "artifacts/../../evil",
    "..\\evil",
    "more.parquet",
    "x/bundle.json",
]


@pytest.mark.parametrize("name", NAMES)
@pytest.mark.parametrize("suffix", [".zip", ".tar"])
def test_a_name_that_is_no_file_of_a_bundle_is_not_unpacked(fresh, tmp_path, name, suffix):
    path = tmp_path / f"x{suffix}"
    if suffix == ".zip":
        with zipfile.ZipFile(path, "w") as archive:
            archive.writestr(name, b"evil")
    else:
        with tarfile.open(path, "w") as archive:
            info = tarfile.TarInfo(name)
            info.size = 4
            archive.addfile(info, io.BytesIO(b"evil"))
    _refused(fresh, path, "is no file of a bundle")
    assert not list(tmp_path.rglob("evil"))


@pytest.mark.parametrize("suffix", [".zip", ".tar"])
def test_a_link_in_an_archive_is_not_followed(fresh, tmp_path, suffix):
    path = tmp_path / f"x{suffix}"
    if suffix == ".zip":
        with zipfile.ZipFile(path, "w") as archive:
            info = zipfile.ZipInfo("runs.parquet")
            info.external_attr = (stat.S_IFLNK | 0o777) << 16
            archive.writestr(info, "/etc/passwd")
    else:
        with tarfile.open(path, "w") as archive:
            info = tarfile.TarInfo("runs.parquet")
            info.type, info.linkname = tarfile.SYMTYPE, "/etc/passwd"
            archive.addfile(info)
    _refused(fresh, path, "is no file of a bundle")


@pytest.mark.parametrize("name", ["runs.parquet", "artifacts"])
def test_a_link_in_a_folder_is_not_followed(bundle, fresh, tmp_path, name):
    shutil.move(bundle / name, tmp_path / "elsewhere")
    (bundle / name).symlink_to(tmp_path / "elsewhere")
    _refused(fresh, bundle, "it has no runs.parquet|is a link")


def test_a_file_that_is_a_link_out_of_the_bundle_is_not_read(bundle, fresh, tmp_path):
    digest = hashlib.sha256(b"weights 0").hexdigest()
    blob = bundle / "artifacts" / "blobs" / digest[:2] / digest
    shutil.move(blob, tmp_path / "elsewhere")
    blob.symlink_to(tmp_path / "elsewhere")
    _refused(fresh, bundle, "outside", runs=1)


def test_a_file_that_was_changed_stops_its_run_alone(bundle, fresh):
    digest = hashlib.sha256(b"weights 1").hexdigest()
    (bundle / "artifacts" / "blobs" / digest[:2] / digest).write_bytes(b"WEIGHTS 1")
    _refused(fresh, bundle, digest, runs=3)  # the last of four runs has it


def test_a_file_that_is_missing_stops_its_run(bundle, fresh):
    digest = hashlib.sha256(b"weights 0").hexdigest()
    (bundle / "artifacts" / "blobs" / digest[:2] / digest).unlink()
    _refused(fresh, bundle, "model/model.pkl of .* is gone", runs=1)


@pytest.mark.parametrize(
    "path", ["../../x", "/etc/passwd", "a/../../x", "..\\x", "C:/x", "", "a\0b"]
)
def test_a_path_that_leads_out_of_the_runs_files_is_refused(bundle, fresh, path):
    _rewrite(bundle, "artifacts", lambda rows: [row | {"path": path} for row in rows])
    _refused(fresh, bundle, "a file outside of its own", runs=1)


def test_a_uri_that_leads_out_of_the_bundle_is_refused(bundle, fresh):
    _rewrite(bundle, "artifacts", lambda rows: [row | {"uri": "../../etc/passwd"} for row in rows])
    _refused(fresh, bundle, "is gone", runs=1)


def test_a_column_of_another_type_is_named(bundle, fresh):
    path = bundle / "points.parquet"
    table = pq.read_table(path)
    at = table.schema.get_field_index("step")
    pq.write_table(table.set_column(at, "step", table["step"].cast("string")), path)
    _sign(bundle, path.name)
    _refused(fresh, bundle, "column step of points.parquet is string, not int64")


def test_points_of_a_run_that_is_not_in_the_bundle_are_refused(bundle, fresh):
    _rewrite(bundle, "runs", lambda rows: rows[:-1])
    with pytest.raises(StoreError, match="unknown or not in the order"):
        import_bundle(fresh, bundle)


@pytest.mark.parametrize(
    ("column", "value", "why", "runs"),
    [
        ("key", "other", "is not said to have metric", 1),  # the first run has no points
        ("context", '{"phase":"other"}', "is not said to have context", 1),
        ("context", "{", "damaged", 0),
        ("step", None, "damaged", 0),
    ],
)
def test_points_that_do_not_fit_their_run_take_nothing_of_it_in(
    bundle, fresh, column, value, why, runs
):
    _rewrite(bundle, "points", lambda rows: [row | {column: value} for row in rows])
    _refused(fresh, bundle, why, runs)


@pytest.mark.parametrize("table", ["params", "processes", "models", "runs"])
def test_json_that_cannot_be_read_is_an_error_of_the_bundle(bundle, fresh, table):
    column = {"params": "json", "processes": "records", "models": "paths", "runs": "metrics"}
    _rewrite(bundle, table, lambda rows: [row | {column[table]: "{"} for row in rows])
    with pytest.raises(StoreError, match="damaged"):
        import_bundle(fresh, bundle)
