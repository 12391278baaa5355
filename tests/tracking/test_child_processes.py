"""Runs of processes that a training, a run or a user's environment is above."""

from __future__ import annotations

import pytest

WORKER_FIT = """
import multiprocessing, os, subprocess, sys
import autolog
from sklearn.base import BaseEstimator, ClassifierMixin
from sklearn.tree import DecisionTreeClassifier

def work(name=None):
    autolog.autolog()
    if name:
        autolog.start_run(name)
    DecisionTreeClassifier().fit([[0.0], [1.0]], [0, 1])

class Outer(ClassifierMixin, BaseEstimator):
    def fit(self, X, y):
        self.classes_ = [0, 1]
        process = multiprocessing.get_context("spawn").Process(target=work, args=self.names)
        process.start()
        process.join()
        subprocess.run([sys.executable, __file__, "worker"], check=True)
        return self
    def predict(self, X):
        return [0] * len(X)
    names = ()

if sys.argv[1:] == ["worker"]:
    work()
elif __name__ == "__main__":
    autolog.autolog()
    Outer.names = tuple(os.environ.get("NAMES", "").split())
    Outer().fit([[0.0], [1.0]], [0, 1])
"""


def test_trainings_in_processes_that_a_fit_started_are_part_of_its_run(recording, program):
    program(WORKER_FIT)
    run = recording.run()
    assert run.name.startswith("Outer-")
    told = recording.events("absorbed", run)
    assert [one["name"].partition("-")[0] for one in told] == ["DecisionTreeClassifier"] * 2


def test_runs_opened_by_hand_in_processes_that_a_fit_started_are_its_children(recording, program):
    program(WORKER_FIT, NAMES="by-hand")
    runs = recording.runs()
    assert [run.name.partition("-")[0] for run in runs] == ["Outer", "by"]
    assert runs[1].parent_id == runs[0].run_id


STARTED = """
import multiprocessing, os, subprocess, sys
import autolog

def work(name):
    with autolog.start_run(name):
        pass

if sys.argv[1:]:
    work(sys.argv[1])
elif __name__ == "__main__":
    run = autolog.start_run("driver")
    if "NAMED" in os.environ:
        run.end()
        os.environ["AUTOLOG_PARENT_RUN_ID"] = run.run_id
    for method in ("fork", "spawn", "forkserver"):
        process = multiprocessing.get_context(method).Process(target=work, args=(method,))
        process.start()
        process.join()
    subprocess.run([sys.executable, __file__, "subprocess"], check=True)
    # No descendant: the shell in between is gone before it begins, as the workers of a cluster.
    script = f"({sys.executable} {__file__} detached; touch done) &"
    subprocess.run(["setsid", "sh", "-c", script], check=True)
    while not os.path.exists("done"):
        pass
"""


@pytest.mark.edge_case("EC-T4", "EC-T9")
@pytest.mark.parametrize("named", [True, False], ids=["by the environment", "by ancestry"])
def test_runs_of_child_processes_are_below_the_run_of_the_one_that_started_them(
    recording, program, named
):
    program(STARTED, **({"NAMED": "1"} if named else {}))
    runs = {run.name: run for run in recording.runs()}
    driver = runs.pop("driver").run_id
    below = {name for name, run in runs.items() if (run.parent_id, run.depth) == (driver, 1)}
    own = {"fork", "spawn", "forkserver", "subprocess"}
    assert set(runs) == own | {"detached"}
    assert below == (set(runs) if named else own)
