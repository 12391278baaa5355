"""One leg of the comparison: what every estimator does and leaves behind, written as JSON.

    python leg.py ANSWER [autolog]

Both legs run in processes of their own, in the same order and with the same seeds; nothing of
what is compared comes from autolog, which is switched on before scikit-learn is imported.
"""

from __future__ import annotations

import copy
import gc
import hashlib
import json
import pickle
import random
import re
import sys
import traceback
import warnings
from contextlib import contextmanager
from pathlib import Path
from unittest import SkipTest

if sys.argv[2:] == ["autolog"]:
    from autolog import autolog

    autolog()

import numpy as np
from sklearn.base import BaseEstimator, ClassifierMixin, clone
from sklearn.utils._test_common.instance_generator import _construct_instances
from sklearn.utils.discovery import all_estimators
from sklearn.utils.estimator_checks import (
    _enforce_estimator_tags_X,
    _enforce_estimator_tags_y,
    check_estimator,
)

METHODS = (
    *("predict", "predict_proba", "predict_log_proba", "decision_function", "score_samples"),
    *("transform", "score", "fit_transform", "fit_predict", "inverse_transform"),
)


class Centroid(ClassifierMixin, BaseEstimator):
    """An estimator as users write them."""

    def __init__(self, shrink=0.0):
        self.shrink = shrink

    def fit(self, X, y):
        from sklearn.utils.validation import check_X_y

        X, y = check_X_y(X, y)
        self.classes_ = np.unique(y)
        self.means_ = np.array([X[y == one].mean(axis=0) for one in self.classes_])
        self.means_ *= 1 - self.shrink
        self.n_features_in_ = X.shape[1]
        if self.shrink > 1:
            warnings.warn("shrinks to the other side", stacklevel=2)
        return self

    def predict(self, X):
        distances = ((np.asarray(X)[:, None] - self.means_) ** 2).sum(axis=2)
        return self.classes_[distances.argmin(axis=1)]


def digest(data: bytes) -> str:
    return hashlib.sha256(data).hexdigest()[:16]


def plain(text: str) -> str:
    return re.sub("0x[0-9a-f]+", "0x", text)


def content(thing) -> str:
    """The bits of what a method gives."""
    if hasattr(thing, "toarray"):
        thing = thing.toarray()
    if isinstance(thing, np.ndarray) and thing.dtype != object:
        return f"{thing.dtype} {thing.shape} {digest(np.ascontiguousarray(thing).tobytes())}"
    return f"{type(thing).__name__} {digest(pickle.dumps(thing))}"


def timeless(model):
    """A copy without what differs between any two fits: durations, and an `id()`."""
    model = copy.copy(model)
    model.__dict__.pop("_stop_words_id", None)
    model.__dict__.pop("refit_time_", None)
    if "cv_results_" in vars(model):
        kept = {key: value for key, value in model.cv_results_.items() if "_time" not in key}
        model.cv_results_ = kept
    return model


def states() -> str:
    name, keys, *rest = np.random.get_state()
    return digest(repr((name, keys.tobytes(), rest, random.getstate())).encode())


@contextmanager
def noting(found):
    """Note the warnings and the exception of a block."""
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always")
        try:
            yield
        except Exception as error:
            found["error"] = failure(error)
    found["warnings"] = [
        (one.category.__name__, plain(str(one.message)), one.filename, one.lineno) for one in caught
    ]


def failure(error):
    frames = [
        (frame.filename, frame.lineno, frame.name)
        for frame in traceback.extract_tb(error.__traceback__)
        if "autolog engine" not in frame.filename
    ]
    chain = [type(one).__name__ for one in (error.__cause__, error.__context__) if one]
    notes = getattr(error, "__notes__", [])
    return (type(error).__name__, plain(str(error)), frames, chain, notes)


def bad_calls(model, X, y):
    def with_nan():
        worse = np.array(X, dtype=float)
        worse.flat[0] = np.nan
        return worse

    return {
        "nan": lambda: model.fit(with_nan(), y),
        "lengths": lambda: model.fit(X, y[:-1]),
        "none": lambda: model.fit(None, None),
        "no arguments": lambda: model.fit(),
        "unknown argument": lambda: model.fit(X, y, unknown_argument=1),
        "one dimension": lambda: model.fit(X[:, 0], y),
    }


def observed(model) -> dict:
    found = {}
    np.random.seed(0)
    random.seed(0)
    rng = np.random.RandomState(0)
    X = _enforce_estimator_tags_X(model, rng.uniform(size=(36, 4)) + 0.1)
    y = _enforce_estimator_tags_y(model, np.arange(36) % 3)
    with noting(found):
        result = model.fit(X, y)
        found["returns itself"] = result is model
        found["referrers"] = len(gc.get_referrers(model))
        found["random state"] = states()
        found["attributes"] = list(vars(model))
        for name in METHODS:
            if hasattr(model, name):
                given = (X, y) if name in ("score", "fit_transform", "fit_predict") else (X,)
                one = found[name] = {}
                with noting(one):
                    one["gives"] = content(getattr(model, name)(*given))
        found["attributes at the end"] = list(vars(model))
    with noting(again := {}):
        again["pickle"] = digest(pickle.dumps(timeless(model)))
        again["pickle of the unfitted"] = digest(pickle.dumps(clone(model)))
        again["params"] = plain(repr(model.get_params()))
        again["repr"] = plain(repr(model))
    found["again"] = again
    for name, call in bad_calls(clone(model), X, y).items():
        one = found[f"bad: {name}"] = {}
        with noting(one):
            call()
    found["random state at the end"] = states()
    return found


def estimators() -> dict:
    found = {}
    for name, cls in all_estimators():
        try:
            model = next(_construct_instances(cls))
        except SkipTest:  # it wraps a fitted model
            continue
        found[name] = observed(model)
    found["Centroid"] = observed(Centroid(shrink=1.5))
    return found


def checks() -> dict:
    """What scikit-learn's own checks say of some estimators of every kind."""
    from sklearn.cluster import KMeans
    from sklearn.linear_model import Ridge, SGDClassifier
    from sklearn.pipeline import make_pipeline
    from sklearn.preprocessing import StandardScaler
    from sklearn.tree import DecisionTreeClassifier

    models = (
        Centroid(),
        Ridge(),
        SGDClassifier(max_iter=5, tol=None),
        DecisionTreeClassifier(),
        KMeans(n_init=1, max_iter=5),
        StandardScaler(),
        make_pipeline(StandardScaler(), Ridge()),
    )
    found = {}
    for model in models:
        with noting(one := {}):
            one["checks"] = [
                (check["check_name"], check["status"], plain(repr(check["exception"])))
                for check in check_estimator(model, on_skip=None, on_fail=None)
            ]
        found[type(model).__name__] = one
    return found


if __name__ == "__main__":
    answer = {"estimators": estimators(), "checks": checks()}
    if sys.argv[2:] == ["autolog"]:
        from autolog import status

        answer["faults"] = [one.text for one in status().notices if one.key == "logging_error"]
    Path(sys.argv[1]).write_text(json.dumps(answer))
