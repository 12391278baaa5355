"""A disk that refuses: with `keeps` nothing raises, order and time stay, nothing comes twice."""

from __future__ import annotations

import errno
import os
import sys
import time

import pytest

from autolog.errors import JournalError
from autolog.journal import backlog, file, records
from tests.journal.reading import RUN, points_of
from tests.journal.test_journal_full_disk import fill, small_disk  # noqa: F401  a fixture
from tests.journal.test_journal_nested import Interrupt


class Disk:
    """Refuses writes while `full`."""

    def __init__(self) -> None:
        self.full = False
        self.code = errno.ENOSPC
        self.asked = 0
        self._write = os.write

    def write(self, fd, data):
        self.asked += 1
        if self.full:
            raise OSError(self.code, os.strerror(self.code))
        return self._write(fd, data)


@pytest.fixture
def disk(monkeypatch):
    disk = Disk()
    monkeypatch.setattr(file, "_write", disk.write)
    monkeypatch.setattr(backlog, "_PAUSE_S", 0.0)
    return disk


@pytest.mark.parametrize("code", [errno.ENOSPC, errno.EFBIG, errno.EDQUOT, errno.EIO])
def test_what_was_refused_is_written_before_anything_newer_with_its_own_time(journal, disk, code):
    told: list[str] = []
    writer = journal.writer(keeps=lambda: True, on_refusal=told.append)
    run = writer.run(RUN)
    writer.metrics(run, {"a": 1.0}, 0)
    disk.full, disk.code = True, code
    before = writer.now_us()
    for step in range(1, 50):
        writer.metrics(run, {"a": 1.0, f"new{step % 3}": 0.0}, step, epoch=step)
        assert writer.append(records.Tags(run=run, values={"step": str(step)})) == 0
    after = writer.now_us()
    assert writer.counts == (98, 98, 0, 0)
    disk.full = False
    time.sleep(0.01)
    writer.metrics(run, {"a": 1.0}, 50)
    assert writer.counts == (0, 0, 0, 0)
    chunk = journal.read()
    assert [point[3] for point in points_of(chunk) if point[2] == "a"] == list(range(51))
    assert [entry.record.values["step"] for entry in chunk.entries] == [*map(str, range(1, 50))]
    walls = {
        int(step): int(wall)
        for block in chunk.points
        for step, wall in zip(block.step, block.wall_us, strict=True)
    }
    assert before <= walls[1] <= walls[49] <= after < walls[50]
    assert len(told) == 1
    assert os.strerror(code) in told[0]


def test_every_stretch_of_refusals_is_told_once(journal, disk):
    told: list[str] = []
    writer = journal.writer(keeps=lambda: True, on_refusal=told.append)
    run = writer.run(RUN)
    for step in range(9):
        disk.full = step % 3 == 1
        for _ in range(3):
            writer.metrics(run, {"a": 1.0}, step)
    assert len(told) == 3


def test_a_disk_that_refuses_is_not_asked_at_every_call(journal, disk, monkeypatch):
    monkeypatch.setattr(backlog, "_PAUSE_S", 1000.0)
    writer = journal.writer(keeps=lambda: True)
    run = writer.run(RUN)
    writer.metrics(run, {"a": 1.0}, 0)
    disk.full = True
    before = disk.asked
    for step in range(1, 100):
        writer.metrics(run, {"a": 1.0}, step)
    assert disk.asked - before < 5
    disk.full = False
    writer.sync()  # asks at once
    assert writer.counts.waiting_records == 0
    assert [point[3] for point in points_of(journal.read())] == list(range(100))


def test_the_first_file_that_cannot_be_opened_raises_even_so(tmp_path):
    from autolog.journal.writer import Writer

    (tmp_path / "file").write_text("")
    writer = Writer(tmp_path / "file" / "journal", "s", keeps=lambda: True)
    with pytest.raises(JournalError, match="cannot be created"):
        writer.append(records.Process())


def test_a_disk_that_refuses_the_next_file_is_waited_for(journal, disk):
    writer = journal.writer(segment_bytes=1000, keeps=lambda: True)
    run = writer.run(RUN)
    for step in range(200):
        disk.full = step % 20 > 10
        writer.metrics(run, {"a": float(step)}, step)
    disk.full = False
    writer.close()
    chunk = journal.read()
    assert len(journal.files().segments) > 5
    assert [point[3] for point in points_of(chunk)] == list(range(200))
    assert not chunk.damage
    assert chunk.ended


