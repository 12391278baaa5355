"""What is wrong with a file is found, what is whole survives a repair, and nothing comes twice."""

from __future__ import annotations

import random
import struct
import tempfile
from pathlib import Path

import msgspec
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from autolog.errors import JournalError
from autolog.journal import files as file_list
from autolog.journal import records
from autolog.journal import repair as repairing
from autolog.journal.files import list_writers
from autolog.journal.frame import decode, encode
from autolog.journal.reader import Cursor, read
from autolog.journal.repair import repair
from autolog.journal.retention import removable
from autolog.journal.verify import verify, verify_file
from tests.journal.reading import RUN, Journal, points_of

DEAD = """
import sys, os
from autolog.journal.writer import Writer
writer = Writer(sys.argv[1], "sqlite:///s", segment_bytes=int(sys.argv[2]))
run = writer.run("0123456789abcdef" * 2)
for step in range(int(sys.argv[3])):
    writer.metrics(run, {"loss": float(step), "acc": 0.5}, step)
os._exit(9)
"""


@pytest.fixture
def dead(journal, python):
    """Make the journal of a process that was killed; return its files."""

    def make(segment_bytes=1 << 20, steps=40):
        done = python(DEAD, journal.directory, segment_bytes, steps, check=False)
        assert done.returncode == 9, done.stderr
        return journal.files()

    return make


def starts(data: bytes) -> list[int]:
    found, position = [], len(records.MAGIC)
    while (frame := decode(data, position)) is not None:
        found.append(position)
        position = frame.end
    return found


def change(path, at: int, new: bytes) -> None:
    data = bytearray(path.read_bytes())
    data[at : at + len(new)] = new
    path.write_bytes(data)


def steps_of(*chunks) -> list[int]:
    return [point[3] for point in points_of(*chunks) if point[2] == "loss"]


def test_a_whole_journal_is_reported_whole(dead):
    files = dead(segment_bytes=2000)
    reports = verify(files)
    assert len(reports) > 1
    assert not any(report.problems for report in reports)
    assert sum(report.points for report in reports) == 80
    assert {run for report in reports for run in report.runs} == {RUN}
    assert [report.closed for report in reports] == [True] * (len(reports) - 1) + [False]
    assert repair(files, 1) is None


def test_damage_is_told_with_its_offset_and_apart_from_an_unfinished_end(dead):
    files = dead()
    (path,) = files.segments.values()
    at = starts(path.read_bytes())
    change(path, at[10] + 30, b"\xff\xff")
    size = path.stat().st_size
    with path.open("ab") as file:
        file.write(struct.pack("<II", 100, 0) + b"half")
    (report,) = verify(files)
    assert [(p.sort, p.offset, p.length) for p in report.problems] == [
        ("damage", at[10], at[11] - at[10]),
        ("torn", size, 12),
    ]
    assert report.damaged


def test_numbers_that_are_skipped_and_types_that_are_unknown_are_told(journal):
    writer = journal.writer()
    writer.append(records.Process())
    with writer.path.open("ab") as file:
        file.write(encode(100, 0, 2, b"of a later version") + encode(100, 0, 5, b""))
    (report,) = verify(journal.files())
    assert report.unknown_types == {100: 2}
    assert [(p.sort, p.why) for p in report.problems] == [
        ("missing", "records 3 to 4 are missing before it")
    ]


def test_a_missing_record_between_two_files_is_told(journal):
    writer = journal.writer(segment_bytes=1000)
    run = writer.run(RUN)
    for step in range(40):
        writer.metrics(run, {"a": 1.0}, step)
    path = journal.files().segments[2]
    path.write_bytes(path.read_bytes()[: starts(path.read_bytes())[-2]])
    problems = [problem for report in verify(journal.files()) for problem in report.problems]
    assert [problem.sort for problem in problems] == ["missing"]
    assert "are in no file" in problems[0].why


def test_a_repair_keeps_what_is_whole_and_the_original_aside(dead):
    files = dead()
    (path,) = files.segments.values()
    at = starts(path.read_bytes())
    change(path, at[10] + 30, b"\xff\xff")
    damaged = path.read_bytes()
    done = repair(files, 1)
    assert done.path == path
    assert done.original.parent == path.parent / "damaged"
    assert done.original.read_bytes() == damaged
    assert done.lost == at[11] - at[10]
    (again,) = verify(list_writers(path.parent)[0])
    assert not again.problems
    chunk = read(files, Cursor())
    assert len(steps_of(chunk)) == 39
    assert not chunk.damage
    assert list(path.parent.glob(".*")) == []


