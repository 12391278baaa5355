from __future__ import annotations

import hashlib
import io
import os
import subprocess
import sys
import time
from pathlib import Path

import pytest

import autolog
from autolog.artifacts.blobs import BlobFolder
from autolog.artifacts.repository import Repository
from autolog.errors import NotFoundError, StoreError

CONTENT = b"weights \x00" * 1000
DIGEST = hashlib.sha256(CONTENT).hexdigest()
URI = f"blobs/{DIGEST[:2]}/{DIGEST}"


@pytest.mark.parametrize("kind", ["bytes", "file", "stream"])
def test_what_is_put_is_named_by_its_digest_and_read_back(repository, tmp_path, kind):
    path = tmp_path / "model.bin"
    path.write_bytes(CONTENT)
    source = {"bytes": CONTENT, "file": path, "stream": io.BytesIO(CONTENT)}[kind]
    blob = repository.put(source)
    assert (blob.sha256, blob.size, blob.uri) == (DIGEST, len(CONTENT), URI)
    assert repository.read(URI) == CONTENT


def test_a_file_of_nothing_is_kept_too(repository):
    assert repository.read(repository.put(b"").uri) == b""


def test_equal_contents_are_stored_once(repository):
    assert repository.put(CONTENT) == repository.put(io.BytesIO(CONTENT))
    assert (repository.sizes().blobs, repository.sizes().bytes) == (1, len(CONTENT))


def test_an_object_that_is_there_is_not_written_again(tmp_path, monkeypatch):
    repository = Repository("memory://written-once/artifacts")
    repository.put(CONTENT)
    monkeypatch.setattr(type(repository._fs), "put_file", None)  # a second write would fail
    assert repository.put(CONTENT).sha256 == DIGEST


def test_the_trainers_folder_and_the_repository_are_one_layout(folder):
    blob = BlobFolder(Path(folder.root)).put(CONTENT)
    assert folder.put(CONTENT) == blob
    assert folder.read(blob.uri) == CONTENT


def test_a_copy_is_made_with_its_folders(repository, tmp_path):
    repository.put(CONTENT)
    repository.get(URI, tmp_path / "a" / "b" / "model.bin")
    assert (tmp_path / "a" / "b" / "model.bin").read_bytes() == CONTENT


def test_a_stream_gives_what_is_asked_for(repository):
    repository.put(CONTENT)
    with repository.open(URI) as stream:
        assert stream.read(10) + stream.read() == CONTENT


@pytest.mark.parametrize("damage", [CONTENT[:-1], CONTENT + b"x", b"X" + CONTENT[1:], b""])
def test_what_was_changed_is_not_given_out_and_the_error_names_the_file(repository, damage):
    repository.put(CONTENT)
    with repository._fs.open(repository._name(URI), "wb") as file:
        file.write(damage)
    with pytest.raises(StoreError, match=DIGEST):
        repository.read(URI)


def test_a_copy_that_fails_leaves_nothing(folder, tmp_path):
    folder.put(CONTENT)
    folder.path(URI).write_bytes(b"changed")
    with pytest.raises(StoreError, match="sha256 differs"):
        folder.get(URI, tmp_path / "out" / "model.bin")
    assert list((tmp_path / "out").iterdir()) == []


def test_a_digest_that_is_not_the_expected_one_is_not_kept(repository):
    with pytest.raises(StoreError, match="was expected"):
        repository.put(CONTENT, expect="0" * 64)
    assert repository.sizes().blobs == 0


def test_a_missing_file_is_named(repository):
    with pytest.raises(StoreError, match=DIGEST):
        repository.read(URI)


@pytest.mark.parametrize(
    "uri",
    [
        "../../etc/passwd",
        "/etc/passwd",
        "blobs/../../../etc/passwd",
        f"blobs/00/{DIGEST}",
        f"{URI}/../x",
        f"blobs\\{DIGEST[:2]}\\{DIGEST}",
        f"{URI}\n",
        "",
    ],
)
def test_a_place_outside_of_the_layout_is_refused(repository, uri):
    with pytest.raises(StoreError, match="is no file of this store"):
        repository.read(uri)


