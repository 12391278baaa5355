"""System metrics: real programs, measured from outside by a real helper process."""

from __future__ import annotations

import os
import subprocess
import sys
import time
from pathlib import Path

import psutil
import pytest
from click.testing import CliRunner

import autolog
from autolog.cli.commands import cli
from autolog.journal.files import list_writers
from autolog.journal.lease import locked
from autolog.sink.gpus import Gpus
from autolog.sink.state import lock_path, read_state
from autolog.sink.usage import Usage
from autolog.store.location import locate
from tests.sink.programs import end_helper, eventually, finish, reading, start

STAND_IN = Path(__file__).parent / "stand_in"


@pytest.fixture
def location(tmp_path, monkeypatch):
    """An embedded store whose runs count as lasting after 0.3 s."""
    monkeypatch.chdir(tmp_path)  # no checkout: nothing is asked of git at the end of a program
    monkeypatch.setenv("AUTOLOG_STORE", str(tmp_path / ".autolog"))
    monkeypatch.setenv("AUTOLOG_PRINT", "never")
    monkeypatch.setenv("_AUTOLOG_SYSTEM_PACE", "0.3,0.1")
    for name in ("AUTOLOG_SYSTEM_METRICS", "AUTOLOG_JOURNAL_DIR"):
        monkeypatch.delenv(name, raising=False)
    found = locate()
    yield found
    end_helper(found)


LASTING = """
with autolog.start_run("lasting") as run:
    def log():
        run.log_metric("loss", 0.5)
        return measured()
    until(log)
"""


def test_a_run_that_lasts_is_measured_from_outside(location):
    finish(start(LASTING))
    with reading(location) as store:
        run = store.run("lasting")
        found = dict(store.histories(run.run_id))
        assert run.status == "FINISHED"
        assert run.metrics.keys() == {"loss"}
        assert found["loss"].step.tolist() == list(range(len(found["loss"])))
        memory = found["system/memory_mb"]
        assert memory.contexts == ({"phase": "system"},)
        assert 1 < memory.value[0] < 10_000
        assert found["system/processes"].value.max() == 1
        assert found["system/threads"].value.max() == 1
        rest = {"system/cpu_percent", "system/memory_percent", "system/disk_write_mb"}
        assert rest <= found.keys()


BURN = "import time\nwhile time.process_time() < 0.3: pass"


def test_a_child_that_came_and_went_between_two_samples_counts():
    usage, me = Usage(), [psutil.Process()]
    assert "system/cpu_percent" not in usage.sample(me)
    begin = time.monotonic()
    subprocess.run([sys.executable, "-c", BURN], check=True)
    share = usage.sample(me)["system/cpu_percent"] / 100
    assert share * (time.monotonic() - begin) >= 0.25


def test_the_helper_ends_after_the_program_and_its_journal_goes_like_any_other(location):
    finish(start(LASTING))
    eventually(lambda: not locked(lock_path(location)))
    eventually(lambda: _folded_away(location))
    assert not list(location.journal.glob("*.beat"))


def _folded_away(location):
    with reading(location):
        return not list_writers(location.journal)


def test_a_short_run_starts_nothing(location):
    finish(
        start("with autolog.start_run(): autolog.log_metric('x', 1)", _AUTOLOG_SYSTEM_PACE="60,1")
    )
    assert read_state(location) is None


def test_many_short_runs_start_nothing_however_long_the_program_takes(location):
    finish(
        start("""
            begin = time.monotonic()
            while time.monotonic() < begin + 1:
                with autolog.start_run():
                    autolog.log_metric("x", 1)
        """)
    )
    assert read_state(location) is None


def test_never_measures_nothing_also_beside_a_program_that_is_measured(location):
    waiting = start(
        """
        with autolog.start_run("unseen"):
            until(lambda: Path(os.environ["AUTOLOG_STORE"], "done").exists())
            autolog.log_metric("x", 1)
        """,
        AUTOLOG_SYSTEM_METRICS="never",
    )
    eventually(lambda: list_writers(location.journal))
    finish(start(LASTING, AUTOLOG_SYSTEM_METRICS="always"))
    (location.root / "done").touch()
    finish(waiting)
    with reading(location) as store:
        keys = {name: {key for key, _ in store.histories(name)} for name in ("unseen", "lasting")}
    assert keys["unseen"] == {"x"}
    assert "system/memory_mb" in keys["lasting"]


