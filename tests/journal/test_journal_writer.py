"""What is written comes back, and what cannot be written is refused with its name."""

from __future__ import annotations

import math
import os
import re
import stat
import sys
import threading
import time

import numpy as np
import pytest

from autolog.errors import JournalError, UsageError
from autolog.journal import records
from autolog.journal.files import list_writers
from autolog.journal.writer import Writer
from tests.journal.reading import RUN, points_of


def test_nothing_is_created_before_the_first_record(journal):
    writer = journal.writer()
    writer.context("post")
    writer.run(RUN)
    writer.sync()
    writer.close()
    assert writer.path is None
    assert not journal.directory.exists()


def test_a_file_is_named_after_its_writer_and_private_to_its_user(journal):
    writer = journal.writer()
    writer.append(records.Process(user="ada"))
    assert writer.path == journal.directory / f"{writer.uid}.000001.alj"
    assert re.fullmatch("[0-9a-f]{32}", writer.uid)
    assert stat.S_IMODE(writer.path.stat().st_mode) == 0o600


def test_the_header_says_who_writes(journal):
    writer = journal.writer()
    writer.append(records.Process())
    header = journal.files().header()
    assert (header.writer, header.segment, header.first_seq) == (writer.uid, 1, 1)
    assert header.store == "sqlite:///s"
    assert header.process.pid == os.getpid()
    assert header.ancestors[0].pid == os.getppid()
    assert abs(header.wall_us / 1e6 - time.time()) < 60


def test_points_come_back_with_everything_that_was_said_of_them(journal):
    writer = journal.writer()
    run = writer.run(RUN)
    context = writer.context("post", model="m", dataset="test", rank=3)
    writer.metrics(run, {"loss": 0.5, "acc": 1}, 7, epoch=2, context=context, attempt=65535)
    writer.metrics(run, {"loss": 0.25, "acc": 2}, 8, context=context, attempt=65535)
    (block,) = journal.read().points
    assert block.run_uid == RUN
    assert block.keys == ("loss", "acc")
    assert block.context == records.Context(id=0, phase="post", model="m", dataset="test", rank=3)
    assert block.attempt == 65535
    assert block.step.tolist() == [7, 8]
    assert block.epoch.tolist() == [2, 0]
    assert block.has_epoch.tolist() == [True, False]
    assert block.values.tolist() == [[0.5, 1.0], [0.25, 2.0]]
    assert (np.diff(block.seq.astype(int)) == 1).all()
    assert (abs(block.wall_us - writer.now_us()) < 60_000_000).all()
    types = {n: getattr(block, n).dtype.str for n in ("seq", "step", "epoch", "wall_us", "values")}
    assert types == {"seq": "<u8", "step": "<i8", "epoch": "<i4", "wall_us": "<i8", "values": "<f8"}


@pytest.mark.parametrize("step", [0, -1, 2**63 - 1, -(2**63)])
def test_any_int64_is_a_step(journal, step):
    writer = journal.writer()
    writer.metrics(writer.run(RUN), {"loss": 1.0}, step)
    assert journal.read().points[0].step.tolist() == [step]


def test_nan_keeps_its_bits_and_infinities_their_sign(journal):
    writer = journal.writer()
    values = {"a": math.nan, "b": math.inf, "c": -math.inf, "d": -0.0, "e": 5e-324}
    writer.metrics(writer.run(RUN), values, 0)
    assert journal.read().points[0].values.tobytes() == np.array([*values.values()]).tobytes()


@pytest.mark.parametrize("value", [True, 3, np.float32(0.5), np.int64(4), "0.5"])
def test_whatever_float_takes_is_a_value(journal, value):
    writer = journal.writer()
    writer.metrics(writer.run(RUN), {"x": value}, 0)
    assert journal.read().points[0].values.tolist() == [[float(value)]]


@pytest.mark.parametrize("key", ["", "a/b c", "é", "\0", "損失", "🙂", "k" * 100_000, "a.b[0]\n"])
def test_any_unicode_text_is_a_key(journal, key):
    writer = journal.writer()
    writer.metrics(writer.run(RUN), {key: 1.0}, 0)
    assert journal.read().points[0].keys == (key,)


class Hostile:
    def __float__(self):
        raise RuntimeError("a tensor with 2 elements")

    def __repr__(self):
        return "x" * 1000


