"""Records read many at a time are those that are read one by one."""

from __future__ import annotations

import tempfile
from pathlib import Path
from unittest import mock

import numpy as np
from hypothesis import given, settings
from hypothesis import strategies as st

from autolog.journal import reader
from autolog.journal.reader import Chunk, Cursor, read
from tests.journal.reading import RUN, Journal, points_of

STRETCHES = st.lists(
    st.tuples(
        st.sampled_from([("a",), ("b",), ("a", "b"), ("a", "b", "c")]),
        st.sampled_from([1, 15, 16, 17, 40, 300]),
        st.integers(0, 1),
        st.none() | st.integers(-5, 5),
    ),
    min_size=1,
    max_size=6,
)


def write(journal: Journal, stretches) -> None:
    writer = journal.writer()
    run = writer.run(RUN)
    step = 0
    for keys, count, attempt, epoch in stretches:
        for _ in range(count):
            step += 1
            values = {key: step + n / 4 for n, key in enumerate(keys)}
            writer.metrics(run, values, step, epoch, 0, attempt)
    writer.close()


def columns(chunk: Chunk) -> list:
    """Everything of the points, in an order that does not depend on the groups."""
    found = []
    for block in chunk.points:
        epochs = np.where(block.has_epoch, block.epoch, -99).tolist()
        rows = zip(block.seq.tolist(), block.wall_us.tolist(), epochs, strict=True)
        found += [(*row, block.keys, block.attempt) for row in rows]
        assert (np.diff(block.seq.astype(np.int64)) > 0).all()
    return sorted(found)


def one_by_one(journal: Journal) -> Chunk:
    with mock.patch.object(reader, "records_alike", return_value=()):
        return journal.read()


@settings(max_examples=60)
@given(stretches=STRETCHES, damage=st.lists(st.floats(0, 1), max_size=3), bit=st.integers(0, 7))
def test_records_alike_are_read_as_they_are_one_by_one(stretches, damage, bit):
    with tempfile.TemporaryDirectory() as folder:
        journal = Journal(Path(folder, "journal"))
        write(journal, stretches)
        [path] = journal.files().segments.values()
        data = bytearray(path.read_bytes())
        for where in damage:
            data[int(where * (len(data) - 1))] ^= 1 << bit
        path.write_bytes(data)
        many, few = journal.read(), one_by_one(journal)
        assert columns(many) == columns(few)
        assert points_of(many) == points_of(few)
        assert (many.cursor, many.damage, many.first_seq, many.last_seq) == (
            few.cursor,
            few.damage,
            few.first_seq,
            few.last_seq,
        )


def test_a_long_stretch_is_read_from_any_place_and_size(journal):
    write(journal, [(("a",), 9000, 0, None), (("a", "b"), 9000, 0, 1)])
    for size in (700, 5000, 70_000):
        cursor, seqs, more = Cursor(), [], True
        while more:
            chunk = read(journal.files(), cursor, max_bytes=size)
            seqs += [seq for seq, _, key, *_ in points_of(chunk) if key == "a"]
            cursor, more = chunk.cursor, chunk.more
        assert seqs == sorted(set(seqs))
        assert len(seqs) == 18_000


def test_records_that_were_delivered_before_are_not_delivered_again(journal):
    write(journal, [(("a",), 100, 0, None)])
    chunk = journal.read(Cursor(seq=60))
    assert [seq for seq, *_ in points_of(chunk)] == list(range(61, chunk.last_seq))
