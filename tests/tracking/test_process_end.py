"""What a run's state is after its process has ended in every way a process can."""

from __future__ import annotations

import os
import signal
import subprocess
import sys

import pytest

OPEN = "import autolog\nrun = autolog.start_run()\nautolog.log_metric('x', 1)\n"


@pytest.mark.parametrize(
    ("end", "status", "code"),
    [
        ("", "FINISHED", None),
        ("raise ValueError('bad')", "FAILED", None),
        ("raise KeyboardInterrupt", "KILLED", None),
        ("import os; os._exit(0)", "KILLED", None),
        ("import os, signal; os.kill(os.getpid(), signal.SIGKILL)", "KILLED", None),
        ("import os, signal; os.kill(os.getpid(), signal.SIGTERM)", "KILLED", None),
    ],
)
@pytest.mark.edge_case("EC-R4", "EC-R5")
def test_an_open_run_is_given_a_true_state(recording, program, end, status, code):
    program(OPEN + end, check=False)
    details = recording.details()
    assert (details.run.status, details.exit_code) == (status, code)
    assert details.run.metrics == {"x": 1.0}
    assert details.run.end_time is not None


@pytest.mark.parametrize(
    ("end", "status", "code"),
    [
        ("", "FINISHED", 0),
        ("raise SystemExit(3)", "FAILED", 3),
        ("import sys; sys.exit()", "FINISHED", 0),
        ("raise ValueError('bad')", "FAILED", None),
    ],
)
def test_autolog_run_knows_the_exit_code(recording, program, end, status, code):
    program(OPEN + end, "-m", "autolog", "run", check=False)
    details = recording.details()
    assert (details.run.status, details.exit_code) == (status, code)


def test_a_run_reads_running_while_its_process_lives_and_killed_once_it_does_not(
    recording, tmp_path
):
    script = OPEN + "print('ready', flush=True)\ninput()\n"
    command = [sys.executable, "-c", script]
    pipe = subprocess.PIPE
    with subprocess.Popen(command, stdin=pipe, stdout=pipe, cwd=tmp_path) as process:
        assert process.stdout is not None
        assert process.stdout.readline() == b"ready\n"
        assert recording.run().status == "RUNNING"
        process.kill()
    assert recording.run().status == "KILLED"


def test_a_finished_training_stays_finished_whatever_the_process_does_later(recording, program):
    program(
        """
from autolog import autolog
autolog()
from sklearn.linear_model import LinearRegression
LinearRegression().fit([[0.0], [1.0]], [0, 1])
raise ValueError
""",
        check=False,
    )
    assert recording.run().status == "FINISHED"


@pytest.mark.parametrize("method", ["fork", "spawn", "forkserver"])
@pytest.mark.edge_case("EC-T4")
def test_runs_of_a_multiprocessing_child_are_recorded_and_end(recording, program, method):
    program(
        f"""
import multiprocessing, warnings
import autolog
def work(number):
    with autolog.start_run(f"child-{{number}}"):
        autolog.log_metric("x", number)
    autolog.start_run(f"open-{{number}}")
if __name__ == "__main__":
    warnings.simplefilter("ignore")  # forking next to threads of others is not the matter here
    processes = [
        multiprocessing.get_context({method!r}).Process(target=work, args=(n,)) for n in (1, 2)
    ]
    for process in processes: process.start()
    for process in processes: process.join()
"""
    )
    runs = {run.name: run for run in recording.runs()}
    assert sorted(runs) == ["child-1", "child-2", "open-1", "open-2"]
    assert {run.status for run in runs.values()} == {"FINISHED"}
    assert runs["child-2"].metrics == {"x": 2.0}


def test_a_forked_child_logs_to_the_parents_run_and_does_not_end_it(recording, program):
    program(
        """
import os, autolog
with autolog.start_run("parent"):
    autolog.log_metric("x", 1, 0)
    pid = os.fork()
    if pid == 0:
        autolog.log_metric("x", 2, 1)
        autolog.end_run()
        os._exit(0)
    os.waitpid(pid, 0)
    autolog.log_metric("x", 3, 2)
"""
    )
    run = recording.run()
    assert run.status == "FINISHED"
    import autolog

    assert autolog.metric_history(run.run_id, "x").value.tolist() == [1, 2, 3]