def test_a_link_that_leads_out_of_the_folder_is_not_followed(folder, tmp_path):
    outside = tmp_path / "secret"
    outside.write_bytes(CONTENT)
    path = Path(folder.root, URI)
    path.parent.mkdir(parents=True)
    path.symlink_to(outside)
    with pytest.raises(StoreError, match="outside"):
        folder.read(URI)


def test_every_blob_is_listed_in_order(repository):
    blobs = [repository.put(bytes([number])) for number in range(40)]
    listed = [stored.blob for group in repository.iterate() for stored in group]
    assert listed == sorted(blobs, key=lambda blob: blob.sha256)


def test_a_deleted_blob_is_gone(repository):
    repository.put(CONTENT)
    repository.delete(URI)
    assert repository.sizes().blobs == 0


def test_an_old_blob_is_discarded_and_a_fresh_one_is_not(repository):
    repository.put(CONTENT)
    assert not repository.discard(URI, before=time.time() - 3600)
    assert repository.read(URI) == CONTENT
    assert repository.discard(URI, before=time.time() + 3600)
    assert repository.sizes().blobs == 0


@pytest.mark.parametrize("writer", ["repository", "trainer"])
def test_storing_the_same_again_makes_a_blob_fresh(folder, writer):
    folder.put(CONTENT)
    os.utime(folder.path(URI), (0, 0))
    target = folder if writer == "repository" else BlobFolder(Path(folder.root))
    target.put(CONTENT)
    assert not folder.discard(URI, before=time.time() - 3600)


def test_a_blob_that_a_killed_collector_had_moved_away_is_put_back(folder):
    folder.put(CONTENT)
    going = Path(folder.root, "tmp", f"{DIGEST}.going")
    folder.path(URI).rename(going)
    folder.put_back()
    assert folder.read(URI) == CONTENT
    assert not going.exists()


def test_an_unknown_scheme_says_what_cannot_be_used():
    with pytest.raises(StoreError, match="nonsense://x"):
        Repository("nonsense://x")


def test_a_large_file_goes_in_and_out_in_pieces(tmp_path):
    code = """
import sys
from pathlib import Path
from autolog.artifacts.repository import Repository
def peak():
    lines = Path("/proc/self/status").read_text().splitlines()
    return next(int(line.split()[1]) for line in lines if line.startswith("VmHWM"))
root = Path(sys.argv[1])
with open(root / "large", "wb") as file:
    file.truncate(200_000_000)
repository = Repository(root / "artifacts")
repository.get(repository.put(b"small").uri, root / "small")
before = peak()
repository.get(repository.put(root / "large").uri, root / "copy")
with open(root / "large", "rb") as stream:
    repository.put(stream)
print((root / "copy").stat().st_size, peak() - before)
"""
    done = subprocess.run(
        [sys.executable, "-c", code, str(tmp_path)], capture_output=True, text=True, check=True
    )
    size, kilobytes = map(int, done.stdout.split())
    assert size == 200_000_000
    assert kilobytes < 16_000


def test_the_files_of_a_run_are_listed_and_fetched(recording, tmp_path):
    with autolog.start_run("files") as run:
        run.log_text("hello", "notes/a.txt")
        run.log_text("there", "notes/b.txt")
        run.log_text("{}", "top.json")
    assert [file.path for file in autolog.list_artifacts(run)] == [
        "notes/a.txt",
        "notes/b.txt",
        "top.json",
    ]
    assert [file.size for file in autolog.list_artifacts("files", "top.json")] == [2]
    assert autolog.get_artifact("files", "notes/a.txt").read_text() == "hello"
    place = autolog.get_artifact("files", "notes", tmp_path / "out")
    assert sorted(path.name for path in place.iterdir()) == ["a.txt", "b.txt"]
    assert not (tmp_path / "out" / "top.json").exists()


def test_an_unknown_file_of_a_run_lists_those_that_it_has(recording):
    with autolog.start_run("files") as run:
        run.log_text("hello", "a.txt")
    with pytest.raises(NotFoundError, match=r"no file 'b\.txt'; it has: a\.txt"):
        autolog.get_artifact(run, "b.txt")
