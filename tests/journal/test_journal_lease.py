"""Who is alive, who is dead, and who cannot be known from here."""

from __future__ import annotations

import os
import shutil
import signal
import subprocess
import sys
import time
from pathlib import Path

import msgspec
import pytest

from autolog.errors import JournalError
from autolog.journal import records
from autolog.journal.files import list_writers
from autolog.journal.lease import lease_state, locked, this_process
from autolog.journal.reader import Cursor, read
from autolog.journal.retention import removable
from tests.journal.reading import RUN, points_of

linux = pytest.mark.skipif(sys.platform != "linux", reason="asks /proc")

WRITE_AND_WAIT = """
import sys
from autolog.journal.writer import Writer
from autolog.journal.records import Process
writer = Writer(sys.argv[1], "s")
writer.append(Process(user="child"))
print("ready", flush=True)
sys.stdin.read()
"""


def start(directory, *prefix: str) -> subprocess.Popen:
    command = [*prefix, sys.executable, "-c", WRITE_AND_WAIT, str(directory)]
    child = subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)
    assert child.stdout.readline() == "ready\n"
    return child


def test_this_process_knows_itself_and_its_ancestors():
    me = this_process()
    assert me.process.pid == os.getpid()
    assert me.ancestors[0].pid == os.getppid()
    assert me is this_process()


def test_a_writer_is_alive_until_it_is_killed(journal):
    with start(journal.directory) as child:
        files = journal.files()
        cursor = journal.read().cursor
        assert files.state() == "alive"
        assert removable(files, cursor) == []
        child.kill()
        child.wait()
        assert files.state() == "dead"
        assert removable(files, Cursor()) == []
        assert removable(files, cursor) == [*files.segments.values()]


@linux
def test_a_zombie_is_dead(journal):
    with start(journal.directory) as child:
        os.kill(child.pid, signal.SIGKILL)
        stat = Path(f"/proc/{child.pid}/stat")
        while stat.read_text().rpartition(")")[2].split()[0] != "Z":
            time.sleep(0.01)
        assert journal.files().state() == "dead"


def test_a_recycled_pid_is_dead(journal):
    journal.writer().append(records.Process())
    header = journal.files().header()
    other = msgspec.structs.replace(header.process, start=header.process.start - 1)
    path = journal.files().segments[1]
    assert lease_state(header, path) == "alive"
    assert lease_state(msgspec.structs.replace(header, process=other), path) == "dead"


@linux
@pytest.mark.parametrize(
    ("changes", "state"),
    [
        ({"host": "elsewhere", "machine": "m", "boot": "b"}, "unknown"),
        ({"host": "elsewhere", "boot": "b"}, "unknown"),
        ({"machine": "m", "boot": "b"}, "unknown"),
        ({"machine": "", "boot": "b"}, "unknown"),
        ({"boot": ""}, "unknown"),
        ({"boot": "b"}, "dead"),
        ({"pid_namespace": "n"}, "alive"),
    ],
)
def test_only_what_can_be_known_from_here_is_said(journal, changes, state):
    if not this_process().machine:
        pytest.skip("this machine has no id")
    writer = journal.writer()
    writer.append(records.Process())
    header = msgspec.structs.replace(journal.files().header(), **changes)
    assert lease_state(header, writer.path) == state


@linux
def test_another_namespace_is_judged_by_the_lock(journal):
    with start(journal.directory) as child:
        files = journal.files()
        header = msgspec.structs.replace(files.header(), pid_namespace="another")
        assert lease_state(header, files.segments[1]) == "alive"
        child.kill()
        child.wait()
        assert lease_state(header, files.segments[1]) == "dead"
        files.segments[1].unlink()
        assert lease_state(header, files.segments[1]) == "unknown"


@linux
def test_a_writer_in_a_container_is_seen_from_outside(journal):
    if not shutil.which("unshare") or subprocess.run(["unshare", "-pf", "true"]).returncode:
        pytest.skip("needs the right to make a pid namespace")
    with start(journal.directory, "unshare", "-pf", "--mount-proc", "--kill-child") as child:
        files = journal.files()
        assert files.header().pid_namespace != this_process().pid_namespace
        assert files.state() == "alive"
        child.kill()
        child.wait()
        while locked(files.segments[1]):
            time.sleep(0.01)
        assert files.state() == "dead"


