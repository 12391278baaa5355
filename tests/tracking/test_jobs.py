from __future__ import annotations

import contextlib
import os
import signal
import subprocess
import sys
from collections.abc import Iterator

import pytest

import autolog
from autolog.tracking.jobs import current_job

TRAIN = """
import os, sys, time
import autolog

def halt(event, arguments):
    if event == "os.mkdir" and "/jobs/" in arguments[0] and os.environ.pop("HALT_AT_CLAIM", None):
        print("halted", flush=True)
        sys.stdin.readline()

sys.addaudithook(halt)
first = int(os.environ.get("FIRST", 0))
with autolog.start_run(experiment="queue") as run:
    if first:
        run.restored(first - 1)
    for step in range(first, first + 5):
        run.log_metric("loss", float(step), step=step)
    print(run.run_id, "sqlalchemy" in sys.modules, flush=True)
    if "HANG" in os.environ:
        time.sleep(600)
    if "RAISE" in os.environ:
        raise ValueError("diverged")
"""


class Queue:
    """Starts a script as a scheduler does."""

    def __init__(self, recording, tmp_path) -> None:
        self.recording = recording
        self.script = tmp_path / "train.py"
        self.script.write_text(TRAIN)
        self.processes: list[subprocess.Popen] = []

    def start(self, *words: str, job: str = "4711", **environment: str) -> subprocess.Popen:
        clean = {k: v for k, v in os.environ.items() if not k.startswith("SLURM_")}
        job_variables = {"SLURM_JOB_ID": job} if job else {}
        process = subprocess.Popen(
            [sys.executable, str(self.script), *words],
            env={**clean, **job_variables, **environment},
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
        )
        self.processes.append(process)
        return process

    def run(self, *words: str, **environment: str) -> tuple[str, bool]:
        """Run to the end; return the id of the run, and whether the store was read."""
        process = self.start(*words, **environment)
        out, err = process.communicate(timeout=60)
        assert process.returncode == ("RAISE" in environment), err
        return self._said(out)

    def kill(self, *words: str, **environment: str) -> tuple[str, bool]:
        """As `run`, but kill the process in the middle."""
        process = self.start(*words, HANG="1", **environment)
        said = self.said(process)
        os.kill(process.pid, signal.SIGKILL)
        process.wait()
        return said

    def said(self, process: subprocess.Popen) -> tuple[str, bool]:
        return self._said(process.stdout.readline())

    def attempts(self):
        [run] = self.recording.runs()
        return [one.status for one in self.recording.details(run).attempts]

    def marks(self):
        return list((self.recording.journal / "jobs").glob("*/*"))

    @staticmethod
    def _said(out: str) -> tuple[str, bool]:
        run_id, read = out.split()
        return run_id, read == "True"


@pytest.fixture
def queue(recording, tmp_path) -> Iterator[Queue]:
    made = Queue(recording, tmp_path)
    yield made
    for process in made.processes:
        with contextlib.suppress(ProcessLookupError):
            process.kill()
        process.communicate()


def test_a_killed_job_that_is_started_again_goes_on_with_its_run(queue, recording):
    first, read = queue.kill()
    assert not read
    again, _ = queue.run(FIRST="3", SLURM_RESTART_COUNT="1")
    assert again == first
    run = recording.run()
    assert (run.status, run.experiment, run.metrics) == ("FINISHED", "queue", {"loss": 7.0})
    assert [one.restored_step for one in recording.details().attempts] == [None, 2]
    assert queue.attempts() == ["KILLED", "FINISHED"]
    history = autolog.metric_history(first, "loss")  # what was repeated counts once
    assert history.step.tolist() == list(range(8))
    assert history.attempt.tolist() == [0] * 3 + [1] * 5
    assert queue.marks() == []


def test_a_job_that_is_killed_again_and_again_is_one_run(queue):
    ids = {queue.kill(FIRST=str(5 * turn))[0] for turn in range(3)}
    assert len(ids) == 1
    assert queue.attempts() == ["KILLED"] * 3


def test_a_job_that_failed_is_continued_once_its_process_is_gone(queue):
    first, _ = queue.run(RAISE="1")
    assert queue.run()[0] == first
    assert queue.attempts() == ["FAILED", "FINISHED"]


def test_a_command_that_is_called_again_after_it_finished_is_a_new_run(queue):
    ids = {queue.run() for _ in range(2)}
    assert len(ids) == 2
    assert not any(read for _, read in ids)  # no mark is left to ask the store about


@pytest.mark.parametrize(
    ("words", "environment"),
    [
        (["--lr", "1"], {}),
        ([], {"job": "4712"}),
        ([], {"job": ""}),
        ([], {"SLURM_PROCID": "1"}),
        ([], {"SLURM_ARRAY_TASK_ID": "2"}),
    ],
    ids=["arguments", "job", "no job", "process", "array task"],
)
def test_another_program_place_or_job_is_a_run_of_its_own(queue, words, environment):
    first, _ = queue.kill()
    other, read = queue.run(*words, **environment)
    assert other != first
    assert not read


def test_two_living_processes_never_share_a_run(queue):
    first = queue.start(HANG="1")
    second = queue.start(HANG="1", SLURM_RESTART_COUNT="1")
    assert queue.said(first)[0] != queue.said(second)[0]


