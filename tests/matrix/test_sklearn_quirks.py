"""Quirks of scikit-learn, each proved with its guard and without: see compat_matrix.yaml.

Where the guard is the engine's own structure, the unguarded leg patches as one would at first:
wrapt's stock function wrapper, or another function in the attribute's place.
"""

from __future__ import annotations

import functools
import json
import pickle
import subprocess
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest

from autolog.integration import Hook
from autolog.patching import Engine

sklearn = pytest.importorskip("sklearn")


@contextmanager
def watched(owner: Any, attribute: str, naive: Callable[..., object] | None) -> Iterator[list[str]]:
    """Patch with the engine, or naively; give the list of calls that were seen."""
    seen: list[str] = []
    raw = vars(owner)[attribute]
    if naive is not None:
        naive(owner, attribute, seen)
        try:
            yield seen
        finally:
            setattr(owner, attribute, raw)
        return
    engine = Engine(strict=True)
    hook = Hook(enter=lambda call: seen.append(call.name))
    handle = engine.apply(owner, attribute, "quirk", hook)
    assert handle.status().state == "applied"
    try:
        yield seen
    finally:
        engine.remove(handle)
    assert vars(owner)[attribute] is raw


def by_wrapt(owner: Any, attribute: str, seen: list[str]) -> None:
    """Patch with a stock function wrapper."""
    import wrapt

    def wrapper(wrapped: Any, _: Any, args: Any, kwargs: Any) -> Any:
        seen.append(attribute)
        return wrapped(*args, **kwargs)

    wrapt.wrap_function_wrapper(owner, attribute, wrapper)


def by_swap(owner: Any, attribute: str, seen: list[str]) -> None:
    """Put a plain function in place of the attribute."""
    original = getattr(owner, attribute)

    @functools.wraps(original)
    def swapped(*args: Any, **kwargs: Any) -> Any:
        seen.append(attribute)
        return original(*args, **kwargs)

    setattr(owner, attribute, swapped)


@pytest.mark.quirk("sklearn-bound-fit-must-pickle")
def test_a_bound_fit_survives_a_pickle(guarded: bool) -> None:
    from sklearn.neighbors import KNeighborsClassifier

    with watched(KNeighborsClassifier, "fit", None if guarded else by_wrapt) as seen:
        fit = pickle.loads(pickle.dumps(KNeighborsClassifier(2).fit))
        fit([[0.0], [1.0], [2.0], [3.0]], [0, 0, 1, 1])
    assert fit.__self__.n_neighbors == 2
    assert seen == ["fit"]


@pytest.mark.quirk("sklearn-available-if-methods")
def test_a_method_that_is_not_available_stays_so(guarded: bool) -> None:
    from sklearn.linear_model import LinearRegression
    from sklearn.pipeline import make_pipeline
    from sklearn.preprocessing import StandardScaler

    X, y = [[0.0], [1.0], [2.0]], [0.0, 1.0, 2.0]
    with watched(type(make_pipeline(None)), "predict", None if guarded else by_swap) as seen:
        assert not hasattr(make_pipeline(StandardScaler()), "predict")
        make_pipeline(StandardScaler(), LinearRegression()).fit(X, y).predict(X)
    assert seen == ["predict"]


@pytest.mark.quirk("sklearn-metric-aliases-are-patched-by-code")
def test_a_metric_imported_before_the_patch_is_seen(guarded: bool) -> None:
    import sklearn.metrics
    from sklearn.metrics import accuracy_score

    with watched(sklearn.metrics, "accuracy_score", None if guarded else by_swap) as seen:
        assert accuracy_score([0, 1], [0, 1]) == 1.0
        assert pickle.loads(pickle.dumps(accuracy_score)) is accuracy_score
    assert seen == ["accuracy_score"]


def outcome(program: str, folder: Path, *arguments: str) -> Any:
    """Run a program as `__main__` of a process of its own; its last line is JSON."""
    path = folder / "program.py"
    path.write_text(program)
    command = [sys.executable, str(path), *arguments]
    done = subprocess.run(command, cwd=folder, capture_output=True, text=True, timeout=300)
    if done.returncode != 0:  # no AssertionError: a program that breaks proves no quirk
        raise RuntimeError(done.stderr)
    return json.loads(done.stdout.splitlines()[-1])


