"""A full disk refuses calls, harms nothing written, and is over when there is space again."""

from __future__ import annotations

import os
import resource
import signal
import subprocess
import sys

import pytest

from autolog.errors import JournalError
from autolog.journal import records
from tests.journal.reading import RUN, Journal, points_of

pytestmark = pytest.mark.skipif(sys.platform != "linux", reason="makes disks full the Linux way")


@pytest.fixture
def small_disk(tmp_path):
    """A directory on a file system of 64 kB, or a skip."""
    disk = tmp_path / "disk"
    disk.mkdir()
    mount = ["mount", "-t", "tmpfs", "-o", "size=64k", "tmpfs", str(disk)]
    if os.geteuid() != 0 or subprocess.run(mount, capture_output=True).returncode:
        pytest.skip("needs the right to mount")
    try:
        yield disk
    finally:
        subprocess.run(["umount", "--lazy", str(disk)], check=True)


def fill(writer, run, written, start=0):
    """Log until the disk is full; return the refused step and the error."""
    step = start
    while True:
        try:
            writer.metrics(run, {"loss": float(step), "acc": 1.0}, step)
        except JournalError as error:
            return step, error
        written.append(step)
        step += 1


def test_a_full_disk_names_itself_and_ends_when_there_is_space(small_disk):
    ballast = small_disk / "ballast"
    ballast.write_bytes(bytes(20_000))
    journal = Journal(small_disk / "journal")
    writer = journal.writer()
    run = writer.run(RUN)
    written: list[int] = []
    step, error = fill(writer, run, written)
    assert str(writer.path) in str(error)
    assert "No space left on device" in str(error)
    assert "AUTOLOG_JOURNAL_DIR" in str(error)
    with pytest.raises(JournalError):
        writer.metrics(run, {"loss": float(step), "acc": 1.0}, step)
    chunk = journal.read()
    assert chunk.cursor.offset == writer.path.stat().st_size
    ballast.unlink()
    step, error = fill(writer, run, written, step)
    chunk = journal.read()
    assert [point[3] for point in points_of(chunk)] == [s for s in written for _ in "12"]
    assert not chunk.damage
    seqs = sorted({point[0] for point in points_of(chunk)})
    assert seqs == list(range(seqs[0], seqs[0] + len(seqs)))


def test_a_disk_that_fills_at_rotation_loses_nothing(small_disk, tmp_path):
    writer = Journal(small_disk / "journal").writer(segment_bytes=4096)
    run = writer.run(RUN)
    written: list[int] = []
    step = 0
    archive = Journal(tmp_path / "archive")
    archive.directory.mkdir()

    def archive_all_but(newest) -> None:
        for path in Journal(small_disk / "journal").files().segments.values():
            if path != newest:
                (archive.directory / path.name).write_bytes(path.read_bytes())
                path.unlink()

    for _ in range(3):
        step, _ = fill(writer, run, written, step)
        archive_all_but(writer.path)
    writer.metrics(run, {"loss": float(step), "acc": 1.0}, step)
    written.append(step)
    writer.close()
    archive_all_but(None)
    chunk = archive.read()
    assert len(archive.files().segments) > 20
    assert [point[3] for point in points_of(chunk)][::2] == written
    assert not chunk.damage
    assert chunk.ended


def test_a_write_cut_short_is_taken_back(journal):
    """RLIMIT_FSIZE cuts writes short like a full disk does; Python ignores SIGXFSZ."""
    assert signal.getsignal(signal.SIGXFSZ) == signal.SIG_IGN
    writer = journal.writer()
    run = writer.run(RUN)
    writer.append(records.Process(user="ada"))
    old = resource.getrlimit(resource.RLIMIT_FSIZE)
    written: list[int] = []
    step = 0
    for spare in range(0, 200, 7):
        size = writer.path.stat().st_size
        resource.setrlimit(resource.RLIMIT_FSIZE, (size + spare, old[1]))
        try:
            step, _ = fill(writer, run, written, step)
        finally:
            resource.setrlimit(resource.RLIMIT_FSIZE, old)
        chunk = journal.read()
        assert chunk.cursor.offset == writer.path.stat().st_size
        assert not chunk.damage
    writer.metrics(run, {"loss": float(step), "acc": 1.0}, step)
    steps = [point[3] for point in points_of(journal.read())][::2]
    assert steps == [*written, step]
    assert len(written) > 20
