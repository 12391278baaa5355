"""Torn tails wait, damage is skipped and reported, and whole files alone are removable."""

from __future__ import annotations

import struct
from zlib import crc32

import msgspec
import pytest

from autolog.journal import records
from autolog.journal.files import list_writers
from autolog.journal.frame import decode, encode
from autolog.journal.reader import Cursor, read
from autolog.journal.retention import removable
from tests.journal.reading import RUN, points_of


def frames(data: bytes) -> list[tuple[int, int]]:
    """Return (start, end) of every frame, the header's first."""
    found, position = [], len(records.MAGIC)
    while (frame := decode(data, position)) is not None:
        found.append((position, frame.end))
        position = frame.end
    assert position == len(data)
    return found


@pytest.fixture
def written(journal):
    """A file with some of everything, its path and its bytes."""
    writer = journal.writer()
    run = writer.run(RUN)
    writer.append(records.Process(user="ada"))
    for step in range(3):
        writer.metrics(run, {"loss": float(step), "acc": 0.5}, step)
        writer.append(records.Tags(run=run, values={"step": str(step)}))
    return writer.path, writer.path.read_bytes()


def summary(chunk):
    return points_of(chunk), [(entry.seq, entry.record) for entry in chunk.entries]


def test_a_tail_torn_at_any_byte_waits_and_is_read_once_whole(journal, written):
    path, data = written
    whole = summary(journal.read())
    ends = [end for _, end in frames(data)]
    for cut in range(len(data) + 1):
        path.write_bytes(data[:cut])
        first = journal.read()
        assert not first.damage
        before = [end for end in ends if end <= cut]
        assert first.cursor.offset == (before[-1] if before else 0)
        path.write_bytes(data)
        second = journal.read(first.cursor)
        assert not second.damage
        assert [a + b for a, b in zip(summary(first), summary(second), strict=True)] == [*whole]


def test_a_flipped_bit_anywhere_costs_no_record_but_its_own(journal, written):
    path, data = written
    spans = frames(data)
    seqs = [decode(data, start).seq for start, _ in spans]
    kinds = [decode(data, start).kind for start, _ in spans]
    defines = {1, 3}
    whole = {seq for seq, *_ in points_of(journal.read())}
    for position in range(len(data)):
        hit = next((i for i, (a, b) in enumerate(spans) if a <= position < b), 0)
        if kinds[hit] in defines:
            continue
        broken = bytearray(data)
        broken[position] ^= 1 << position % 8
        path.write_bytes(broken)
        chunk = journal.read()
        got = {seq for seq, *_ in points_of(chunk)}
        assert whole - got <= {seqs[hit]}, position
        torn_tail = hit == len(spans) - 1
        assert bool(chunk.damage) != torn_tail, position


def test_points_whose_keys_were_damaged_are_reported_not_guessed(journal, written):
    path, data = written
    (shape,) = (s for s in frames(data) if decode(data, s[0]).kind == 1)
    broken = bytearray(data)
    broken[shape[0] + 20] ^= 1
    path.write_bytes(broken)
    chunk = journal.read()
    assert not chunk.points
    assert len(chunk.entries) == 4
    whys = [damage.why for damage in chunk.damage]
    assert whys == ["a damaged record", "points whose run or keys were defined in a damaged part"]


def test_zeros_in_a_file_of_another_host_wait_because_its_disk_may_show_them_early(
    journal, written
):
    path, data = written
    spans = frames(data)
    frame = decode(data, spans[0][0])
    header = msgspec.msgpack.decode(frame.payload, type=records.Header)
    away = msgspec.structs.replace(header, host="elsewhere", boot="b")
    start = records.MAGIC + encode(0, 0, 0, msgspec.msgpack.encode(away))
    rest, tail = data[spans[0][1] : spans[5][0]], data[spans[5][0] :]
    path.write_bytes(start + rest + bytes(spans[5][1] - spans[5][0]) + data[spans[5][1] :])
    chunk = journal.read()
    assert not chunk.damage
    assert chunk.cursor.offset == len(start + rest)
    path.write_bytes(start + rest + tail)
    assert journal.read(chunk.cursor).last_seq == decode(data, spans[-1][0]).seq