def test_a_repaired_file_is_read_from_its_start_and_nothing_comes_twice(dead):
    files = dead(steps=200)
    (path,) = files.segments.values()
    at = starts(path.read_bytes())
    change(path, at[100] + 30, b"\xff\xff")
    path.write_bytes(path.read_bytes()[: at[60]] + b"noise" + path.read_bytes()[at[60] :])
    for size in (10, 3000, 9000, 1 << 20):
        first = read(files, Cursor(), max_bytes=size)
        with tempfile.TemporaryDirectory() as folder:
            copy = Path(folder, path.name)
            copy.write_bytes(path.read_bytes())
            (copies,) = list_writers(folder)
            assert repair(copies, 1) is not None
            second = read(copies, first.cursor)
            found = steps_of(first, second)
            assert found == sorted(set(found))
            assert len(found) == 199
            assert not second.damage
            assert removable(copies, second.cursor) == [copy]


def test_a_zeroed_header_is_damage_and_the_records_are_kept(dead):
    files = dead(segment_bytes=2000)
    newest = max(files.segments)
    path = files.segments[newest]
    end = starts(path.read_bytes())[1]
    change(path, 0, bytes(end))
    chunk = read(files, Cursor())
    assert steps_of(chunk) == list(range(40))
    assert [damage.why for damage in chunk.damage] == ["the header is damaged"]
    assert chunk.damage[0].length == end


def test_a_zeroed_header_of_the_only_file_is_damage_at_once(dead):
    files = dead()
    (path,) = files.segments.values()
    end = starts(path.read_bytes())[1]
    change(path, 0, bytes(end))
    assert files.state() == "dead"  # nobody holds the lock that its writer took
    chunk = read(files, Cursor())
    assert steps_of(chunk) == list(range(40))
    assert [damage.why for damage in chunk.damage] == ["the header is damaged"]
    assert repair(files, 1) is not None
    assert files.header().repaired_us
    assert files.state() == "dead"
    assert steps_of(read(files, Cursor())) == list(range(40))


def test_zeros_for_a_header_wait_where_the_disk_may_show_later_bytes_first(dead, monkeypatch):
    files = dead()
    (path,) = files.segments.values()
    data = path.read_bytes()
    change(path, 0, bytes(starts(data)[1]))
    monkeypatch.setattr(file_list, "is_network", lambda _: True)
    chunk = read(files, Cursor())
    assert not chunk.damage
    assert chunk.cursor.offset == 0
    path.write_bytes(data)
    assert steps_of(read(files, chunk.cursor)) == list(range(40))


def test_a_file_without_a_readable_header_is_alive_while_it_is_locked(journal):
    writer = journal.writer()
    writer.append(records.Process())
    change(writer.path, 0, bytes(100))
    assert journal.files().state() == "alive"
    writer.close()
    assert journal.files().state() == "dead"
    writer.path.write_bytes(b"")  # as between the creation of a file and its lock
    assert journal.files().state() == "unknown"


@pytest.mark.parametrize("which", ["first", "newest"])
def test_definitions_lost_with_a_files_first_page_are_taken_from_the_others(dead, which):
    files = dead(segment_bytes=2000, steps=80)
    number = 1 if which == "first" else max(files.segments)
    path = files.segments[number]
    data = path.read_bytes()
    third = starts(data)[3]
    assert [decode(data, at).kind for at in starts(data)[:4]] == [0, 3, 1, 16]
    change(path, 0, bytes(third))
    before = read(files, Cursor())
    assert steps_of(before) == list(range(80))
    report = verify_file(files, number)
    assert report.damaged
    assert report.points > 0
    assert repair(files, number) is not None
    alone = path.parent / "alone"
    alone.mkdir()
    (alone / path.name).write_bytes(path.read_bytes())
    (single,) = list_writers(alone)
    assert len(steps_of(read(single, Cursor()))) == report.points // 2


def test_the_file_of_a_living_process_is_not_repaired(journal):
    writer = journal.writer()
    run = writer.run(RUN)
    for step in range(5):
        writer.metrics(run, {"loss": 1.0}, step)
    change(writer.path, starts(writer.path.read_bytes())[3] + 20, b"\xff")
    before = writer.path.read_bytes()
    with pytest.raises(JournalError, match="is being written"):
        repair(journal.files(), 1)
    assert writer.path.read_bytes() == before