def test_a_file_without_a_readable_header_is_unknown_and_never_raises(journal, tmp_path):
    writer = journal.writer()
    writer.append(records.Process())
    header = journal.files().header()
    assert lease_state(None, tmp_path) == "unknown"
    assert lease_state(header, tmp_path / "missing") == "alive"
    writer.path.write_bytes(b"")
    assert journal.files().state() == "unknown"


def is_open(fd: int) -> bool:
    try:
        os.fstat(fd)
    except OSError:
        return False
    return True


def forked(work) -> None:
    """Run `work` in a forked child and wait for its good end."""
    pid = os.fork()
    if pid == 0:
        code = 1
        try:
            work()
            code = 0
        finally:
            os._exit(code)
    assert os.waitpid(pid, 0)[1] == 0


@pytest.mark.skipif(not hasattr(os, "fork"), reason="no fork here")
class TestFork:
    def test_the_child_may_not_write_and_leaves_the_parents_lock(self, journal, python):
        writer = journal.writer()
        run = writer.run(RUN)
        writer.metrics(run, {"a": 1.0}, 1)
        program = "import sys\nfrom autolog.journal.lease import locked\nprint(locked(sys.argv[1]))"

        def child() -> None:
            assert not writer.alive
            for call in (
                lambda: writer.metrics(run, {"a": 2.0}, 2),
                lambda: writer.append(records.Process()),
            ):
                with pytest.raises(JournalError, match="belongs to the parent process"):
                    call()
            writer.sync()
            writer.close()
            open_files = {os.fstat(fd).st_ino for fd in range(200) if is_open(fd)}
            assert writer.path.stat().st_ino not in open_files

        forked(child)
        assert writer.alive
        assert python(program, writer.path).stdout == "True\n"
        writer.metrics(run, {"a": 3.0}, 3)
        assert [point[3] for point in points_of(journal.read())] == [1, 3]

    def test_the_child_opens_a_journal_of_its_own(self, journal):
        writer = journal.writer()
        writer.metrics(writer.run(RUN), {"a": 1.0}, 1)

        def child() -> None:
            own = journal.writer()
            own.metrics(own.run(RUN), {"a": 2.0}, 2)

        forked(child)
        both = [read(files, Cursor()) for files in list_writers(journal.directory)]
        assert sorted(point[3] for chunk in both for point in points_of(chunk)) == [1, 2]
        headers = [files.header() for files in list_writers(journal.directory)]
        assert headers[1].ancestors[0] == headers[0].process
        assert [files.state() for files in list_writers(journal.directory)] == ["alive", "dead"]

    def test_a_fork_while_another_thread_writes_leaves_the_child_free(self, journal, python):
        program = """
import os, signal, sys, threading
from autolog.errors import JournalError
from autolog.journal.writer import Writer
writer = Writer(sys.argv[1], "s")
run = writer.run("a" * 32)
stop = threading.Event()
def work():
    step = 0
    while not stop.is_set():
        writer.metrics(run, {"a": 1.0}, step)
        step += 1
thread = threading.Thread(target=work)
thread.start()
bad = 0
for number in range(50):
    pid = os.fork()
    if pid == 0:
        signal.alarm(20)   # a lock that no thread will release would hang the child
        try:
            writer.metrics(run, {"a": 1.0}, -1)
        except JournalError:
            own = Writer(sys.argv[1], "s")
            own.metrics(own.run("b" * 32), {"a": 1.0}, number)
            os._exit(0)
        os._exit(1)
    bad += os.waitpid(pid, 0)[1] != 0
stop.set()
thread.join()
print(bad)
"""
        done = python("import warnings; warnings.simplefilter('ignore')\n" + program,
                      journal.directory)  # fmt: skip
        assert done.stdout == "0\n"
        chunks = [read(files, Cursor()) for files in list_writers(journal.directory)]
        assert len(chunks) == 51
        assert not any(chunk.damage for chunk in chunks)