THROUGH_LOKY = """
import json, sys
import numpy as np
from joblib import Parallel, delayed
from sklearn.base import BaseEstimator, ClassifierMixin

class Constant(ClassifierMixin, BaseEstimator):
    def fit(self, X, y):
        self.classes_ = np.unique(y)
        self.saw_autolog_ = "autolog" in sys.modules
        return self

if __name__ == "__main__":
    seen, X, y = [], np.arange(8.0).reshape(4, 2), [0, 0, 1, 1]
    if sys.argv[1] == "guarded":
        from autolog.integration import Hook
        from autolog.patching import Engine
        engine = Engine(strict=True)
        engine.apply(Constant, "fit", "quirk", Hook(enter=lambda call: seen.append(call.name)))
    else:
        import wrapt
        def wrapper(wrapped, instance, args, kwargs):
            seen.append("fit")
            return wrapped(*args, **kwargs)
        wrapt.wrap_function_wrapper(Constant, "fit", wrapper)
    error, workers = None, []
    try:
        models = Parallel(n_jobs=2)(delayed(Constant().fit)(X, y) for _ in range(2))
        workers = [model.saw_autolog_ for model in models]
    except Exception as exception:
        error = type(exception).__name__
    if sys.argv[1] == "guarded":
        engine.recheck()
    Constant().fit(X, y)
    print(json.dumps({"error": error, "autolog in workers": workers, "seen": seen}))
"""


@pytest.mark.quirk("sklearn-main-class-through-loky")
def test_a_class_of_main_travels_to_workers_and_is_still_watched(
    guarded: bool, tmp_path: Path
) -> None:
    found = outcome(THROUGH_LOKY, tmp_path, "guarded" if guarded else "naive")
    assert found == {"error": None, "autolog in workers": [False, False], "seen": ["fit"]}


BACK_AGAIN = """
import functools, json, sys
from joblib import Parallel, delayed
from sklearn.base import BaseEstimator, ClassifierMixin

class Constant(ClassifierMixin, BaseEstimator):
    def fit(self, X, y):
        self.n_features_in_ = 1
        return self

def train(model):
    return model.fit([[1.0], [2.0]], [0, 1])

def fits():
    if sys.argv[1] == "guarded":
        return len(autolog.search_runs())
    return len(seen)

if __name__ == "__main__":
    if sys.argv[1] == "guarded":
        import autolog
        autolog.autolog("sklearn", strict=True)
    else:
        seen, original = [], Constant.fit

        @functools.wraps(original)
        def fit(self, X, y):
            seen.append("fit")
            return original(self, X, y)

        Constant.fit = fit
    train(Constant())
    before = fits()
    (back,) = Parallel(n_jobs=2, backend="loky")([delayed(train)(Constant())])
    assert type(back) is Constant
    train(Constant())
    print(json.dumps([before, fits()]))
"""


@pytest.mark.quirk("sklearn-cloudpickle-unpatches-main-classes")
def test_a_class_of_main_is_watched_after_it_came_back(
    guarded: bool, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("AUTOLOG_STORE", str(tmp_path / "store"))
    assert outcome(BACK_AGAIN, tmp_path, "guarded" if guarded else "naive") == [1, 2]


BAGGING = """
import json
import autolog
autolog.autolog("sklearn", strict=True)
import joblib
from sklearn.datasets import load_iris
from sklearn.ensemble import BaggingClassifier
from sklearn.tree import DecisionTreeClassifier

X, y = load_iris(return_X_y=True)
with joblib.parallel_backend("threading"):
    BaggingClassifier(DecisionTreeClassifier(), n_estimators=4, n_jobs=2).fit(X, y)
print(json.dumps(sorted(run.name.partition("-")[0] for run in autolog.search_runs())))
"""


@pytest.mark.quirk("sklearn-joblib-threads-lose-context")
def test_fits_in_threads_of_joblib_belong_to_the_training_that_started_them(
    guarded: bool, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("AUTOLOG_STORE", str(tmp_path / "store"))
    assert outcome(BAGGING, tmp_path) == ["BaggingClassifier"]
