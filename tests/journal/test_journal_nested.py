"""Calls inside calls: finalizers, signal handlers and Ctrl-C between any two steps."""

from __future__ import annotations

import gc
import linecache
import re
import signal
import sys

import pytest

from autolog.journal import file, records
from tests.journal.reading import RUN, points_of


def test_a_finalizer_that_logs_in_the_middle_of_a_write_is_written_after_it(journal):
    writer = journal.writer()
    run = writer.run(RUN)
    fired: list[int] = []

    class Cyclic:
        def __init__(self):
            self.me = self

        def __del__(self):
            fired.append(1)
            writer.metrics(run, {"nested": float(len(fired))}, len(fired))
            writer.append(records.Tags(run=run, values={"n": str(len(fired))}))

    thresholds = gc.get_threshold()
    gc.set_threshold(1)
    try:
        for step in range(300):
            Cyclic()
            writer.metrics(run, {"outer": float(step), "and": 1.0}, step)
    finally:
        gc.set_threshold(*thresholds)
    gc.collect()
    chunk = journal.read()
    points = points_of(chunk)
    assert len(fired) == 300
    assert [p[3] for p in points if p[2] == "outer"] == list(range(300))
    assert sorted(p[3] for p in points if p[2] == "nested") == list(range(1, 301))
    assert len(chunk.entries) == 300
    assert not chunk.damage


def traced_calls(writer, run, strike) -> None:
    """Make calls and `strike()` before every line that the journal executes for them."""
    inside = False

    def trace(frame, event, _):
        nonlocal inside
        if "journal" not in frame.f_code.co_filename or "tests" in frame.f_code.co_filename:
            return None
        if event == "line" and not inside:
            inside = True
            try:
                strike()
            finally:
                inside = False
        return trace

    old = sys.gettrace()
    sys.settrace(trace)
    try:
        for step in range(4):
            writer.metrics(run, {"outer": float(step), f"k{step // 2}": 0.0}, step)
        writer.append(records.Tags(run=run, values={"a": "outer"}))
    finally:
        sys.settrace(old)


def test_a_call_nested_before_any_line_is_neither_lost_nor_mixed_in(journal):
    writer = journal.writer(segment_bytes=2000)
    run = writer.run(RUN)
    count = 0

    def strike() -> None:
        nonlocal count
        count += 1
        nested = writer.run(f"{count % 5:032x}")
        writer.metrics(nested, {f"nested{count % 3}": float(count)}, count)

    traced_calls(writer, run, strike)
    chunk = journal.read()
    points = points_of(chunk)
    assert count > 100
    assert not chunk.damage
    assert sorted(p[3] for p in points if p[2].startswith("nested")) == list(range(1, count + 1))
    assert [p[3] for p in points if p[2] == "outer"] == [0, 1, 2, 3]
    assert [e.record.values for e in chunk.entries if isinstance(e.record, records.Tags)] == [
        {"a": "outer"}
    ]
    assert all(p[1] == f"{p[3] % 5:032x}" for p in points if p[2].startswith("nested"))


class Interrupt(BaseException):
    pass


NO_SIGNAL_HERE = re.compile(r"self\.(seq|end) \+=|try:$")
"""Lines before which CPython looks for no signal, as no call precedes them in their block: both
numbers move at once, and `try:` compiles to nothing (and is covered by no handler)."""


