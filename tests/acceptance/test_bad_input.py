"""Stores, disks and journals that are not as they should be, through the public interface."""

from __future__ import annotations

import sqlite3

import pytest

import autolog
from autolog import JournalError, NewerStoreError, StoreError, UsageError

FIT = """
from autolog import autolog, status
import autolog as package
autolog()
from sklearn.linear_model import LinearRegression
model = LinearRegression().fit([[0.0], [1.0]], [0.0, 2.0])
print(round(float(model.coef_[0]), 6))
print([notice.text for notice in package.status().notices])
"""


def test_a_store_that_cannot_be_made_is_an_error_that_names_it_and_what_to_do(
    recording, tmp_path, monkeypatch
):
    (tmp_path / "file").write_text("in the way")
    monkeypatch.setenv("AUTOLOG_STORE", str(tmp_path / "file" / "store"))
    with pytest.raises((StoreError, JournalError), match="AUTOLOG_STORE") as caught:
        autolog.start_run()
    assert str(tmp_path / "file") in str(caught.value)


def test_a_training_goes_on_where_the_store_cannot_be_made_and_says_so(program, tmp_path):
    (tmp_path / "file").write_text("in the way")
    ended = program(FIT, AUTOLOG_STORE=str(tmp_path / "file" / "store"))
    assert ended.out.splitlines()[0] == "2.0"
    assert "AUTOLOG_STORE" in ended.out


def test_an_unknown_scheme_is_an_error_at_the_first_run(recording, monkeypatch):
    monkeypatch.setenv("AUTOLOG_STORE", "ftp://host/store")
    with pytest.raises(UsageError, match="ftp"):
        autolog.start_run()


FULL = """
import resource, signal
signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
import autolog
run = autolog.start_run()
run.log_metric("before", 1)
size = run.recorder.writer.path.stat().st_size
resource.setrlimit(resource.RLIMIT_FSIZE, (size, resource.RLIM_INFINITY))
try:
    run.log_metric("lost", 1)
except autolog.JournalError as error:
    print(error)
autolog.autolog()
from sklearn.linear_model import LinearRegression
print(LinearRegression().fit([[0.0], [1.0]], [0.0, 2.0]).predict([[3.0]])[0].round(6))
print(len(autolog.status().notices) > 0)
resource.setrlimit(resource.RLIMIT_FSIZE, (resource.RLIM_INFINITY, resource.RLIM_INFINITY))
run.log_metric("after", 1)
run.end()
"""


def test_on_a_full_disk_a_call_raises_a_training_goes_on_and_nothing_else_is_lost(
    recording, program
):
    lines = program(FULL).out.splitlines()
    assert "AUTOLOG_JOURNAL_DIR" in lines[0]
    assert lines[1:] == ["6.0", "True"]
    run = recording.run()
    assert {"before", "after"} <= set(run.metrics)
    assert "lost" not in run.metrics
    assert run.status == "FINISHED"


def test_a_damaged_journal_costs_what_is_damaged_and_is_reported(recording, program):
    program(
        "import autolog\n"
        "with autolog.start_run('damaged') as run:\n"
        "    for step in range(1000): run.log_metric('x', step, step)\n"
    )
    program("import autolog\nwith autolog.start_run('whole'): autolog.log_metric('x', 1)\n")
    path = min(recording.journal.glob("*.alj"))
    data = bytearray(path.read_bytes())
    data[len(data) // 2] ^= 0xFF
    path.write_bytes(data)
    runs = {run.name: run for run in recording.runs()}
    assert runs["whole"].metrics == {"x": 1.0}
    assert runs["damaged"].status == "FINISHED"
    steps = autolog.metric_history("damaged", "x").step.tolist()
    assert len(steps) == 999
    assert any(event.kind == "damage" for event in recording.details(runs["damaged"]).events)


def test_a_store_of_a_newer_version_is_refused_by_readers_and_journalled_on(recording):
    with autolog.start_run():
        pass
    assert recording.run()
    with sqlite3.connect(recording.folder / "store.db") as database:
        database.execute("update alembic_version set version_num = '9999'")
    database.close()
    with autolog.start_run() as run:
        run.log_metric("x", 1)
    with pytest.raises(NewerStoreError, match="pip install -U autolog-ml"):
        autolog.search_runs()
    with sqlite3.connect(recording.folder / "store.db") as database:
        database.execute("update alembic_version set version_num = '0002'")
    database.close()
    assert recording.runs()[-1].metrics == {"x": 1.0}


def test_a_database_that_is_none_is_an_error_that_names_the_file(recording):
    with autolog.start_run():
        pass
    (recording.folder / "store.db").write_bytes(b"not a database, but long enough" * 10)
    with pytest.raises(StoreError, match=r"store\.db"):
        autolog.search_runs()
