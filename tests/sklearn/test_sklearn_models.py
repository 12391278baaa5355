"""What is stored of fitted models, and that they come back as they were."""

from __future__ import annotations

import pickle

import numpy as np
import pandas as pd
import polars as pl
import pyarrow as pa
import pytest
from click.testing import CliRunner
from scipy import sparse
from sklearn.base import BaseEstimator, RegressorMixin
from sklearn.cluster import Birch
from sklearn.datasets import load_iris
from sklearn.ensemble import BaggingClassifier, RandomForestClassifier, VotingClassifier
from sklearn.gaussian_process import GaussianProcessRegressor
from sklearn.linear_model import LogisticRegression, Ridge
from sklearn.model_selection import GridSearchCV
from sklearn.multiclass import OneVsRestClassifier
from sklearn.neighbors import KNeighborsClassifier
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler
from sklearn.svm import SVC
from sklearn.utils.discovery import all_estimators

import autolog
from autolog import ModelError
from autolog.artifacts.blobs import BlobFolder
from autolog.artifacts.loading import convert, load
from autolog.artifacts.repository import Repository
from autolog.artifacts.staging import stage
from autolog.cli.commands import cli
from autolog.entities import Artifact, Model
from autolog_sklearn import models
from tests.sklearn.every_estimator import answers, fitted

X, Y = load_iris(return_X_y=True)
NAMES = [name for name, _ in all_estimators()]
NOT_IN_SKOPS = {"Birch": "UnsupportedTypeException"}


class Mean(RegressorMixin, BaseEstimator):
    """An estimator of a package of the user's, which other processes can import."""

    def fit(self, X, y):
        self.mean_ = float(np.mean(y))
        return self

    def predict(self, X):
        return np.full(len(X), self.mean_)


def stored(model, folder):
    """Stage a model; return what the store would know of it, and where it lies."""
    (item,) = stage(model, BlobFolder(folder), limit=1 << 30).files.items()
    name, blob = item
    file = Artifact(path=f"model/{name}", size=blob.size, sha256=blob.sha256, uri=blob.uri)
    known = Model(
        name="model",
        format="pickle",
        safe=False,
        size=blob.size,
        files=[file],
        manifest={"convert_to": "skops"},
    )
    return known, Repository(folder)


@pytest.mark.filterwarnings("ignore::FutureWarning")  # of estimators that are deprecated
@pytest.mark.parametrize("name", NAMES)
def test_every_estimator_computes_the_same_bits_when_it_is_loaded(name, tmp_path):
    model, data = fitted(name)
    expected = answers(model, data)
    staged, repository = stored(model, tmp_path)
    assert answers(load(staged, repository, own=True), data) == expected
    if name in NOT_IN_SKOPS:
        with pytest.raises(ModelError, match=NOT_IN_SKOPS[name]):
            convert(staged, model, repository)
        return
    safe = convert(staged, model, repository)
    assert (safe.format, safe.safe, "unknown_types" in safe.manifest) == ("skops", True, False)
    assert answers(load(safe, repository, own=False, trusted=[]), data) == expected


def test_types_of_the_users_packages_are_constructed_only_when_they_are_named(recording):
    autolog.autolog()
    Mean().fit(X, Y)
    run = autolog.last_run().run_id
    autolog.load_model(run)
    name = f"{Mean.__module__}.Mean"
    (safe,) = [one for one in recording.details().models if one.format == "skops"]
    assert safe.manifest["unknown_types"] == [name]
    with pytest.raises(ModelError, match="as safe: " + name + r".*trusted=\['" + name):
        autolog.load_model(run, trusted=[])
    assert autolog.load_model(run, trusted=[name]).predict(X[:2]).tolist() == [1.0, 1.0]