@pytest.mark.parametrize(
    ("values", "step", "more", "words"),
    [
        ({"ok": 1.0, "bad": None}, 0, {}, "'bad'"),
        ({"bad": "abc"}, 0, {}, "'bad'.*'abc'"),
        ({"bad": Hostile()}, 0, {}, r"'bad'.*xxx\.\.\..*2 elements"),
        ({"bad": 10**400}, 0, {}, "'bad'"),
        ({"loss": 1.0}, 2**63, {}, "step 9223372036854775808 of metric 'loss'"),
        ({"loss": 1.0, "acc": 1.0}, 0.5, {}, "step 0.5 of metric 'loss' and 1 more"),
        ({"loss": 1.0}, None, {}, "step None"),
        ({"loss": 1.0}, 0, {"epoch": 2**31}, "epoch 2147483648 of metric 'loss'"),
        ({"loss": 1.0}, 0, {"attempt": 65536}, "attempt 65536"),
        ({"loss": 1.0}, 0, {"attempt": -1}, "attempt -1"),
        ({"loss": 1.0}, 0, {"context": 99}, "context number 99"),
        ({1: 1.0}, 0, {}, "text, not 1"),
        ({"\ud800": 1.0}, 0, {}, "'.ud800'"),
    ],
)
def test_what_cannot_be_a_point_is_refused_by_name_and_harms_nothing(
    journal, values, step, more, words
):
    writer = journal.writer()
    run = writer.run(RUN)
    with pytest.raises(UsageError, match=words):
        writer.metrics(run, values, step, **more)
    writer.metrics(run, {"loss": 2.0}, 1)
    chunk = journal.read()
    assert [point[2:] for point in points_of(chunk)] == [("loss", 1, 2.0)]
    assert not chunk.damage


def test_no_values_write_nothing(journal):
    writer = journal.writer()
    writer.metrics(writer.run(RUN), {}, 0)
    assert writer.path is None


def test_a_run_number_of_another_writer_is_refused(journal):
    writer = journal.writer()
    with pytest.raises(UsageError, match="run number 5"):
        writer.metrics(5, {"a": 1.0}, 0)
    with pytest.raises(UsageError, match="run number 5"):
        writer.append(records.Tags(run=5, values={}))


def every_record(run: int) -> list[records.Record]:
    return [
        records.Process(user="u", argv=["a"], packages={"x": "1"}, details={"n": [1, None, "z"]}),
        records.RunOpen(run=run, name="n", kind="fit", experiment="e", start_us=1),
        records.RunUpdate(run=run, name="m"),
        records.Params(run=run, values={"a": 1, "b": None, "c": [1.5, "x"], "d": {"e": True}}),
        records.Tags(run=run, values={"a": "b"}),
        records.Event(kind="k", wall_us=3, data={"x": math.inf}),
        records.ArtifactFile(run=run, path="p", size=1, sha256="s", uri="u"),
        records.ModelSaved(
            run=run, name="m", format="f", safe=True, size=2, paths=["p"], manifest={}, wall_us=1
        ),
        records.Input(run=run, role="train", name="X", profile={"rows": 2**63}),
        records.SpanOpen(span=1, run=None, role="fit", kind="k", name="n", wall_us=5),
        records.SpanClose(span=1, wall_us=6),
        records.Group(key="g", rank=0, size=2),
        records.RunEnd(run=run, status="FINISHED", end_us=9, exit_code=0),
    ]


def test_every_kind_of_record_comes_back_equal_and_in_order(journal):
    writer = journal.writer()
    run = writer.run(RUN)
    written = every_record(run)
    assert {type(r) for r in written} | {
        records.Shape, records.Context, records.RunNumber, records.Close
    } == set(records.TYPES)  # fmt: skip
    numbers = [writer.append(record) for record in written]
    entries = journal.read().entries
    assert [entry.record for entry in entries] == written
    assert [entry.seq for entry in entries] == numbers
    assert [entry.run_uid for entry in entries] == [
        RUN if getattr(record, "run", None) else None for record in written
    ]


@pytest.mark.parametrize(
    ("values", "words"),
    [
        ({"fine": 1, "lr": object()}, r"values\['lr'\] \(<object"),
        ({"deep": {"x": [1, {2j}]}}, r"values\['deep'\]\['x'\]\[1\]"),
        ({"big": 2**64}, r"values\['big'\]"),
        ({3: 1}, "Expected `str`, got `int`"),
        ({"text": "\ud800"}, r"values\['text'\]"),
        ({"\udc00": 1}, "key '.udc00'"),
    ],
)
def test_a_value_that_msgpack_cannot_hold_is_refused_by_name(journal, values, words):
    writer = journal.writer()
    run = writer.run(RUN)
    with pytest.raises(UsageError, match=words):
        writer.append(records.Params(run=run, values=values))
    assert writer.path is None


