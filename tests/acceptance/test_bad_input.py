"""Stores, disks and journals that are not as they should be, through the public interface."""

from __future__ import annotations

import sqlite3
import sys

import msgspec
import pytest

import autolog
from autolog import JournalError, NewerStoreError, StoreError, UsageError
from autolog.journal import records
from autolog.journal.frame import decode, encode

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
import resource, time
import autolog
run = autolog.start_run("first")
run.log_metric("before", 1)

def disk(spare):
    size = run.recorder.writer.path.stat().st_size
    limit = size + spare if spare is not None else resource.RLIM_INFINITY
    resource.setrlimit(resource.RLIMIT_FSIZE, (limit, resource.RLIM_INFINITY))

disk(0)
for step in range(POINTS):
    run.log_metric("waited", step, step)
state = autolog.status()
print(state.waiting_records > 0, state.dropped_records, state.dropped_points)
FIT
print([notice.key for notice in autolog.status().notices])
if FREES:
    disk(None)
    time.sleep(0.2)  # a disk that refused is left alone for 0.1 s
    run.log_metric("after", 1)
    print(autolog.status().waiting_records)
"""


FIT_ON_A_FULL_DISK = """
autolog.autolog()
from sklearn.linear_model import LinearRegression
print(LinearRegression().fit([[0.0], [1.0]], [0.0, 2.0]).predict([[3.0]])[0].round(6))
"""


def full_disk(program, points, fit="", frees=True, **environment):
    source = FULL.replace("POINTS", str(points)).replace("FIT", fit).replace("FREES", str(frees))
    return program(source, **environment)


def test_what_a_full_disk_refuses_waits_and_is_written_once_there_is_space(recording, program):
    lines = full_disk(program, 1000, FIT_ON_A_FULL_DISK).out.splitlines()
    assert lines == ["True 0 0", "6.0", "['journal_full']", "0"]
    run = recording.run()
    assert {"before", "waited", "after"} <= set(run.metrics)
    assert run.status == "FINISHED"
    assert run.logging_errors == []
    waited = autolog.metric_history(run.run_id, "waited")
    after = autolog.metric_history(run.run_id, "after")
    assert waited.step.tolist() == list(range(1000))
    assert waited.timestamp[-1] <= after.timestamp[0] - 200_000  # when it was logged


def test_what_exceeds_the_memory_on_a_full_disk_is_dropped_and_named(recording, program):
    lines = full_disk(program, 40_000).out.splitlines()
    assert lines[1] == "['journal_full']"
    dropped = int(lines[0].split()[2])
    assert 0 < dropped < 40_000
    run = recording.run()
    kept = autolog.metric_history(run.run_id, "waited").step.tolist()
    assert kept == list(range(40_000 - dropped))
    [event] = recording.events("dropped")
    assert (event["points"], event["records"]) == (dropped, dropped)
    assert event["first_us"] < event["last_us"]
    [error] = run.logging_errors
    assert f"{event['points']:,} points" in error
    assert run.status == "FINISHED"


def test_a_disk_full_to_the_end_harms_neither_the_program_nor_what_was_written(recording, program):
    ended = full_disk(program, 10, frees=False, AUTOLOG_PRINT="always")
    assert "notice" in ended.err
    run = recording.run()
    assert set(run.metrics) == {"before"}


def test_what_waits_at_the_end_of_the_process_is_tried_once_more(recording, program):
    program(f"{FULL.partition('FIT')[0].replace('POINTS', '10')}disk(None)")
    run = recording.run()
    assert autolog.metric_history(run.run_id, "waited").step.tolist() == list(range(10))
    assert run.status == "FINISHED"


def test_where_the_user_asked_for_it_a_full_disk_raises_what_to_do(recording, program):
    for setting in ({"AUTOLOG_JOURNAL_FULL": "raise"}, {"AUTOLOG_STRICT": "1"}):
        ended = program(FULL.replace("POINTS", "1").replace("FIT", ""), check=False, **setting)
        assert "JournalError" in ended.err
        assert "AUTOLOG_JOURNAL_DIR" in ended.err


def test_a_journal_at_its_cap_waits_for_readers_and_goes_on(recording, program):
    ended = program(
        """
