"""Trees, attempts and recipes on the command line, on a store that real programs have written."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
from pathlib import Path

import pytest

from tests.cli.conftest import Invoke
from tests.cli.recording import environment, record, strict_json

STUDY = """
import math
import autolog

with autolog.start_run("study"):
    for number in range(3):
        with autolog.start_run(f"trial-{number}") as trial:
            autolog.log_params({"lr": 0.1, "seed": number})
            autolog.log_metrics({"acc": [0.5, 0.75, 1.0][number], "loss": math.inf})
with autolog.start_run("other"):
    autolog.log_params({"lr": 0.2, "seed": 0})
"""

HANG = """
import os, time
import autolog

with autolog.start_run("queued") as run:
    if "AGAIN" in os.environ:
        run.restored(41)
    autolog.log_metric("loss", 1.0, step=42)
    print("logged", flush=True)
    if "AGAIN" not in os.environ:
        time.sleep(600)
"""


@pytest.fixture(scope="module")
def study(tmp_path_factory: pytest.TempPathFactory) -> Path:
    store = tmp_path_factory.mktemp("study") / "store"
    record(STUDY, store, "study.py")
    return store


def _words(text: str, first: str) -> list[str]:
    [line] = [line for line in text.splitlines() if line.strip().startswith(first)]
    return line.split()


def test_a_parent_shows_what_its_children_came_to(study: Path, invoke: Invoke) -> None:
    page = invoke("show", "study", store=study).stdout
    assert "Over 3 children: 3 FINISHED" in page
    expected = ["acc", "3", "0.75", "0.25", "0.5", "trial-0", "1", "trial-2"]
    assert _words(page, "acc") == expected
    rollup = strict_json(invoke("show", "study", "--json", store=study).stdout)["rollup"]
    assert (rollup["runs"], rollup["metrics"]["acc"]["mean"]) == (3, 0.75)
    assert rollup["metrics"]["loss"]["max"] == "Infinity"


def test_roots_alone_are_listed_with_their_children_counted(study: Path, invoke: Invoke) -> None:
    out = invoke("ls", "--roots", store=study).stdout
    assert [line.split()[0] for line in out.splitlines()] == ["RUN", "other", "study"]
    assert "3" in _words(out, "study")


def test_runs_that_differ_in_the_seed_are_listed_as_the_same(study: Path, invoke: Invoke) -> None:
    out = invoke("ls", "--same", "trial-1", store=study).stdout
    assert [line.split()[0] for line in out.splitlines()[1:4]] == ["trial-2", "trial-1", "trial-0"]
    assert "seed: 0, 1, 2" in out
    said = strict_json(invoke("ls", "--same", "trial-1", "--json", store=study).stdout)
    assert sorted(run["name"] for run in said["runs"]) == ["trial-0", "trial-1", "trial-2"]
    assert said["seeds"] == {"seed": [0, 1, 2]}
    acc = said["metrics"]["acc"]
    assert [acc[name] for name in ("n", "mean", "std", "min", "max")] == [3, 0.75, 0.25, 0.5, 1.0]
    assert {run["recipe"] for run in said["runs"]} == {said["recipe"]}


@pytest.mark.parametrize("words", [["--tree"], ["--status", "FAILED"], ["--limit", "3"]])
def test_the_same_runs_are_not_narrowed_further(
    study: Path, invoke: Invoke, words: list[str]
) -> None:
    result = invoke("ls", "--same", "trial-1", *words, store=study)
    assert (result.exit_code, "--same lists all" in result.stderr) == (2, True)


def test_runs_are_deleted_restored_and_moved(tmp_path: Path, invoke: Invoke) -> None:
    store = tmp_path / "store"
    record(STUDY, store, "study.py")
    refused = invoke("store", "delete", "study", store=store)
    assert refused.exit_code == 2
    assert "has 3 runs right below it: --recursive" in refused.stderr
    assert invoke("store", "delete", "study", "-r", store=store).output == "Deleted 4 runs.\n"
    assert [run["name"] for run in strict_json(invoke("ls", "--json", store=store).stdout)] == [
        "other"
    ]
    assert "deleted; autolog store restore" in invoke("show", "study", store=store).stdout
    assert (
        strict_json(invoke("store", "restore", "study", "--json", store=store).output)["runs"] == 4
    )
    moved = invoke("store", "move", "trial-0", "other", store=store)
    assert moved.output == "Moved trial-0 below other.\n"
    moved = invoke("store", "move", "trial-1", "--to-root", store=store)
    assert moved.output == "Moved trial-1 below no run.\n"
    names = strict_json(invoke("ls", "--roots", "--json", store=store).stdout)
    assert {run["name"]: run["children"] for run in names} == {"study": 1, "other": 1, "trial-1": 0}


def test_a_run_in_two_attempts_shows_both(tmp_path: Path, invoke: Invoke) -> None:
    store, script = tmp_path / "store", tmp_path / "queued.py"
    script.write_text(HANG)
    command = [sys.executable, str(script)]
    env = environment(store, SLURM_JOB_ID="7")
    with subprocess.Popen(command, env=env, stdout=subprocess.PIPE) as process:
        assert process.stdout is not None
        process.stdout.readline()
        os.kill(process.pid, signal.SIGKILL)
    subprocess.run(command, env={**env, "AGAIN": "1"}, check=True, stdout=subprocess.DEVNULL)
    page = invoke("show", "queued", store=store).stdout
    assert _words(page, "0        KILLED")[-4:] == ["its", "process", "was", "gone"]
    assert "after 41" in page
    attempts = strict_json(invoke("show", "queued", "--json", store=store).stdout)["attempts"]
    assert [(one["number"], one["status"], one["restored_step"]) for one in attempts] == [
        (0, "KILLED", None),
        (1, "FINISHED", 41),
    ]