def test_a_safe_load_does_not_read_a_pickle(recording):
    autolog.autolog()
    Ridge().fit(X, Y)
    run = autolog.last_run().run_id
    with pytest.raises(ModelError, match="stored as a pickle alone"):
        autolog.load_model(run, trusted=[])
    autolog.load_model(run)
    file = next(one.files[0] for one in recording.details().models if one.format == "pickle")
    (recording.folder / "artifacts" / file.uri).write_bytes(b"no pickle")
    loaded = autolog.load_model(run, trusted=[])
    assert np.array_equal(loaded.predict(X), Ridge().fit(X, Y).predict(X))


def test_a_model_that_no_safe_format_holds_says_so_in_show(recording, monkeypatch):
    autolog.autolog()
    Birch(n_clusters=3).fit(X)
    run = autolog.last_run()
    for _ in range(2):
        autolog.load_model(run)
    (model,) = recording.details().models
    assert model.manifest["not_converted"].startswith("skops: UnsupportedTypeException: ")
    shown = CliRunner().invoke(cli, ["show", run.run_id]).output
    assert "model is kept as a pickle alone: skops: UnsupportedTypeException" in shown


OWN_CLASS = """
import sys
import numpy as np
from autolog import autolog
autolog()
from sklearn.base import BaseEstimator, RegressorMixin
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import FunctionTransformer

class Scaled(RegressorMixin, BaseEstimator):
    def fit(self, X, y):
        self.factor_ = float(np.sum(y) / np.sum(X))
        return self
    def predict(self, X):
        return X[:, 0] * self.factor_
    def __getstate__(self):
        print("asked for its state")
        return super().__getstate__()

X = np.arange(1.0, 9.0).reshape(4, 2)
make_pipeline(FunctionTransformer(lambda data: data * 2), Scaled()).fit(X, X[:, 0])
"""


@pytest.mark.edge_case("EC-D10")
def test_a_class_of_the_script_is_asked_once_and_loads_elsewhere(recording, program):
    assert program(OWN_CLASS).out == "asked for its state\n"
    data = np.arange(1.0, 9.0).reshape(4, 2)
    loaded = autolog.load_model(recording.run().run_id)
    factor = data[:, 0].sum() / (2 * data).sum()
    assert loaded.predict(data).tolist() == ((2 * data)[:, 0] * factor).tolist()
    (model,) = recording.details().models
    assert "code of the training script" in model.manifest["not_converted"]


# --- what holds training rows ------------------------------------------------------------------

NEIGHBOURS = KNeighborsClassifier(algorithm="brute")


@pytest.mark.parametrize(
    ("model", "holds"),
    [
        (NEIGHBOURS, True),
        (SVC(), True),
        (GaussianProcessRegressor(optimizer=None), True),
        (make_pipeline(StandardScaler(), NEIGHBOURS), True),
        (make_pipeline(NEIGHBOURS.__class__(), "passthrough"), True),
        (BaggingClassifier(NEIGHBOURS, n_estimators=2), True),
        (OneVsRestClassifier(SVC()), True),
        (VotingClassifier([("a", LogisticRegression(max_iter=500)), ("b", NEIGHBOURS)]), True),
        (GridSearchCV(NEIGHBOURS, {"n_neighbors": [1, 2]}, cv=2), True),
        (LogisticRegression(max_iter=500), False),
        (RandomForestClassifier(30), False),
        (make_pipeline(StandardScaler(), Ridge()), False),
    ],
    ids=lambda value: type(value).__name__,
)
def test_a_model_that_holds_training_rows_is_known_wherever_they_are(model, holds):
    if "passthrough" not in str(model):
        model.fit(X, Y)
    assert models.contains_data(model) is holds


def test_a_pipeline_that_holds_many_training_rows_is_kept_only_where_it_is_asked_for(recording):
    autolog.autolog()
    rows = np.zeros((250_000, 9))
    rows[::2] = 1.0
    model = make_pipeline(StandardScaler(), NEIGHBOURS)
    model.fit(rows, rows[:, 0].astype(int))
    assert recording.details().models == []
    (notice,) = recording.events("notice")
    assert 'holds training rows and was not stored; autolog(log_models="always")' in notice["text"]
    autolog.autolog(log_models="always")
    model.fit(rows, rows[:, 0].astype(int))
    (stored,) = recording.details(recording.runs()[-1]).models
    assert stored.manifest["contains_data"] is True


