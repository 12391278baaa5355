"""Copies of files that somebody may be writing, and links to those that were not copied."""

from __future__ import annotations

import os

import pytest

from autolog.artifacts import copying, links
from autolog.artifacts.copying import copy, fingerprint, identify

CONTENT = os.urandom(300_000)


@pytest.fixture
def source(tmp_path):
    path = tmp_path / "source.pt"
    path.write_bytes(CONTENT)
    return path


@pytest.mark.parametrize("missing", [(), ("_cloned",), ("_cloned", "_copied_by_kernel")])
def test_a_copy_has_the_same_bytes_by_every_way(source, tmp_path, monkeypatch, missing):
    for way in missing:
        monkeypatch.setattr(copying, way, lambda *_: False)
    assert copy(source, tmp_path / "new") == identify(source)
    assert (tmp_path / "new").read_bytes() == CONTENT


@pytest.mark.parametrize("size", [0, 1000, 900_000])
def test_a_file_that_is_written_over_has_the_bytes_of_the_new_one_alone(source, tmp_path, size):
    target = tmp_path / "old"
    target.write_bytes(b"x" * size)
    copy(source, target)
    assert target.read_bytes() == CONTENT


def test_the_next_save_does_not_reach_the_copy(source, tmp_path):
    copy(source, tmp_path / "new")
    with open(source, "r+b") as file:
        file.write(b"changed")
    assert (tmp_path / "new").read_bytes() == CONTENT


def test_a_file_that_was_written_to_meanwhile_is_not_copied(source, tmp_path, monkeypatch):
    whole = copying._copied

    def slow(read, write):
        whole(read, write)
        with open(source, "ab") as file:
            file.write(b"more")

    monkeypatch.setattr(copying, "_cloned", lambda *_: False)
    monkeypatch.setattr(copying, "_copied_by_kernel", lambda *_: False)
    monkeypatch.setattr(copying, "_copied", slow)
    assert copy(source, tmp_path / "new") is None
    assert not (tmp_path / "new").exists()


def test_an_empty_file_is_copied(tmp_path):
    (tmp_path / "empty").touch()
    assert copy(tmp_path / "empty", tmp_path / "new") is not None
    assert (tmp_path / "new").read_bytes() == b""


def test_a_fingerprint_goes_by_content_and_size(source, tmp_path):
    (tmp_path / "same").write_bytes(CONTENT)
    assert fingerprint(source) == fingerprint(tmp_path / "same")
    (tmp_path / "longer").write_bytes(CONTENT + b"\0")
    (tmp_path / "ends").write_bytes(CONTENT[:-1] + bytes([CONTENT[-1] ^ 1]))
    assert len({fingerprint(tmp_path / name) for name in ("same", "longer", "ends")}) == 3


def test_a_link_says_whether_the_file_is_as_it_was(source):
    uri = links.link(source, identify(source))
    assert links.state(uri) == "linked"
    assert links.place(uri) == str(source)
    source.write_bytes(CONTENT + b"more")
    assert links.state(uri) == "replaced"
    source.unlink()
    assert links.state(uri) == "gone"
    assert links.state("blobs/ab/abcd") is None


def test_a_file_that_was_renamed_in_its_folder_is_found(source, tmp_path):
    identity = identify(source)
    source.rename(tmp_path / "renamed ü#?.pt")
    found = links.where_now(source, identity)
    assert found == tmp_path / "renamed ü#?.pt"
    assert links.state(links.link(found, identity)) == "linked"
    found.unlink()
    assert links.where_now(source, identity) is None
