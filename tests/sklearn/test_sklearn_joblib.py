"""What users train in the processes of joblib is not recorded, and that is said once."""

from __future__ import annotations

import subprocess
import sys

import numpy as np
import pytest
from joblib import Parallel, delayed
from sklearn.base import BaseEstimator, ClassifierMixin
from sklearn.datasets import load_iris
from sklearn.ensemble import RandomForestClassifier
from sklearn.model_selection import cross_val_score
from sklearn.tree import DecisionTreeClassifier

import autolog

X, y = load_iris(return_X_y=True)


@pytest.fixture(autouse=True)
def _on(recording, monkeypatch):
    from autolog.tracking import notices

    monkeypatch.setattr(notices, "_notices", {})
    autolog.autolog("sklearn")


def told() -> int:
    return sum(one.key == "joblib_processes" for one in autolog.status().notices)


def deep(depth):
    return DecisionTreeClassifier(max_depth=depth).fit(X, y).get_depth()


def indirectly(depth):
    return deep(depth)


def score(model):
    return type(model).__name__


def squared(number):
    return number * number


@pytest.mark.parametrize(
    "calls",
    [
        [delayed(DecisionTreeClassifier(max_depth=depth).fit)(X, y) for depth in (1, 2)],
        [delayed(deep)(depth) for depth in (1, 2)],
        [delayed(indirectly)(depth) for depth in (1, 2)],
        [delayed(score)(DecisionTreeClassifier())],
    ],
    ids=["method", "function", "indirect", "argument"],
)
@pytest.mark.edge_case("EC-T3")
def test_fits_that_a_user_sends_to_processes_are_told_of(recording, calls):
    Parallel(n_jobs=2, backend="loky")(calls)
    assert recording.runs() == []
    assert told() == 1


@pytest.mark.edge_case("EC-T3")
def test_in_threads_they_are_runs(recording):
    Parallel(n_jobs=2, backend="threading")(delayed(deep)(depth) for depth in (1, 2))
    assert sorted(run.params["max_depth"] for run in recording.runs()) == [1, 2]
    assert told() == 0


def test_work_that_trains_nothing_is_not_told_of(recording):
    Parallel(n_jobs=2, backend="loky")(delayed(squared)(number) for number in range(3))
    assert told() == 0


class Meta(ClassifierMixin, BaseEstimator):
    """An estimator of the user that fits in processes of joblib itself."""

    def fit(self, X, y):
        trees = (DecisionTreeClassifier(max_depth=1) for _ in range(8))
        self.trees_ = Parallel(n_jobs=2, backend="loky", pre_dispatch=2)(
            delayed(tree.fit)(X, y) for tree in trees
        )
        self.classes_ = np.unique(y)
        return self

    def predict(self, X):
        return self.trees_[0].predict(X)


@pytest.mark.edge_case("EC-T3", "EC-T10")
def test_what_a_watched_training_sends_to_processes_is_its_own_affair(recording):
    Meta().fit(X, y)
    RandomForestClassifier(2, n_jobs=2).fit(X, y)
    cross_val_score(DecisionTreeClassifier(), X, y, cv=2, n_jobs=2)
    assert len(recording.runs()) == 3
    assert told() == 0


FITS = """
import multiprocessing, sys
from sklearn.tree import DecisionTreeClassifier

def fit(depth):
    DecisionTreeClassifier(max_depth=depth).fit([[0], [1]], [0, 1])

if __name__ == "__main__":
    import autolog
    autolog.autolog("sklearn")
    process = multiprocessing.get_context(sys.argv[1]).Process(target=fit, args=(3,))
    process.start()
    process.join()
    fit(1)
"""


@pytest.mark.parametrize(
    ("method", "depths"), [("fork", [1, 3]), ("spawn", [1]), ("forkserver", [1])]
)
@pytest.mark.edge_case("EC-T4")
def test_a_child_process_logs_to_the_same_store_or_nothing(recording, tmp_path, method, depths):
    script = tmp_path / "script.py"
    script.write_text(FITS)
    command = [sys.executable, str(script), method]
    subprocess.run(command, check=True, timeout=200, cwd=tmp_path)
    assert sorted(run.params["max_depth"] for run in recording.runs()) == depths