# --- the signature -----------------------------------------------------------------------------

FRAME = pd.DataFrame({"a": [1.0, 2.0, 3.0], "b": pd.Categorical(["x", "y", "x"])})


@pytest.mark.parametrize(
    ("data", "expected"),
    [
        (X, {"shape": [150, 4], "dtype": "float64"}),
        (X.tolist(), {"shape": [150, 4]}),
        (FRAME, {"shape": [3, 2], "dtypes": ["float64", "category"]}),
        (FRAME["a"], {"shape": [3], "dtype": "float64"}),
        (pl.DataFrame({"a": [1, 2]}), {"shape": [2, 1], "dtypes": ["Int64"]}),
        (
            pa.table({"a": [1, 2], "b": ["x", "y"]}),
            {"shape": [2, 2], "dtypes": ["int64", "string"]},
        ),
        (sparse.csr_matrix(X), {"shape": [150, 4], "dtype": "float64"}),
        (object(), {"shape": None}),
    ],
    ids=lambda value: type(value).__name__,
)
def test_the_signature_says_what_a_model_takes(data, expected):
    assert models.signature(Ridge(), data, None)["inputs"] == expected


def test_the_signature_says_what_a_model_gives():
    model = LogisticRegression(max_iter=500).fit(pd.DataFrame(X, columns=list("abcd")), Y)
    said = models.signature(make_pipeline(StandardScaler(), model), X, Y)
    assert said["outputs"] == {"shape": [150], "dtype": "int64", "classes": [0, 1, 2]}
    assert models.signature(model, X, Y)["inputs"]["columns"] == list("abcd")


@pytest.mark.parametrize(
    ("data", "expected"),
    [
        (X, X[:2].tolist()),
        (X.tolist(), X[:2].tolist()),
        (FRAME, [[1.0, "x"], [2.0, "y"]]),
        (pl.DataFrame({"a": [1, 2, 3]}), [(1,), (2,)]),
        (pa.table({"a": [1, 2, 3]}), [{"a": 1}, {"a": 2}]),
        (sparse.csr_matrix(X), X[:2].tolist()),
        (object(), None),
    ],
    ids=lambda value: type(value).__name__,
)
def test_an_example_is_the_first_rows_as_plain_values(data, expected):
    assert models.example(data, 2) == expected


def test_the_pickle_of_a_stored_model_is_the_one_of_an_unwatched_model(recording):
    plain = pickle.dumps(Ridge().fit(X, Y), 5)
    autolog.autolog()
    Ridge().fit(X, Y)
    file = recording.details().models[0].files[0]
    assert (recording.folder / "artifacts" / file.uri).read_bytes() == plain


@pytest.mark.edge_case("EC-D7")
def test_an_example_is_stored_only_on_request_and_shows_what_was_given_to_fit(recording):
    class Spoils(Mean):
        def fit(self, X, y):
            X[:] = 0.0
            return super().fit(X, y)

    autolog.autolog()
    Mean().fit(X, Y)
    autolog.autolog(sklearn={"input_example": 2})
    Spoils().fit(X.copy(), Y)
    plain, asked = (recording.details(run).models[0].manifest for run in recording.runs())
    assert "example" not in plain["signature"]["inputs"]
    assert asked["signature"]["inputs"]["example"] == X[:2].tolist()


@pytest.mark.parametrize("rows", [-1, 1000, True, "2"])
def test_an_example_of_no_sensible_size_is_refused(recording, rows):
    with pytest.raises(autolog.UsageError, match="input_example"):
        autolog.autolog(sklearn={"input_example": rows})