def test_a_file_of_a_newer_format_is_said_and_left_alone(dead):
    files = dead()
    (path,) = files.segments.values()
    data = path.read_bytes()
    end = starts(data)[1]
    newer = msgspec.msgpack.encode({"version": 2, "what": "else"})
    path.write_bytes(records.MAGIC + encode(0, 0, 0, newer) + data[end:])
    (report,) = verify(files)
    assert [problem.sort for problem in report.problems] == ["newer"]
    assert "upgrade autolog-ml" in report.problems[0].why
    assert not report.damaged
    before = path.read_bytes()
    with pytest.raises(JournalError, match=r"left alone.*format 2"):
        repair(files, 1)
    assert path.read_bytes() == before


def test_an_original_stays_in_place_until_the_new_file_is_on_the_disk(dead, monkeypatch):
    files = dead()
    (path,) = files.segments.values()
    change(path, starts(path.read_bytes())[10] + 30, b"\xff")
    before = path.read_bytes()

    def full(*_):
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(repairing.os, "fsync", full)
    with pytest.raises(JournalError, match="No space left"):
        repair(files, 1)
    monkeypatch.undo()
    assert path.read_bytes() == before
    assert [p.name for p in path.parent.iterdir()] == [path.name]
    assert repair(files, 1) is not None


@pytest.fixture(scope="module")
def sample(tmp_path_factory):
    """The bytes of a file with some of everything, and its name."""
    journal = Journal(tmp_path_factory.mktemp("sample"))
    writer = journal.writer()
    run = writer.run(RUN)
    writer.append(records.Process(user="ada"))
    for step in range(12):
        writer.metrics(run, {"loss": float(step), f"k{step % 3}": 0.5}, step)
        writer.append(records.Tags(run=run, values={"step": str(step)}))
    return writer.path.name, writer.path.read_bytes()


@settings(max_examples=150)
@given(st.lists(st.tuples(st.integers(0, 10_000), st.integers(1, 255)), min_size=1, max_size=12))
def test_flipped_bits_anywhere_invent_nothing_and_a_repair_loses_nothing_that_was_read(
    sample, flips
):
    name, data = sample
    broken = bytearray(data)
    for position, mask in flips:
        broken[position % len(data)] ^= mask
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder, name)
        path.write_bytes(data)
        (files,) = list_writers(folder)
        true = {point[:1] + point[2:] for point in points_of(read(files, Cursor()))}
        path.write_bytes(broken)
        before = read(files, Cursor())
        found = {point[:1] + point[2:] for point in points_of(before)}
        assert found <= true
        # The test's own process lives, so the newest file would be refused.
        later = Path(folder, name.replace("000001", "000002"))
        later.write_bytes(b"")
        (files,) = list_writers(folder)
        whole = verify_file(files, 1)
        if not any(problem.sort == "newer" for problem in whole.problems):
            repair(files, 1)
            after = read(files, Cursor())
            assert found <= {point[:1] + point[2:] for point in points_of(after)} <= true
            went_on = read(files, before.cursor)
            assert not {p[:2] for p in points_of(before)} & {p[:2] for p in points_of(went_on)}


def test_a_repair_at_any_moment_of_a_fold_keeps_every_point_once(dead, monkeypatch):
    """Reads before, between and after repairs of a journal of several files."""
    source = random.Random(7)
    files = dead(segment_bytes=3000, steps=300)
    for number in sorted(files.segments)[::2]:
        path = files.segments[number]
        at = starts(path.read_bytes())
        change(path, at[len(at) // 2] + 30, b"\xff\xff\xff")
    lost = len(sorted(files.segments)[::2])
    cursor, chunks = Cursor(), []
    waiting = sorted(files.segments)
    while waiting or not chunks or chunks[-1].more:
        chunks.append(read(files, cursor, max_bytes=source.choice([200, 1000, 4000])))
        cursor = chunks[-1].cursor
        if waiting and source.random() < 0.3:
            repair(files, waiting.pop(source.randrange(len(waiting))))
    chunks.append(read(files, cursor))
    found = steps_of(*chunks)
    assert found == sorted(set(found))
    assert len(found) == 300 - lost