def test_of_processes_that_are_started_again_at_once_one_continues_the_run(queue):
    killed, _ = queue.kill()
    processes = [queue.start(HANG="1") for _ in range(4)]
    ids = [queue.said(process)[0] for process in processes]
    assert len(set(ids)) == 4
    assert ids.count(killed) == 1


def test_each_run_of_a_process_is_continued_by_the_same_one_of_the_next(queue, recording):
    queue.script.write_text(
        "import os, time, autolog\n"
        "with autolog.start_run('FIRST'):\n"
        "    pass\n"
        "second = autolog.start_run('SECOND')\n"
        "print(second.run_id, False, flush=True)\n"
        "time.sleep(600 if 'HANG' in os.environ else 0)\n"
    )
    killed, _ = queue.kill()
    assert queue.run()[0] == killed
    assert sorted(run.name for run in recording.runs()) == ["FIRST", "FIRST", "SECOND"]


def test_what_a_process_of_a_job_starts_itself_has_no_turn(queue, recording):
    queue.script.write_text(
        "import multiprocessing, os, autolog\n"
        "def work():\n"
        "    with autolog.start_run('worker'):\n"
        "        pass\n"
        "if __name__ == '__main__':\n"
        "    run = autolog.start_run('main')\n"
        "    for method in ('fork', 'spawn', 'forkserver'):\n"
        "        process = multiprocessing.get_context(method).Process(target=work)\n"
        "        process.start()\n"
        "        process.join()\n"
        "    print(run.run_id, False, flush=True)\n"
        "    os.kill(os.getpid(), 9)\n"
    )
    killed = queue.start()
    killed.wait()
    first, _ = queue.said(killed)
    again = queue.start()
    again.wait()
    assert queue.said(again)[0] == first
    names = sorted(run.name for run in recording.runs())
    assert names == ["main"] + ["worker"] * 6


def test_a_session_of_a_user_continues_no_other(queue, recording):
    code = "import os, autolog; autolog.start_run('session'); os.kill(os.getpid(), 9)"
    for _ in range(2):
        environment = {**os.environ, "SLURM_JOB_ID": "4711"}
        subprocess.run([sys.executable, "-c", code], env=environment)
    assert len(recording.runs()) == 2


def test_a_store_that_cannot_be_read_does_not_stop_a_job(queue, recording):
    killed, _ = queue.kill()
    (recording.folder / "store.db").write_bytes(b"not a database" * 100)
    assert queue.run()[0] != killed
    (recording.folder / "store.db").unlink()
    [notice] = recording.events("notice", recording.runs()[-1])
    assert notice["text"].startswith("whether this job continues a run could not be read")


@pytest.mark.parametrize(
    ("environment", "expected"),
    [
        ({}, None),
        ({"JOB_ID": "7"}, None),
        ({"TORCHELASTIC_RUN_ID": "none", "RANK": "0"}, None),
        ({"SLURM_JOB_ID": "1"}, ("slurm", "1", (), False)),
        (
            {"SLURM_JOB_ID": "1", "SLURM_PROCID": "3", "SLURM_RESTART_COUNT": "2"},
            ("slurm", "1", ("SLURM_PROCID=3",), True),
        ),
        ({"SLURM_JOB_ID": "1", "SLURM_RESTART_COUNT": "0"}, ("slurm", "1", (), False)),
        ({"PBS_JOBID": "9.host"}, ("pbs", "9.host", (), False)),
        ({"LSB_JOBID": "9", "LSB_JOBINDEX": "2"}, ("lsf", "9", ("LSB_JOBINDEX=2",), False)),
        ({"JOB_ID": "7", "SGE_TASK_ID": "undefined"}, ("sge", "7.undefined", (), False)),
        (
            {"AWS_BATCH_JOB_ID": "a", "AWS_BATCH_JOB_ATTEMPT": "1"},
            ("aws-batch", "a", (), False),
        ),
        ({"AWS_BATCH_JOB_ID": "a", "AWS_BATCH_JOB_ATTEMPT": "2"}, ("aws-batch", "a", (), True)),
        (
            {"TORCHELASTIC_RUN_ID": "t", "RANK": "1", "TORCHELASTIC_RESTART_COUNT": "1"},
            ("torchelastic", "t", ("RANK=1",), True),
        ),
        ({"TORCHELASTIC_RUN_ID": "t", "SLURM_JOB_ID": "1"}, ("slurm", "1", (), False)),
    ],
)
def test_jobs_are_known_by_the_variables_of_their_schedulers(environment, expected):
    job = current_job(environment)
    found = job and (job.scheduler, job.id, job.place, job.restarted)
    assert found == expected


def test_a_run_that_another_process_continued_and_finished_is_not_continued_again(queue):
    first, _ = queue.kill()
    slow = queue.start(HALT_AT_CLAIM="1")
    assert slow.stdout.readline() == "halted\n"  # it knows of the run that can be continued
    assert queue.run()[0] == first
    out, err = slow.communicate("\n", timeout=60)
    assert slow.returncode == 0, err
    assert out.split()[0] != first
    assert queue.marks() == []