import time
import autolog
run = autolog.start_run("long")
for step in range(15_000):
    run.log_metrics({"a": step, "b": 1.0}, step)
print(autolog.status().waiting_records > 0, autolog.status().notices[0].text)
size = sum(path.stat().st_size for path in run.recorder.location.journal.iterdir())
print(size <= 1 << 20)
autolog.search_runs()
time.sleep(0.2)
run.log_metric("last", 1, 0)
print(autolog.status().waiting_records, autolog.status().dropped_records)
""",
        AUTOLOG_JOURNAL_MAX_MB="1",
    )
    lines = ended.out.splitlines()
    assert lines[0].startswith("True")
    assert "AUTOLOG_JOURNAL_MAX_MB" in lines[0]
    assert lines[1:] == ["True", "0 0"]
    run = recording.run()
    assert autolog.metric_history(run.run_id, "a").step.tolist() == list(range(15_000))


ONE_RUN = """
import multiprocessing, sys, threading
import autolog

def work(run_id, name):
    run = autolog.start_run(run_id=run_id, resume="allow")
    threads = [
        threading.Thread(target=log, args=(run, f"{name}{number}")) for number in range(3)
    ]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    run.end()

def log(run, key):
    for step in range(500):
        run.log_metrics({key: step, "shared": 1.0}, step)

if __name__ == "__main__":
    with autolog.start_run("together") as run:
        children = [
            multiprocessing.get_context(method).Process(target=work, args=(run.run_id, method))
            for method in ("spawn", "forkserver", "fork")
        ]
        for child in children:
            child.start()
        for child in children:
            child.join()
    print([child.exitcode for child in children])
"""


@pytest.mark.skipif(sys.platform == "win32", reason="forks")
def test_threads_of_children_of_every_kind_log_to_one_run_and_lose_nothing(recording, program):
    assert program(ONE_RUN).out == "[0, 0, 0]\n"
    run = recording.run()
    assert run.status == "FINISHED"
    for method in ("spawn", "forkserver", "fork"):
        for number in range(3):
            history = autolog.metric_history(run.run_id, f"{method}{number}")
            assert history.step.tolist() == list(range(500))
    assert len(autolog.metric_history(run.run_id, "shared")) == 9 * 500


def test_names_and_values_with_nul_and_lone_surrogates_are_kept_or_refused_by_name(recording):
    with autolog.start_run("odd") as run:
        run.log_metric("a\0b", 1.0, 1)
        run.log_params({"p\0": "v\0", "q\ud800": "w\udfff"})
        run.set_tag("t\0", "\0")
        with pytest.raises(UsageError, match="ud800"):
            run.log_metric("\ud800", 1.0, 2)
        run.log_metric("after", 1.0)
    found = recording.run()
    assert found.metrics == {"a\0b": 1.0, "after": 1.0}
    assert found.params == {"p\0": "v\0", "q\\ud800": "w\\udfff"}
    assert found.tags == {"t\0": "\0"}


def test_a_journal_of_a_newer_format_is_said_and_left_alone(recording, program):
    program("import autolog\nwith autolog.start_run('newer'): autolog.log_metric('x', 1)\n")
    (path,) = recording.journal.glob("*.alj")
    data = path.read_bytes()
    end = decode(data, len(records.MAGIC)).end
    header = encode(0, 0, 0, msgspec.msgpack.encode({"version": 99}))
    path.write_bytes(records.MAGIC + header + data[end:])
    before = path.read_bytes()
    program("import autolog\nwith autolog.start_run('mine'): autolog.log_metric('x', 1)\n")
    assert [run.name for run in recording.runs()] == ["mine"]
    assert path.read_bytes() == before


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