def test_a_real_disk_without_space_is_survived(small_disk):  # noqa: F811
    from tests.journal.reading import Journal

    ballast = small_disk / "ballast"
    ballast.write_bytes(bytes(30_000))
    journal = Journal(small_disk / "journal")
    writer = journal.writer(keeps=lambda: True)
    run = writer.run(RUN)
    for step in range(1000):
        writer.metrics(run, {"loss": float(step)}, step)
    assert writer.counts.waiting_records > 0
    chunk = journal.read()
    assert chunk.cursor.offset == writer.path.stat().st_size
    ballast.unlink()
    writer.sync()
    found = [point[3] for point in points_of(chunk, journal.read(chunk.cursor))]
    assert found == list(range(len(found)))
    assert len(found) + writer.counts.waiting_records == 1000
    assert len(found) > len(points_of(chunk))


def test_a_call_nested_in_a_refused_one_waits_behind_it(journal, disk, monkeypatch):
    writer = journal.writer(keeps=lambda: True)
    run = writer.run(RUN)
    writer.metrics(run, {"a": 1.0}, 0)
    real = disk.write

    def nested_then_full(fd, data):
        monkeypatch.setattr(file, "_write", real)
        disk.full = True
        writer.metrics(run, {"nested": 1.0}, 7)
        return real(fd, data)

    monkeypatch.setattr(file, "_write", nested_then_full)
    writer.metrics(run, {"a": 1.0}, 1)
    assert writer.counts.waiting_records == 2
    disk.full = False
    writer.metrics(run, {"a": 1.0}, 2)
    found = [point[2:4] for point in points_of(journal.read())]
    assert sorted(found) == [("a", 0), ("a", 1), ("a", 2), ("nested", 7)]
    assert found[-1] == ("a", 2)


def test_an_interrupt_before_any_line_of_catching_up_neither_loses_nor_doubles(journal, disk):
    writer = journal.writer(segment_bytes=1500, keeps=lambda: True)
    run = writer.run(RUN)
    writer.metrics(run, {"a": 1.0}, 0)
    step, kept, struck = 0, [0], 0
    for line in range(300):
        disk.full = True
        for _ in range(3):
            step += 1
            writer.metrics(run, {"a": 1.0}, step)
            kept.append(step)
        disk.full = False
        left, hit = line % 100, False

        def trace(frame, event, _):
            nonlocal left, hit
            name = frame.f_code.co_filename
            inside = name.endswith(("journal/writer.py", "journal/backlog.py"))
            if not inside or hit:
                return None
            if event == "line" and frame.f_code.co_name in {"_catch_up", "_write_first", "done"}:
                left -= 1
                if left < 0:
                    hit = True
                    raise Interrupt
            return trace

        sys.settrace(trace)
        try:
            writer.sync()
        except Interrupt:
            struck += 1
        finally:
            sys.settrace(None)
    writer.sync()
    assert struck > 50
    assert writer.counts.waiting_records == 0
    assert [point[3] for point in points_of(journal.read())] == kept


def test_a_killed_process_loses_what_waited_and_nothing_else(journal, python):
    program = """
import os, resource, signal, sys
from autolog.journal.writer import Writer
writer = Writer(sys.argv[1], "s", keeps=lambda: True)
run = writer.run("a" * 32)
for step in range(10):
    writer.metrics(run, {"a": 1.0}, step)
size = os.stat(writer.path).st_size
resource.setrlimit(resource.RLIMIT_FSIZE, (size + 100, resource.RLIM_INFINITY))
for step in range(10, 20):
    writer.metrics(run, {"a": 1.0}, step)
os.kill(os.getpid(), signal.SIGKILL)
"""
    assert python(program, journal.directory, check=False).returncode == -9
    chunk = journal.read()
    assert [point[3] for point in points_of(chunk)] == list(range(11))
    assert not chunk.damage


def test_a_forked_child_does_not_write_what_waits_in_its_parent(journal, disk):
    writer = journal.writer(keeps=lambda: True)
    run = writer.run(RUN)
    writer.metrics(run, {"a": 1.0}, 0)
    disk.full = True
    writer.metrics(run, {"a": 1.0}, 1)
    disk.full = False
    pid = os.fork()
    if pid == 0:
        writer.sync()
        writer.close()
        os._exit(0 if writer.counts.waiting_records == 0 else 1)
    assert os.waitpid(pid, 0)[1] == 0
    assert writer.counts.waiting_records == 1
    writer.sync()
    assert [point[3] for point in points_of(journal.read())] == [0, 1]


def test_a_cap_counts_only_files_that_no_reader_has_removed(journal, monkeypatch):
    monkeypatch.setattr(backlog, "_PAUSE_S", 0.0)
    writer = journal.writer(max_bytes=400_000)
    run = writer.run(RUN)
    written: list[int] = []
    step, error = fill(writer, run, written)
    assert "AUTOLOG_JOURNAL_MAX_MB" in str(error)
    files = journal.files().segments
    size = sum(path.stat().st_size for path in files.values())
    assert 200_000 < size <= 400_000
    with pytest.raises(JournalError):
        writer.metrics(run, {"a": 1.0}, step)
    files[1].unlink()
    writer.metrics(run, {"a": 1.0}, step)
