"""What explainers and AutoML libraries train for themselves is nobody's run."""

from __future__ import annotations

import sys

import pytest

import autolog

SURROGATE = """
import threading
from sklearn.linear_model import LogisticRegression
from sklearn.metrics import accuracy_score
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler

def explain(X, y):
    model = make_pipeline(StandardScaler(), LogisticRegression(max_iter=500)).fit(X, y)
    return accuracy_score(y, model.predict(X))

def explain_in_thread(X, y):
    thread = threading.Thread(target=explain, args=(X, y))
    thread.start()
    thread.join()
"""


@pytest.fixture
def shap(recording, tmp_path, monkeypatch):
    """A package of the deny-list that fits a surrogate."""
    package = tmp_path / "site" / "shap"
    package.mkdir(parents=True)
    (package / "__init__.py").write_text("from shap.surrogate import *\n")
    (package / "surrogate.py").write_text(SURROGATE)
    monkeypatch.syspath_prepend(str(package.parent))
    autolog.autolog("sklearn")
    import shap

    yield shap
    for name in ("shap", "shap.surrogate"):
        sys.modules.pop(name, None)


@pytest.mark.edge_case("EC-N11")
def test_a_model_that_an_explainer_fits_is_no_run_and_that_is_said_once(recording, shap, iris):
    shap.explain(*iris)
    shap.explain(*iris)
    shap.explain_in_thread(*iris)
    assert recording.runs() == []
    (notice,) = [one for one in autolog.status().notices if one.key == "denied_caller"]
    assert notice.text.startswith("shap trains models for its own use")


@pytest.mark.edge_case("EC-N11")
def test_what_the_user_fits_beside_an_explainer_is_recorded(recording, shap, iris):
    from sklearn.linear_model import LogisticRegression

    with autolog.start_run("mine"):
        shap.explain(*iris)
        LogisticRegression(max_iter=500, C=0.5).fit(*iris)
    run = recording.run()
    assert run.params["C"] == 0.5
    assert not any("accuracy" in key for key in run.metrics)


@pytest.mark.edge_case("EC-N11")
def test_a_folder_of_the_user_with_such_a_name_is_the_users(recording, program):
    done = program(
        """
import pathlib, runpy
folder = pathlib.Path("shap"); folder.mkdir(exist_ok=True)
(folder / "train.py").write_text('''
import autolog; autolog.autolog("sklearn")
from sklearn.dummy import DummyClassifier
DummyClassifier().fit([[0], [1]], [0, 1])
''')
runpy.run_path(str(folder / "train.py"), run_name="__main__")
"""
    )
    assert done.code == 0
    assert recording.run().kind == "fit"


@pytest.fixture
def iris():
    from sklearn.datasets import load_iris

    return load_iris(return_X_y=True)
