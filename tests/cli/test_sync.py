"""`autolog sync` on real journals and stores."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import time

import autolog


def _sync(*words: str, **environment: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, "-m", "autolog", "sync", *words],
        env={**os.environ, **environment},
        capture_output=True,
        text=True,
        timeout=120,
    )


def _log(program) -> None:
    program(
        "import autolog\n"
        "with autolog.start_run('r') as run:\n"
        "    for step in range(10): run.log_metric('x', step, step)\n"
    )


def test_journals_are_taken_and_counted(recording, program):
    _log(program)
    done = _sync("--json")
    assert done.returncode == 0, done.stderr
    said = json.loads(done.stdout)
    assert said["points"] == 10
    assert said["taken"] > 0
    assert said["left"] == 0
    assert json.loads(_sync("--json").stdout)["taken"] == 0
    assert recording.run().metrics == {"x": 9.0}


def test_a_dry_run_says_what_is_left_and_takes_nothing(recording, program):
    _log(program)
    before = {path.name: path.stat().st_size for path in recording.journal.iterdir()}
    said = json.loads(_sync("--dry-run", "--json").stdout)
    assert said["left"] == sum(before.values())
    assert said["taken"] == 0
    assert {path.name: path.stat().st_size for path in recording.journal.iterdir()} == before


def test_a_server_that_is_away_leaves_everything_and_the_exit_code_says_so(tmp_path, monkeypatch):
    monkeypatch.setenv("XDG_DATA_HOME", str(tmp_path))
    done = _sync("--json", "--store", "postgresql://127.0.0.1:1/runs")
    assert done.returncode == 1
    assert "cannot be reached" in json.loads(done.stdout)["problem"]


def test_watching_takes_what_comes_until_it_is_interrupted(recording):
    run = autolog.start_run("watched")
    watcher = subprocess.Popen(
        [sys.executable, "-m", "autolog", "sync", "--watch"],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )
    try:
        assert "taken" in watcher.stdout.readline()
        run.log_metric("later", 1)
        deadline = time.monotonic() + 60
        while time.monotonic() < deadline and not _stored(recording):
            time.sleep(0.1)
        assert _stored(recording) == {"later": 1.0}
        watcher.send_signal(signal.SIGINT)
        _, err = watcher.communicate(timeout=60)
        assert (watcher.returncode, err) == (0, "")
    finally:
        watcher.kill()
        watcher.communicate()


def _stored(recording) -> dict[str, float]:
    """The metrics in the database, without folding here."""
    from autolog.store import open_store

    store = open_store(str(recording.folder))
    try:
        runs = store.runs().runs
        return runs[0].metrics if runs else {}
    finally:
        store.close()


TREE = """
import autolog
with autolog.start_run("parent") as run:
    run.log_params({"lr": 0.1})
    run.log_text("hello", "note.txt")
    with run.child("child") as child:
        for step in range(50):
            child.log_metric("x", step, step)
"""


def test_runs_go_to_another_store_with_their_files_and_again_only_the_news(
    recording, program, tmp_path
):
    program(TREE)
    target = str(tmp_path / "target")
    first = json.loads(_sync("--to", target, "--json").stdout)
    assert (first["runs"], first["copied"]) == (2, 2)
    again = json.loads(_sync("--to", target, "--json").stdout)
    assert (again["runs"], again["copied"], again["points"]) == (2, 0, 0)
    program(TREE.replace("parent", "second").replace('"child"', '"other"'))
    third = json.loads(_sync("--to", target, "--json").stdout)
    assert (third["runs"], third["copied"]) == (4, 2)
    store = autolog.open_store(target)
    parent, child = store.run("parent"), store.run("child")
    assert child.parent_id == parent.run_id
    assert store.history("child", "x").step.tolist() == list(range(50))
    store.close()


def test_runs_go_to_a_server(recording, program, tmp_path, monkeypatch, fresh_database):
    monkeypatch.setenv("XDG_DATA_HOME", str(tmp_path))
    program(TREE)
    target = fresh_database()
    assert json.loads(_sync("--to", target, "--json").stdout)["copied"] == 2
    store = autolog.open_store(target)
    assert store.run("parent").params == {"lr": 0.1}
    assert len(store.history("child", "x")) == 50
    store.close()


def test_a_dry_run_says_how_much_would_be_sent_and_where(recording, program, tmp_path):
    program(TREE)
    assert len(recording.runs()) == 2
    target = tmp_path / "target"
    done = _sync("--to", str(target), "--dry-run")
    assert done.returncode == 0, done.stderr
    assert f"then 2 runs compared with sqlite:///{target}" in done.stdout
    assert "went to" not in done.stdout


def test_a_target_that_is_away_is_not_said_to_have_got_anything(
    recording, program, tmp_path, monkeypatch
):
    monkeypatch.setenv("XDG_DATA_HOME", str(tmp_path))
    program(TREE)
    done = _sync("--to", "postgresql://127.0.0.1:1/runs")
    assert done.returncode == 1
    assert "cannot be reached" in done.stderr
    assert "went to" not in done.stdout


def test_a_store_is_not_sent_to_itself(recording, program):
    program(TREE)
    done = _sync("--to", str(recording.folder))
    assert done.returncode == 2
    assert "itself" in done.stderr
