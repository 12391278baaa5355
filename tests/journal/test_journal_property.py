"""Any sequence of calls is read back the same, wherever the reader stops between."""

from __future__ import annotations

import tempfile
from pathlib import Path

import numpy as np
from hypothesis import given, settings
from hypothesis import strategies as st

from autolog.journal import records
from autolog.journal.files import list_writers
from autolog.journal.reader import Cursor, read
from tests.journal.reading import Journal

text = st.text(max_size=8)
values = st.dictionaries(text, st.floats(width=64), min_size=1, max_size=4)
plain = st.recursive(
    st.none()
    | st.booleans()
    | st.integers(-(2**63), 2**64 - 1)
    | st.floats(allow_nan=False)
    | text,
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(text, inner, max_size=3),
    max_leaves=6,
)
contexts = st.tuples(
    st.sampled_from(["fit", "post"]),
    st.none() | text,
    st.none() | text,
    st.none() | st.integers(0, 9),
)
metrics = st.tuples(
    st.just("metrics"),
    st.integers(0, 3),
    values,
    st.integers(-(2**63), 2**63 - 1),
    st.none() | st.integers(-(2**31), 2**31 - 1),
    contexts,
    st.integers(0, 65535),
)
appends = st.tuples(st.just("append"), st.integers(0, 3), st.dictionaries(text, plain, max_size=3))
others = st.sampled_from([("close",), ("sync",), ("process",), ("group",)])
stops = st.tuples(st.just("read"), st.sampled_from([1, 60, 500, 1 << 20]))


@settings(max_examples=150)
@given(
    st.lists(metrics | appends | others | stops, max_size=40), st.sampled_from([300, 2000, 1 << 20])
)
def test_what_is_written_is_read_once_and_equal(calls, segment_bytes):
    with tempfile.TemporaryDirectory() as folder:
        journal = Journal(Path(folder, "journal"))
        writer = journal.writer(segment_bytes=segment_bytes)
        uids = [f"{i:032x}" for i in range(4)]
        points, entries, cursor, chunks = [], [], Cursor(), []

        def advance(size):
            nonlocal cursor
            for files in list_writers(journal.directory):
                chunks.append(read(files, cursor, max_bytes=size))
                cursor = chunks[-1].cursor

        for call, *given_ in calls:
            if call == "metrics":
                run, vals, step, epoch, where, attempt = given_
                number = writer.context(*where)
                writer.metrics(writer.run(uids[run]), vals, step, epoch, number, attempt)
                bits = np.array([*vals.values()]).tobytes()
                points.append((uids[run], tuple(vals), where, attempt, step, epoch, bits))
            elif call == "append":
                record = records.Params(run=writer.run(uids[given_[0]]), values=given_[1])
                writer.append(record)
                entries.append((uids[given_[0]], record))
            elif call == "process":
                writer.append(records.Process(user="u"))
            elif call == "group":
                writer.append(records.Group(key="g", rank=0, size=1))
            elif call == "read":
                advance(given_[0])
            else:
                getattr(writer, call)()
        writer.close()
        advance(300)
        while chunks and chunks[-1].more:
            advance(300)
        found = sorted(
            (int(b.seq[i]), b.run_uid, b.keys,
             (b.context.phase, b.context.model, b.context.dataset, b.context.rank), b.attempt,
             int(b.step[i]), int(b.epoch[i]) if b.has_epoch[i] else None, b.values[i].tobytes())
            for chunk in chunks for b in chunk.points for i in range(len(b.seq))
        )  # fmt: skip
        assert [point[1:] for point in found] == points
        got = [e for chunk in chunks for e in chunk.entries if isinstance(e.record, records.Params)]
        assert [(e.run_uid, e.record) for e in got] == entries
        seqs = [e.seq for chunk in chunks for e in chunk.entries]
        assert seqs == sorted(set(seqs))
        assert not any(chunk.damage for chunk in chunks)
        assert not chunks or chunks[-1].ended