def test_a_value_that_contains_itself_is_refused(journal):
    loop: list = []
    loop.append(loop)
    writer = journal.writer()
    with pytest.raises(UsageError, match="Params record"):
        writer.append(records.Params(run=writer.run(RUN), values={"a": loop}))


def test_a_record_beyond_the_limit_is_refused(journal):
    writer = journal.writer()
    record = records.Params(run=writer.run(RUN), values={"a": bytes(1 << 26)})
    with pytest.raises(UsageError, match="too long"):
        writer.append(record)


def test_rotation_defines_everything_again_so_that_each_file_reads_alone(journal):
    writer = journal.writer(segment_bytes=4000)
    run, other = writer.run(RUN), writer.run("f" * 32)
    post = writer.context("post")
    writer.append(records.Process(user="ada"))
    writer.append(records.Group(key="g", rank=1, size=2))
    for step in range(300):
        writer.metrics(run, {"a": 1.0, "b": 2.0}, step, context=post if step % 2 else 0)
        writer.metrics(other, {"a": float(step)}, step)
    writer.close()
    files = journal.files()
    assert len(files.segments) > 10
    chunk = journal.read()
    assert len(points_of(chunk)) == 900
    assert not chunk.damage
    total = 0
    for number, path in files.segments.items():
        alone = journal.directory / f"alone{number}"
        alone.mkdir()
        (alone / path.name).write_bytes(path.read_bytes())
        (single,) = list_writers(alone)
        part = type(journal)(alone).read()
        assert all("missing before it" in damage.why for damage in part.damage)
        kinds = [type(entry.record) for entry in part.entries]
        assert kinds == [records.Process, records.Group, records.Close]
        assert single.header().segment == number
        total += len(points_of(part))
    assert total == 900


def test_many_shapes_rotate_the_file_before_its_definitions_grow_large(journal):
    writer = journal.writer(segment_bytes=20_000)
    run = writer.run(RUN)
    keys = [f"key{step}" + "x" * 200 for step in range(500)]
    for step, key in enumerate(keys):
        writer.metrics(run, {key: 1.0}, step)
        if step % 10 == 0:
            assert len(journal.read().cursor.dictionary) < 7000  # a quarter of a file, and a bit
    assert len(writer._segments._packers) < 60
    assert [point[2] for point in points_of(journal.read())] == keys


def test_a_shape_forgotten_at_rotation_is_defined_again_when_it_returns(journal):
    writer = journal.writer(segment_bytes=3000)
    runs = [writer.run(f"{i:032x}") for i in range(7)]
    for step in range(700):
        writer.metrics(runs[step % 7], {f"k{step % 40}": 1.0, "x": 0.0}, step)
    chunk = journal.read()
    assert not chunk.damage
    assert len(points_of(chunk)) == 1400


def test_a_shape_first_met_at_a_rotation_keeps_its_number(journal):
    writer = journal.writer(segment_bytes=2000)
    runs = [writer.run(f"{i:032x}") for i in range(7)]
    for step in range(1500):
        writer.metrics(runs[step % 7], {f"k{step // 5}": 1.0, "x": 0.0}, step)
    chunk = journal.read()
    assert not chunk.damage
    assert len(points_of(chunk)) == 3000


def test_a_writer_goes_on_in_a_next_file_after_close(journal):
    writer = journal.writer()
    run = writer.run(RUN)
    writer.metrics(run, {"a": 1.0}, 1)
    writer.close()
    writer.close()
    assert journal.read().ended
    writer.metrics(run, {"a": 2.0}, 2)
    chunk = journal.read()
    assert not chunk.ended
    assert [point[3] for point in points_of(chunk)] == [1, 2]
    assert len(journal.files().segments) == 2


def test_power_durability_and_sync_write_the_same_records(journal):
    writer = journal.writer(durability="power")
    run = writer.run(RUN)
    writer.metrics(run, {"a": 1.0}, 1)
    writer.append(records.Tags(run=run, values={}))
    writer.sync()
    chunk = journal.read()
    assert (len(points_of(chunk)), len(chunk.entries)) == (1, 1)


