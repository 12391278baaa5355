"""What the user's own classes do inside our hooks, and what notices do to the program."""

from __future__ import annotations

import logging
import signal
import time

import pytest
from sklearn.base import BaseEstimator
from sklearn.linear_model import RidgeCV
from sklearn.model_selection import KFold

import autolog

X, Y = [[0.0], [1.0], [2.0], [3.0]], [0, 1, 0, 1]


@pytest.fixture
def on(recording, monkeypatch):
    """autolog as a user has it: errors of hooks are counted."""
    monkeypatch.setenv("AUTOLOG_STRICT", "0")
    autolog.autolog("sklearn")
    return recording


def sites(name):
    return [site for site in autolog.status().sites if site.place.endswith(f"{name}.fit")]


@pytest.mark.edge_case("EC-R1")
@pytest.mark.parametrize("kind", [SystemExit, GeneratorExit])
@pytest.mark.parametrize("method", ["get_params", "__getstate__"])
def test_a_class_that_wants_to_leave_inside_our_hook_trains_to_its_end(on, method, kind):
    class Leaving(BaseEstimator):
        def fit(self, X, y):
            self.coef_ = 1
            return self

        def predict(self, X):
            return X

    def leave(self, *args, **kwargs):
        raise kind("leave")

    setattr(Leaving, method, leave)
    model = Leaving()
    assert model.fit(X, Y) is model
    assert (model.coef_, on.run().status) == (1, "FINISHED")
    assert any("leave" in error for error in on.run().logging_errors)


@pytest.mark.edge_case("EC-S8")
def test_models_that_cannot_be_saved_switch_nothing_off(on):
    for _ in range(5):
        RidgeCV(cv=KFold(2).split(X)).fit(X, Y)
    runs = on.runs()
    assert [run.status for run in runs] == ["FINISHED"] * 5
    assert all("cannot be pickled" in run.logging_errors[0] for run in runs)
    assert {(site.state, site.faults) for site in sites("RidgeCV")} == {("applied", 0)}
    [notice] = [one for one in autolog.status().notices if "RidgeCV cannot" in one.text]
    assert notice.key == "model_not_stored"
    assert notice.count >= 5


def test_a_timeout_of_the_users_is_met_wherever_it_strikes(on):
    class Slow(BaseEstimator):
        """Slow in our hook, as a large model is when it is saved."""

        def fit(self, X, y):
            return self

        def predict(self, X):
            return X

        def get_params(self, deep=True):
            time.sleep(5)
            return {}

    def expire(number, frame):
        raise TimeoutError("the user's")

    before = signal.signal(signal.SIGALRM, expire)
    try:
        signal.setitimer(signal.ITIMER_REAL, 0.1)
        with pytest.raises(TimeoutError, match="the user's"):
            Slow().fit(X, Y)
    finally:
        signal.setitimer(signal.ITIMER_REAL, 0)
        signal.signal(signal.SIGALRM, before)
    assert on.run().status != "FINISHED"
    assert autolog.active_run() is None


@pytest.mark.edge_case("EC-I13")
def test_a_notice_makes_no_logger_of_its_own(on, monkeypatch):
    monkeypatch.delitem(logging.root.manager.loggerDict, "autolog", raising=False)
    RidgeCV(cv=KFold(2).split(X)).fit(X, Y)
    assert "autolog" not in logging.root.manager.loggerDict


def test_a_notice_goes_to_the_logger_that_the_program_has_made(on, monkeypatch, caplog):
    monkeypatch.delitem(logging.root.manager.loggerDict, "autolog", raising=False)
    logging.getLogger("autolog").addHandler(logging.NullHandler())

    class NeverSaid(RidgeCV):
        """Another notice than those said before."""

    NeverSaid(cv=KFold(2).split(X)).fit(X, Y)
    assert any("NeverSaid cannot be pickled" in record.getMessage() for record in caplog.records)
