"""Why fits are not followed through `sklearn.callback` (scikit-learn 1.9 and later).

These are the facts that docs/compatibility.md names: once one of them changes, a strategy of the
matrix may take the callbacks up.
"""

from __future__ import annotations

import pickle

import pytest
from sklearn.base import clone
from sklearn.datasets import load_iris
from sklearn.linear_model import LogisticRegression

import autolog

callback = pytest.importorskip("sklearn.callback", reason="callbacks came with scikit-learn 1.9")

X, Y = load_iris(return_X_y=True)


class Follows:
    """A callback that notes what the tasks of a fit know."""

    def __init__(self):
        self.known = []

    def setup(self, estimator, context):
        pass

    def teardown(self, estimator, context):
        pass

    def on_fit_task_begin(self, estimator, context, *, fitted_estimator=None):
        pass

    def on_fit_task_end(self, estimator, context, *, fitted_estimator=None):
        if context.task_name == "lbfgs-iter" and fitted_estimator is not None:
            self.known.append(set(vars(fitted_estimator)) - set(vars(estimator)))


def test_a_callback_stays_in_the_estimator_its_clones_and_its_pickles():
    model = LogisticRegression().set_callbacks(Follows())
    assert "_skl_callbacks" in vars(model)
    assert "_skl_callbacks" in vars(clone(model))
    assert b"Follows" in pickle.dumps(model)
    assert pickle.dumps(model) != pickle.dumps(LogisticRegression())


def test_an_iteration_tells_its_coefficients_and_no_loss():
    follows = Follows()
    model = LogisticRegression(max_iter=300).set_callbacks(follows).fit(X, Y)
    assert len(follows.known) == model.n_iter_[0]
    assert all(not known - {"coef_", "intercept_"} for known in follows.known)


def test_the_users_own_callbacks_are_left_as_they_are(recording):
    autolog.autolog()
    follows = Follows()
    model = LogisticRegression(max_iter=300).set_callbacks(follows).fit(X, Y)
    assert vars(model)["_skl_callbacks"] == [follows]
    assert len(follows.known) == model.n_iter_[0]
    run = recording.run()
    assert run.metrics["n_iter"] == model.n_iter_[0]
    assert "_skl_callbacks" not in run.params