CHILDREN = """
import signal, threading
with autolog.start_run("parent") as run:
    until(lambda: run.log_metric("x", 1) or measured())
    seen = [os.listdir(f"/proc/{os.getpid()}/task"), threading.active_count()]
    child = os.fork()
    if child == 0:
        os._exit(7)
    assert os.wait() == (child, 7 << 8)
    try:
        os.wait()
    except ChildProcessError:
        print("no child of ours")
    print(len(seen[0]), seen[1], [name for name in ("psutil", "sqlalchemy") if name in sys.modules])
"""


def test_the_program_sees_no_child_no_thread_and_no_import_of_it(location):
    assert finish(start(CHILDREN)).splitlines() == ["no child of ours", "1 1 []"]


def test_a_program_with_a_handler_for_children_is_left_alone(location):
    out = finish(
        start("""
            import signal
            signal.signal(signal.SIGCHLD, lambda *_: print("a child"))
            with autolog.start_run() as run:
                begin = time.monotonic()
                until(lambda: run.log_metric("x", 1) or time.monotonic() > begin + 0.6)
        """)
    )
    assert out == ""
    assert read_state(location) is None


def test_measuring_ends_with_a_program_that_is_killed_and_its_run_is_killed(location):
    process = start(LASTING.replace("measured()", "None"))
    eventually(lambda: len(list_writers(location.journal)) == 2)
    process.kill()
    process.communicate()
    with reading(location) as store:
        assert store.run("lasting").status == "KILLED"
    eventually(lambda: not locked(lock_path(location)))
    eventually(lambda: _folded_away(location))
    with reading(location) as store:
        assert store.run("lasting").status == "KILLED"
        assert len(store.history("lasting", "system/memory_mb"))


def test_the_death_of_the_helper_says_nothing_of_the_run(location):
    process = start("""
        with autolog.start_run("lives") as run:
            until(lambda: run.log_metric("x", 1) or
                  Path(os.environ["AUTOLOG_STORE"], "done").exists())
    """)
    eventually(lambda: len(list_writers(location.journal)) == 2)
    helper = psutil.Process(read_state(location).pid)
    helper.kill()
    eventually(lambda: not helper.is_running() or helper.status() == psutil.STATUS_ZOMBIE)
    with reading(location) as store:
        assert store.run("lives").status == "RUNNING"
        measured = store.history("lives", "system/memory_mb")
        assert len(measured) == len(set(measured.timestamp.tolist())) > 0
    (location.root / "done").touch()
    finish(process)
    with reading(location) as store:
        assert store.run("lives").status == "FINISHED"


RANK = """
import os, sys, time
limit = time.monotonic() + 60
journal = sys.argv[1] + "/journal"
def measured():
    return b"system/cpu_percent" in b"".join(
        open(os.path.join(journal, name), "rb").read()
        for name in os.listdir(journal) if name.endswith(".alj"))
if os.environ["RANK"] == "0":
    import autolog
    with autolog.start_run("ranked") as run:
        while not measured() and time.monotonic() < limit:
            run.log_metric("x", 1)
            time.sleep(0.01)
    open(sys.argv[1] + "/done", "w").close()
else:
    while not os.path.exists(sys.argv[1] + "/done") and time.monotonic() < limit:
        time.sleep(0.05)
"""


@pytest.mark.skipif(sys.platform != "linux", reason="torchrun's ranks are found through /proc")
def test_each_rank_of_torchrun_is_measured_for_the_run_of_rank_0(location, tmp_path):
    script = tmp_path / "train.py"
    script.write_text(RANK)
    command = ["-m", "torch.distributed.run", "--standalone", "--nproc-per-node", "2", str(script)]
    done = subprocess.run(
        [sys.executable, *command, str(location.root)], capture_output=True, timeout=120
    )
    assert done.returncode == 0, done.stderr
    with reading(location) as store:
        memory = store.history("ranked", "system/memory_mb")
        assert {context["rank"] for context in memory.contexts} == {0, 1}
        rank_1 = store.history("ranked", "system/processes", context={"rank": 1})
        assert set(rank_1.value.tolist()) == {1.0}


