"""`kill -9` at any moment loses no acknowledged point and invents none."""

from __future__ import annotations

import mmap
import os
import random
import signal
import struct
import subprocess
import sys
import time

import pytest

from autolog.journal.files import list_writers
from autolog.journal.reader import Cursor, read
from tests.journal.reading import points_of

pytestmark = pytest.mark.skipif(not hasattr(os, "fork"), reason="kills and forks")

TRAIN = """
import mmap, os, sys
from autolog.journal.writer import Writer

directory, board, fork = sys.argv[1], sys.argv[2], sys.argv[3] == "fork"
with open(board, "r+b") as file:
    shared = memoryview(mmap.mmap(file.fileno(), 8)).cast("Q")
writer = Writer(directory, "s", segment_bytes=20_000)
run = writer.run("a" * 32)
step = 0
if fork:
    writer.metrics(run, {"loss": 0.0, "acc": -0.0}, 0)
    step = 1
    shared[0] = step
    if os.fork() == 0:
        sys.stdin.read()   # outlives the parent
        os._exit(0)
print("ready", flush=True)
while True:
    writer.metrics(run, {"loss": float(step), "acc": -float(step)}, step)
    step += 1
    shared[0] = step   # acknowledged: lives on when we do not, and never as half a number
"""


@pytest.mark.parametrize("fork", ["alone", "fork"])
def test_after_a_kill_the_points_are_the_acknowledged_ones_and_at_most_one_more(tmp_path, fork):
    rng = random.Random(4)
    segments = 0
    for number in range(25):
        directory, board = tmp_path / f"journal{number}", tmp_path / f"board{number}"
        board.write_bytes(bytes(8))
        command = [sys.executable, "-c", TRAIN, str(directory), str(board), fork]
        with subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE) as child:
            assert child.stdout.readline() == b"ready\n"
            end = time.monotonic() + rng.uniform(0.0, 0.08)
            cursor, chunks = Cursor(), []
            # A reader folds all the while, stopping wherever it happens to.
            while time.monotonic() < end or not cursor.offset:
                for files in list_writers(directory):
                    chunks.append(read(files, cursor, max_bytes=rng.choice([100, 5000, 1 << 20])))
                    cursor = chunks[-1].cursor
            os.kill(child.pid, signal.SIGKILL)
            child.wait()
            with open(board, "rb") as file, mmap.mmap(file.fileno(), 8, prot=mmap.PROT_READ) as m:
                (acknowledged,) = struct.unpack("<Q", m[:8])
            (files,) = list_writers(directory)
            assert files.state() == "dead"
            while not chunks or chunks[-1].more or chunks[-1].cursor != cursor:
                chunks.append(read(files, cursor))
                cursor = chunks[-1].cursor
            chunks.append(read(files, cursor))
        found = [point[2:] for point in points_of(*chunks)]
        steps = len(found) // 2
        assert steps - acknowledged in {0, 1}
        assert found == [
            (key, step, sign * step) for step in range(steps) for key, sign in KEYS
        ]  # in order, each once
        assert not any(chunk.damage for chunk in chunks)
        segments = max(segments, len(files.segments))
    assert segments > 3  # the kills fell among rotations


KEYS = (("loss", 1.0), ("acc", -1.0))