def test_logs_after_our_exit_handler_are_kept(recording, program):
    program(
        """
import atexit
atexit.register(lambda: autolog.log_metric("late", 1))
import autolog
with autolog.start_run():
    pass
run = autolog.last_run()
atexit.register(lambda: run.log_metric("before", 1))
"""
    )
    metrics = [run.metrics for run in recording.runs()]
    assert {"before": 1.0} in metrics
    assert any("late" in found for found in metrics)


def test_nothing_acknowledged_is_lost_when_the_process_is_killed(recording, tmp_path):
    script = """
import autolog
run = autolog.start_run()
step = 0
while True:
    run.log_metric("x", step, step)
    print(step, flush=True)
    step += 1
"""
    command = [sys.executable, "-c", script]
    with subprocess.Popen(command, stdout=subprocess.PIPE, cwd=tmp_path) as process:
        assert process.stdout is not None
        acknowledged = -1
        while acknowledged < 500:
            acknowledged = int(process.stdout.readline())
        os.kill(process.pid, signal.SIGKILL)
        acknowledged = max([acknowledged, *map(int, process.stdout.read().split())])
    import autolog

    steps = autolog.metric_history(recording.run().run_id, "x").step.tolist()
    assert steps in (list(range(acknowledged + 1)), list(range(acknowledged + 2)))


def test_arguments_and_folders_that_are_no_text_are_recorded_escaped(recording, tmp_path):
    folder = tmp_path / os.fsdecode(b"caf\xe9")
    folder.mkdir()
    script = folder / "script.py"
    script.write_text("import autolog\nwith autolog.start_run(): pass\n")
    subprocess.run([sys.executable, script, b"\xff"], cwd=folder, check=True)
    details = recording.details()
    assert details.run.source.endswith("caf\\udce9/script.py")
    assert details.argv[1] == "\\udcff"


def test_a_program_that_changes_its_folder_reads_where_it_has_written(program, monkeypatch):
    monkeypatch.delenv("AUTOLOG_STORE")
    program(
        """
import os, autolog
with autolog.start_run("here"): pass
os.chdir("/")
with autolog.start_run("there"): pass
assert [run.name for run in autolog.search_runs()] == ["there", "here"]
assert not os.path.exists("/.autolog")
"""
    )


def test_the_trainer_has_no_thread_no_child_and_no_database(recording, program):
    program(
        """
import sys, threading
from autolog import autolog
autolog()
autolog.start_run()
for step in range(100):
    autolog.log_metrics({"loss": 1.0 / (step + 1)}, step=step)
autolog.log_params({"lr": 0.1})
autolog.end_run()
assert threading.enumerate() == [threading.main_thread()]
heavy = {"sqlalchemy", "alembic", "numpy", "sklearn", "sqlite3", "rich", "click", "psutil", "wrapt"}
assert not heavy & set(sys.modules), heavy & set(sys.modules)
"""
    )
    assert len(recording.runs()) == 1


def test_threads_that_log_first_at_the_same_time_share_one_journal(recording, program):
    program(
        """
import sys, threading, autolog
sys.setswitchinterval(1e-6)
barrier = threading.Barrier(16)
def work(number):
    barrier.wait()
    with autolog.start_run(f"run-{number}", parent="0" * 32):
        autolog.log_metric("x", number)
threads = [threading.Thread(target=work, args=(number,)) for number in range(16)]
for thread in threads: thread.start()
for thread in threads: thread.join()
"""
    )
    writers = {path.name.partition(".")[0] for path in recording.journal.iterdir()}
    assert len(writers) == 1
    assert {run.status for run in recording.runs() if run.name.startswith("run-")} == {"FINISHED"}


def test_our_files_never_take_the_numbers_of_closed_streams(recording, program):
    program(
        """
import os
os.close(1)
import autolog
with autolog.start_run():
    autolog.log_text("x", "x.txt")
    os.open(os.devnull, os.O_WRONLY)
    os.write(1, b"what C code prints")
    autolog.log_metric("x", 1)
"""
    )
    assert recording.run().metrics == {"x": 1.0}