@pytest.mark.parametrize("filler", [b"\0" * 5000, b"\xff" * 3, b"noise" * 70_000])
def test_foreign_bytes_in_the_middle_are_skipped_and_measured(journal, written, filler):
    path, data = written
    whole = summary(journal.read())
    at = frames(data)[4][1]
    path.write_bytes(data[:at] + filler + data[at:])
    chunk = journal.read()
    assert summary(chunk) == whole
    (damage,) = chunk.damage
    assert (damage.path, damage.offset, damage.length) == (path, at, len(filler))


def test_a_missing_stretch_in_the_middle_costs_only_that_stretch(journal, written):
    path, data = written
    spans = frames(data)
    path.write_bytes(data[: spans[5][0] + 3] + data[spans[6][0] + 9 :])
    chunk = journal.read()
    assert len(chunk.damage) == 1
    assert chunk.last_seq == decode(data, spans[-1][0]).seq


def test_a_torn_end_with_a_successor_is_damage(journal):
    writer = journal.writer(segment_bytes=500)
    run = writer.run(RUN)
    for step in range(20):
        writer.metrics(run, {"a": 1.0}, step)
    files = journal.files()
    first = files.segments[1]
    first.write_bytes(first.read_bytes()[:-10])
    chunk = journal.read()
    assert [(d.path, d.why) for d in chunk.damage[:1]] == [(first, "a damaged record")]
    assert len(points_of(chunk)) == 20
    assert first not in removable(files, chunk.cursor)
    assert files.segments[2] in removable(files, chunk.cursor)


def test_a_missing_file_is_reported(journal):
    writer = journal.writer(segment_bytes=500)
    run = writer.run(RUN)
    for step in range(20):
        writer.metrics(run, {"a": 1.0}, step)
    journal.files().segments[2].unlink()
    (damage,) = journal.read().damage
    assert "are missing before it" in damage.why


def test_a_damaged_header_costs_nothing_but_itself(journal, written):
    path, data = written
    whole = summary(journal.read())
    path.write_bytes(b"X" + data[1:])
    chunk = journal.read()
    assert summary(chunk) == whole
    assert [damage.why for damage in chunk.damage] == ["the header is damaged"]


def newer(data: bytes) -> bytes:
    frame = decode(data, len(records.MAGIC))
    header = {**msgspec.msgpack.decode(frame.payload), "version": 2, "store": 5}
    rest = b"something quite different" * 9
    return records.MAGIC + encode(0, 0, 0, msgspec.msgpack.encode(header)) + rest


def test_a_file_of_a_newer_version_is_left_alone_with_a_reason(journal, written):
    path, data = written
    path.write_bytes(newer(data))
    chunk = journal.read()
    assert not chunk.entries
    assert chunk.cursor.offset == 0
    assert ["upgrade autolog-ml" in damage.why for damage in chunk.damage] == [True]
    assert removable(journal.files(), chunk.cursor) == []
    path.write_bytes(data)
    assert len(points_of(journal.read(chunk.cursor))) == 6


def test_unknown_types_and_fields_are_passed_over(journal, written):
    path, data = written
    before = journal.read()
    seq = before.last_seq
    tags = msgspec.msgpack.encode({"run": 1, "values": {"a": "b"}, "colour": "new"})
    path.write_bytes(data + encode(99, 7, seq + 1, b"??") + encode(9, 0, seq + 2, tags))
    chunk = journal.read(before.cursor)
    assert [entry.record for entry in chunk.entries] == [records.Tags(run=1, values={"a": "b"})]
    assert chunk.last_seq == seq + 2
    assert not chunk.damage


def test_a_record_with_a_right_checksum_that_is_nonsense_is_reported(journal, written):
    path, data = written
    before = journal.read()
    path.write_bytes(data + encode(9, 0, before.last_seq + 1, b"\xc1"))
    chunk = journal.read(before.cursor)
    assert ["a Tags record" in damage.why for damage in chunk.damage] == [True]