def test_a_server_gets_system_metrics_too_and_no_file_is_left(
    tmp_path, monkeypatch, fresh_database
):
    monkeypatch.setenv("XDG_DATA_HOME", str(tmp_path / "data"))
    monkeypatch.setenv("AUTOLOG_STORE", fresh_database())
    monkeypatch.setenv("AUTOLOG_SYSTEM_METRICS", "always")
    monkeypatch.setenv("_AUTOLOG_SYSTEM_PACE", "0.3,0.1")
    location = locate()
    try:
        finish(
            start(f"""
                journal = Path({str(location.journal)!r})
                with autolog.start_run("shipped") as run:
                    until(measured)
            """)
        )
        eventually(lambda: not locked(lock_path(location)))
        assert not list(location.journal.glob("*.alj"))
        with reading(location) as store:
            assert store.run("shipped").status == "FINISHED"
            assert len(store.history("shipped", "system/memory_mb"))
    finally:
        end_helper(location)


def test_show_has_lines_for_the_machine_and_ls_no_column(recording):
    from autolog.journal.writer import Writer

    with autolog.start_run("shown") as run:
        run.log_metric("loss", 0.5)
        run.log_metric("system/own", 3.0)
    writer = Writer(recording.journal, "", role="sampler")
    system = writer.context(phase="system")
    number = writer.run(run.run_id)
    for second, cpu in enumerate((100.0, 300.0)):
        values = {"system/cpu_percent": cpu, "system/memory_mb": 2e3, "system/own": 9.0}
        values |= {"system/gpu/0/utilization": 80.0}
        writer.metrics(number, values, second, context=system)
    writer.close()
    page = CliRunner().invoke(cli, ["show", "shown"]).output
    assert "200 % of a core on average, at most 300 %" in page
    assert "at most 2 GB" in page
    assert "80 % busy on average" in page
    assert "system/cpu_percent" not in page
    listed = CliRunner().invoke(cli, ["ls"]).output
    assert "loss" in listed
    assert "system/cpu" not in listed
    assert recording.run().metrics == {"loss": 0.5, "system/own": 3.0}
    assert [one.name for one in autolog.search_runs('metrics."system/memory_mb" > 1000')] == [
        "shown"
    ]


def test_of_the_gpus_those_count_that_the_processes_use(monkeypatch):
    monkeypatch.syspath_prepend(str(STAND_IN))
    monkeypatch.setenv("STAND_IN_USER", str(os.getpid()))
    gpus = Gpus()
    assert gpus.sample({os.getpid()}, {}) == {
        "system/gpu/1/utilization": 41.0,
        "system/gpu/1/memory_mb": 3000.0,
        "system/gpu/1/temperature_c": 61.0,
    }
    assert gpus.sample({os.getppid()}, {}) == {}


def test_where_no_user_of_a_gpu_can_be_told_the_visible_ones_count(monkeypatch):
    monkeypatch.syspath_prepend(str(STAND_IN))
    gpus = Gpus()

    def seen(environment):
        return sorted({key.split("/")[2] for key in gpus.sample({1}, environment)})

    assert seen({}) == ["0", "1"]
    assert seen({"CUDA_VISIBLE_DEVICES": "1"}) == ["1"]
    assert seen({"CUDA_VISIBLE_DEVICES": "GPU-8f4c"}) == ["0", "1"]
    assert seen({"CUDA_VISIBLE_DEVICES": ""}) == seen({"CUDA_VISIBLE_DEVICES": "-1"}) == []


def test_doctor_says_of_which_runs_or_why_of_none(location, monkeypatch):
    from autolog.cli import checkup
    from autolog.sink import launch

    assert checkup.examine(None).store.system_metrics == "of runs that last longer than 10 s"
    monkeypatch.setattr(launch, "_SHELL", "/nowhere/sh")
    assert checkup.examine(None).store.system_metrics == (
        "none: there is no /nowhere/sh to detach it with"
    )
    monkeypatch.setenv("AUTOLOG_SYSTEM_METRICS", "never")
    assert checkup.examine(None).store.system_metrics == "none, by the setting"


def test_without_a_shell_a_run_is_recorded_as_ever(location):
    finish(
        start(
            """
            from autolog.sink import launch
            launch._SHELL = "/nowhere/sh"
            with autolog.start_run("plain") as run:
                run.log_metric("x", 1)
            """,
            AUTOLOG_SYSTEM_METRICS="always",
        )
    )
    assert read_state(location) is None
    with reading(location) as store:
        assert store.run("plain").status == "FINISHED"