@pytest.mark.parametrize("segment_bytes", [1, 1500])  # a rotation at each call, and now and then
def test_an_interrupt_before_any_line_leaves_a_journal_that_works(journal, segment_bytes):
    writer = journal.writer(segment_bytes=segment_bytes)
    run = writer.run(RUN)
    returned: list[int] = []
    struck: list[str] = []
    step = 0
    for line in range(400):
        left = line
        before = len(struck)

        def trace(frame, event, _):
            nonlocal left
            name = frame.f_code.co_filename
            if "/autolog/journal/" not in name or len(struck) > before:  # noqa: B023
                return None
            if event == "line" and frame.f_code.co_name != "_take_back":
                source = linecache.getline(name, frame.f_lineno).strip()
                left -= 1
                leaving = source == "with self._lock:" and writer._nested()
                if left < 0 and not leaving and not NO_SIGNAL_HERE.match(source):
                    struck.append(source)
                    raise Interrupt
            return trace

        sys.settrace(trace)
        try:
            writer.metrics(run, {"a": float(step), f"k{step % 20}": 0.0}, step)
            returned.append(step)
        except Interrupt:
            pass
        finally:
            sys.settrace(None)
        assert not writer._nested(), (line, struck[-1])
        writer.metrics(run, {"a": float(step + 1), f"k{step % 20}": 0.0}, step + 1)
        returned.append(step + 1)
        step += 2
    assert len(set(struck)) > (90 if segment_bytes == 1 else 25)
    chunk = journal.read()
    steps = [p[3] for p in points_of(chunk) if p[2] == "a"]
    assert steps == sorted(set(steps))
    assert not chunk.damage
    assert set(returned) <= set(steps)


def test_a_record_written_before_an_interrupt_stays_because_a_reader_may_have_it(
    journal, monkeypatch
):
    writer = journal.writer()
    run = writer.run(RUN)
    writer.metrics(run, {"a": 0.0}, 0)
    write = file._write

    def interrupted(fd, data):
        write(fd, data)
        raise KeyboardInterrupt

    monkeypatch.setattr(file, "_write", interrupted)
    with pytest.raises(KeyboardInterrupt):
        writer.metrics(run, {"a": 1.0}, 1)
    first = journal.read()
    monkeypatch.undo()
    writer.metrics(run, {"a": 2.0}, 2)
    assert [p[3] for p in points_of(first, journal.read(first.cursor))] == [0, 1, 2]


@pytest.mark.skipif(not hasattr(signal, "setitimer"), reason="needs timers")
def test_a_signal_handler_that_logs_while_the_loop_logs_loses_nothing(journal):
    writer = journal.writer(segment_bytes=200_000)
    run = writer.run(RUN)
    handled = 0

    def handler(*_):
        nonlocal handled
        mine = handled
        handled = mine + 1  # first: the next signal may come before the call returns
        writer.metrics(run, {"handler": 1.0}, mine)

    old = signal.signal(signal.SIGALRM, handler)
    signal.setitimer(signal.ITIMER_REAL, 0.0002, 0.0002)
    step = 0
    try:
        while handled < 300:
            writer.metrics(run, {"loop": 1.0}, step)
            step += 1
    finally:
        signal.setitimer(signal.ITIMER_REAL, 0)
        signal.signal(signal.SIGALRM, old)
    chunk = journal.read()
    points = points_of(chunk)
    assert sorted(p[3] for p in points if p[2] == "handler") == list(range(handled))
    assert [p[3] for p in points if p[2] == "loop"] == list(range(step))
    assert not chunk.damage


def test_ctrl_c_while_the_loop_logs_loses_no_call_that_returned(journal, python):
    program = """
import os, sys, signal
from autolog.journal.writer import Writer
writer = Writer(sys.argv[1], "s", segment_bytes=50_000)
run = writer.run("a" * 32)
step = interrupts = 0
returned = []
while interrupts < 200:
    try:
        signal.setitimer(signal.ITIMER_REAL, 0.0003)
        for _ in range(100_000):  # an interrupt inside a finalizer of the interpreter is lost
            writer.metrics(run, {"a": 1.0}, step)
            done = step; step += 1
    except KeyboardInterrupt:
        interrupts += 1
        step += 1
writer.metrics(run, {"a": 1.0}, step)
print(step)
"""
    head = "import signal; signal.signal(signal.SIGALRM, signal.default_int_handler)\n"
    last = int(python(head + program, journal.directory).stdout)
    chunk = journal.read()
    steps = [p[3] for p in points_of(chunk)]
    assert not chunk.damage
    assert len(steps) == len(set(steps))
    assert steps == sorted(steps)
    assert steps[-1] == last
    assert last + 1 - len(steps) <= 200