@pytest.mark.parametrize("moment", ["sync", "run end"])
def test_a_deleted_file_is_noticed_and_followed_by_a_new_one(journal, moment):
    writer = journal.writer()
    run = writer.run(RUN)
    writer.append(records.Process(user="ada"))
    writer.metrics(run, {"a": 1.0}, 1)
    writer.path.unlink()
    journal.directory.rmdir()
    if moment == "sync":
        writer.sync()
    writer.append(records.RunEnd(run=run, status="FINISHED", end_us=1))
    chunk = journal.read()
    kinds = [type(entry.record) for entry in chunk.entries]
    assert kinds == [records.Process, records.RunEnd]
    assert ["records 1 to" in damage.why for damage in chunk.damage] == [True]


def test_a_directory_that_cannot_be_made_is_named_with_the_way_out(tmp_path):
    (tmp_path / "file").write_text("")
    writer = Writer(tmp_path / "file" / "journal", "s")
    run = writer.run(RUN)
    with pytest.raises(JournalError, match=r"file/journal.*AUTOLOG_JOURNAL_DIR"):
        writer.metrics(run, {"a": 1.0}, 1)
    (tmp_path / "file").unlink()
    writer.metrics(run, {"a": 1.0}, 1)
    assert writer.path is not None


def test_eight_threads_lose_and_mix_nothing(journal):
    writer = journal.writer(segment_bytes=100_000)
    run = writer.run(RUN)
    interval = sys.getswitchinterval()
    sys.setswitchinterval(1e-5)

    def work(number: int) -> None:
        for step in range(1000):
            writer.metrics(run, {f"k{number}": float(step)}, step)

    try:
        threads = [threading.Thread(target=work, args=(number,)) for number in range(8)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
    finally:
        sys.setswitchinterval(interval)
    chunk = journal.read()
    found = points_of(chunk)
    expected = {(f"k{n}", step, float(step)) for n in range(8) for step in range(1000)}
    assert len(found) == 8000
    assert {point[2:] for point in found} == expected
    assert not chunk.damage


def test_time_never_goes_back(journal):
    writer = journal.writer()
    run = writer.run(RUN)
    for step in range(1000):
        writer.metrics(run, {"a": 1.0}, step)
    (block,) = journal.read().points
    assert (np.diff(block.wall_us) >= 0).all()


def test_a_clock_that_jumps_back_moves_no_time_of_a_writer(journal, monkeypatch):
    writer = journal.writer()
    run = writer.run(RUN)
    writer.metrics(run, {"a": 1.0}, 1)
    real = time.time_ns()
    monkeypatch.setattr(time, "time_ns", lambda: real - 86_400_000_000_000)
    monkeypatch.setattr(time, "time", lambda: real / 1e9 - 86_400)
    writer.metrics(run, {"a": 1.0}, 2)
    writer.close()
    writer.metrics(run, {"a": 1.0}, 3)
    walls = [int(wall) for block in journal.read().points for wall in block.wall_us]
    assert walls == sorted(walls)
    assert journal.files().header().wall_us >= walls[1]


def test_importing_the_writer_brings_no_heavy_module_and_no_global_generator(python):
    program = (
        "import sys, autolog.journal.writer\n"
        "print([m for m in ('numpy', 'random', 'logging', 'sqlite3', 'psutil',"
        " 'autolog.journal.reader') if m in sys.modules])"
    )
    assert python(program).stdout == "[]\n"


@pytest.mark.skipif(sys.platform == "win32", reason="descriptors are duplicated by fcntl")
def test_the_journal_never_takes_the_number_of_a_closed_stream(python, tmp_path):
    program = """
import os, sys
from autolog.journal.writer import Writer
os.close(0); os.close(2)
writer = Writer(__import__("pathlib").Path(sys.argv[1]), "s")
writer.metrics(writer.run("0" * 32), {"a": 1.0}, 1)
print(os.open(os.devnull, os.O_RDONLY))
"""
    assert python(program, tmp_path).stdout.strip() == "0"


@pytest.mark.parametrize("way", ["points", "a record"])
def test_a_call_that_was_asked_for_follows_the_first_record_after_its_time(tmp_path, way):
    writer = Writer(tmp_path, "store")
    run = writer.run("0" * 32)
    made = []

    def write():
        if way == "points":
            writer.points(run, ("loss",), [0.5], 0)
        else:
            writer.append(records.Event(kind="note", wall_us=0))

    write()
    writer.call_after(writer.now_us() + 3_600_000_000, lambda: made.append("late"))
    write()
    assert made == []
    writer.call_after(writer.now_us() - 1, lambda: made.append("now"))
    write()
    write()
    assert made == ["now"]
