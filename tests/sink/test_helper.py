"""The helper process: real trainers, a real server, real deaths."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import psutil
import pytest

from autolog.journal.lease import locked
from autolog.sink.helper import pauses
from autolog.sink.state import lock_path, read_state
from autolog.store import open_store
from autolog.store.location import locate


@pytest.fixture
def location(tmp_path, monkeypatch, fresh_database):
    monkeypatch.setenv("XDG_DATA_HOME", str(tmp_path / "data"))
    monkeypatch.setenv("AUTOLOG_STORE", fresh_database())
    found = locate()
    yield found
    end_helper(found)


def end_helper(location) -> None:
    state = read_state(location)
    if state is not None and psutil.pid_exists(state.pid):
        psutil.Process(state.pid).kill()


def start(code: str, **environment: str) -> subprocess.Popen:
    return subprocess.Popen(
        [sys.executable, "-c", code],
        env={**os.environ, "AUTOLOG_PRINT": "always", **environment},
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )


def eventually(check, seconds=60.0):
    """Wait for something that other processes bring about."""
    deadline = time.monotonic() + seconds
    while time.monotonic() < deadline:
        found = check()
        if found:
            return found
        time.sleep(0.05)
    raise AssertionError("it did not come about")


def stored(location):
    """The runs on the server, without folding the journals here."""
    store = open_store(location)
    try:
        return {run.name: run for run in store.runs().runs}
    finally:
        store.close()


LOGGER = """
import autolog
with autolog.start_run("shipped") as run:
    for step in range(200):
        run.log_metrics({"loss": 1 / (step + 1), "acc": step / 200}, step)
"""


def test_a_run_is_on_the_server_when_its_program_has_ended(location):
    process = start(LOGGER)
    _, err = process.communicate(timeout=120)
    assert process.returncode == 0, err
    assert location.uri in err
    run = stored(location)["shipped"]
    assert run.status == "FINISHED"
    assert run.metrics == {"loss": 1 / 200, "acc": 199 / 200}


def test_the_helper_removes_what_is_stored_and_ends_when_nothing_is_left(location):
    start(LOGGER).communicate(timeout=120)
    eventually(lambda: not list(location.journal.glob("*.alj")))
    eventually(lambda: not locked(lock_path(location)))


KILLED = """
import autolog, os, signal
run = autolog.start_run("killed")
for step in range(1000):
    run.log_metric("loss", step, step)
os.kill(os.getpid(), signal.SIGKILL)
"""


def test_what_a_killed_program_logged_is_shipped_after_its_death(location):
    process = start(KILLED)
    process.communicate(timeout=120)
    assert process.returncode == -signal.SIGKILL
    run = eventually(lambda: stored(location).get("killed"))
    eventually(lambda: stored(location)["killed"].status == "KILLED")
    assert run.name == "killed"
    store = open_store(location)
    assert store.history("killed", "loss").step.tolist() == list(range(1000))
    store.close()


CHILDLESS = """
import autolog, os, psutil, threading
with autolog.start_run("childless"):
    autolog.log_metric("x", 1)
    print(len(psutil.Process().children(recursive=True)), threading.active_count())
    try:
        os.waitpid(-1, os.WNOHANG)
    except ChildProcessError:
        print("no child")
"""


def test_the_program_has_no_child_and_no_thread_of_ours(location):
    out, _ = start(CHILDLESS).communicate(timeout=120)
    assert out.splitlines() == ["0 1", "no child"]


TWO = """
import autolog, time
with autolog.start_run():
    autolog.log_metric("x", 1)
    time.sleep(2)
"""


def test_two_programs_share_one_helper(location):
    first = start(TWO)
    eventually(lambda: read_state(location))
    second = start(TWO)
    seen = set()
    while second.poll() is None:
        seen |= {
            process.pid
            for process in psutil.process_iter(["cmdline"])
            if process.info["cmdline"]
            and process.info["cmdline"][1:] == ["-m", "autolog.sink"]
            and str(location.root) == _folder(process)
        }
        time.sleep(0.1)
    first.communicate(timeout=120)
    second.communicate(timeout=120)
    assert len(seen) == 1


def _folder(process: psutil.Process) -> str | None:
    try:
        return process.cwd()
    except psutil.Error:
        return None


def test_a_server_that_is_away_keeps_nobody_waiting_long_and_gets_all_when_it_is_back(
    location, postgres
):
    postgres.stop()
    process = start(LOGGER, AUTOLOG_FINISH_TIMEOUT="1")
    _, err = process.communicate(timeout=120)
    assert process.returncode == 0
    assert "wait in" in err
    assert "autolog sync" in err
    state = eventually(lambda: (found := read_state(location)) and found.error and found)
    assert location.uri in state.error
    postgres.resume()
    eventually(lambda: stored(location).get("shipped"), 90)
    eventually(lambda: stored(location)["shipped"].status == "FINISHED")
    store = open_store(location)
    assert store.history("shipped", "loss").step.tolist() == list(range(200))
    store.close()


def test_a_helper_that_is_killed_is_followed_by_the_next_programs(location):
    first = start(TWO)
    state = eventually(lambda: read_state(location))
    os.kill(state.pid, signal.SIGKILL)
    first.communicate(timeout=120)
    start(LOGGER).communicate(timeout=120)
    eventually(lambda: len(stored(location)) == 2)


def test_the_pauses_between_tries_grow_differ_and_stay_below_a_minute():
    series = pauses()
    drawn = [next(series) for _ in range(50)]
    assert all(0 < pause <= 60 for pause in drawn)
    assert max(drawn[20:]) > 10 > max(drawn[:3])
    assert len(set(drawn[20:])) > 20


def test_no_password_stands_in_a_command_line_or_in_a_file(location, monkeypatch):
    address = location.address.replace("autolog@", "autolog:secret@")
    process = start(TWO, AUTOLOG_STORE=address)
    eventually(lambda: read_state(location))
    helper = psutil.Process(read_state(location).pid)
    assert not any("secret" in word for word in helper.cmdline())
    process.communicate(timeout=120)
    files = [path for path in Path(location.root).rglob("*") if path.is_file()]
    assert files
    assert not any(b"secret" in path.read_bytes() for path in files)


def test_the_state_file_is_json_for_other_programs(location):
    start(LOGGER).communicate(timeout=120)
    said = json.loads((location.root / "helper.json").read_text())
    assert said["error"] is None
    assert said["pid"] > 0


def test_doctor_says_what_went_wrong_for_the_helper(location, postgres):
    postgres.stop()
    try:
        start(LOGGER, AUTOLOG_FINISH_TIMEOUT="1").communicate(timeout=120)
        eventually(lambda: (found := read_state(location)) and found.error)
        command = [sys.executable, "-m", "autolog", "doctor", "--json"]
        done = subprocess.run(command, capture_output=True, text=True, timeout=120)
    finally:
        postgres.resume()
    found = json.loads(done.stdout)
    assert done.returncode == 1
    assert "ships" in found["store"]["helper"]
    assert any("helper process failed" in problem for problem in found["problems"])