def test_a_redefined_number_binds_only_what_follows(journal, written):
    path, data = written
    before = journal.read()
    last = next(s for s in reversed(frames(data)) if decode(data, s[0]).kind == records.METRICS)
    old = decode(data, last[0])
    shape = struct.unpack_from("<I", old.payload, 4)[0]
    new_keys = msgspec.msgpack.encode({"id": shape, "keys": ["x", "y"]})
    seq = before.last_seq
    more = [
        encode(records.METRICS, 0, seq + 1, old.payload),
        encode(1, 0, seq + 2, new_keys),
        encode(records.METRICS, 0, seq + 3, old.payload),
    ]
    path.write_bytes(data + b"".join(more))
    points = points_of(journal.read(before.cursor))
    assert [(point[0] - seq, point[2]) for point in points] == [
        (1, "loss"), (1, "acc"), (3, "x"), (3, "y")
    ]  # fmt: skip


def test_what_was_delivered_before_is_not_delivered_again(journal, written):
    whole = journal.read()
    again = journal.read(Cursor(segment=1, offset=0, seq=whole.last_seq - 2))
    assert again.first_seq == whole.last_seq - 1
    assert len(points_of(again)) == 2
    assert len(again.entries) == 1
    assert journal.read(whole.cursor).entries == []


def test_a_read_stops_at_max_bytes_and_goes_on_from_there(journal):
    writer = journal.writer(segment_bytes=3000)
    run = writer.run(RUN)
    for step in range(200):
        writer.metrics(run, {"a": float(step)}, step)
        if step == 100:
            writer.append(records.Params(run=run, values={"long": "x" * 2000}))
    writer.close()
    (files,) = list_writers(journal.directory)
    cursor, chunks = Cursor(), []
    while not chunks or chunks[-1].more:
        chunks.append(read(files, cursor, max_bytes=700))
        cursor = chunks[-1].cursor
    assert len(chunks) > 10
    assert chunks[-1].ended
    assert points_of(*chunks) == points_of(journal.read())
    assert not any(chunk.damage for chunk in chunks)


def test_closed_files_are_removable_once_read_and_the_writer_goes_on(journal):
    writer = journal.writer(segment_bytes=500)
    run = writer.run(RUN)
    for step in range(20):
        writer.metrics(run, {"a": 1.0}, step)
    files = journal.files()
    newest = max(files.segments)
    chunk = journal.read()
    paths = removable(files, chunk.cursor)
    assert paths == [files.segments[n] for n in range(1, newest)]
    assert removable(files, Cursor()) == []
    for path in paths:
        path.unlink()
    writer.metrics(run, {"a": 2.0}, 99)
    rest = journal.read(chunk.cursor)
    assert [point[3] for point in points_of(rest)] == [99]
    assert not rest.damage
    writer.close()
    assert removable(journal.files(), rest.cursor) == [
        path for n, path in journal.files().segments.items() if n < rest.cursor.segment
    ]
    last = journal.read(rest.cursor)
    assert removable(journal.files(), last.cursor) == list(journal.files().segments.values())


def test_a_file_with_points_behind_its_close_is_not_taken_for_closed(journal):
    writer = journal.writer()
    run = writer.run(RUN)
    writer.metrics(run, {"a": 1.0}, 1)
    path = writer.path
    metrics = decode(path.read_bytes(), frames(path.read_bytes())[-1][0])
    writer.close()
    closed = journal.read()
    assert removable(journal.files(), closed.cursor) == [path]
    with path.open("ab") as file:
        file.write(encode(metrics.kind, 0, closed.last_seq + 1, metrics.payload))
    chunk = journal.read()
    assert len(points_of(chunk)) == 2
    assert not chunk.ended
    assert removable(journal.files(), chunk.cursor) == []


def test_files_that_are_no_journals_are_not_listed(journal, written):
    (journal.directory / "notes.txt").write_text("x")
    (journal.directory / "x.000001.alj").write_text("x")
    assert len(list_writers(journal.directory)) == 1
    assert list_writers(journal.directory / "missing") == []


def test_crc_of_a_frame_covers_its_type_flags_and_number():
    frame = encode(9, 1, 5, b"payload")
    assert struct.unpack_from("<II", frame) == (len(frame) - 8, crc32(frame[8:]))
    for position in range(len(frame)):
        broken = bytearray(frame)
        broken[position] ^= 4
        assert decode(bytes(broken)) is None
