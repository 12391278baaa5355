"""Which run wrote a checkpoint is remembered beside the store; the file itself is not touched."""

from __future__ import annotations

import os

from autolog.tracking import checkpoints


def test_a_file_is_known_by_its_real_path_until_it_changes(recording, tmp_path):
    path, link = tmp_path / "ü\n.ckpt", tmp_path / "link"
    path.write_bytes(b"weights")
    link.symlink_to(path)
    before = path.stat()
    checkpoints.wrote(str(path), "a" * 32)
    after = path.stat()
    assert (after.st_mtime_ns, after.st_size, after.st_ino) == (
        before.st_mtime_ns,
        before.st_size,
        before.st_ino,
    )
    assert checkpoints.written_by(str(path)) == checkpoints.written_by(str(link)) == "a" * 32
    checkpoints.wrote(str(link), "b" * 32)
    assert checkpoints.written_by(str(path)) == "b" * 32
    path.write_bytes(b"others")
    os.utime(path, ns=(before.st_atime_ns, before.st_mtime_ns))
    assert checkpoints.written_by(str(path)) is None


def test_what_is_not_there_or_damaged_is_nobodys(recording, tmp_path):
    path = tmp_path / "one.ckpt"
    assert checkpoints.written_by(str(path)) is None
    checkpoints.wrote(str(path), "a" * 32)
    path.write_bytes(b"weights")
    assert checkpoints.written_by(str(path)) is None
    checkpoints.wrote(str(path), "a" * 32)
    with open(recording.folder / "checkpoints.jsonl", "ab") as listed:
        listed.write(b'[1]\nnot json "' + str(path).encode() + b'"\n{"path":')
    assert checkpoints.written_by(str(path)) == "a" * 32
    assert checkpoints.written_by("s3://bucket/one.ckpt") is None
    assert checkpoints.written_by("a\0b") is None
