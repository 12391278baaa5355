"""What is on after which calls, and that off means off."""

from __future__ import annotations

import sys

import pytest

import autolog as package
from autolog import UsageError, autolog
from autolog.errors import IntegrationError, SettingsError, StoreError


def fit(data=((0.0,), (1.0,)), target=(0, 1), **params):
    from sklearn.linear_model import LogisticRegression

    return LogisticRegression(**params).fit(data, target)


def test_a_training_is_recorded_after_one_line(recording):
    autolog()
    fit(C=0.5)
    run = recording.run()
    assert (run.status, run.kind, run.params["C"]) == ("FINISHED", "fit", 0.5)
    assert run.name.startswith("LogisticRegression-")


def test_the_callable_carries_the_whole_public_surface():
    for name in package.__all__:
        assert getattr(autolog, name) is getattr(package, name)


@pytest.mark.edge_case("EC-I12")
def test_leaving_the_block_restores_what_was_before(recording):
    with autolog():
        fit()
        with autolog("sklearn", experiment="inner"):
            fit()
        fit()
    fit()
    assert [run.experiment == "inner" for run in recording.runs()] == [False, True, False]


@pytest.mark.edge_case("EC-I2")
def test_disable_leaves_no_attribute_patched_and_no_import_watched(recording):
    import sklearn.linear_model
    import sklearn.metrics
    from sklearn.base import BaseEstimator

    owners = [BaseEstimator, sklearn.linear_model.LogisticRegression, sklearn.metrics]

    def attributes() -> list[dict]:
        # copyreg keeps __slotnames__ on every class of which an instance was pickled.
        return [
            {key: value for key, value in vars(owner).items() if key != "__slotnames__"}
            for owner in owners
        ]

    before = attributes()
    code = sklearn.metrics.f1_score.__code__
    finders = list(sys.meta_path)
    autolog()
    fit()
    assert sklearn.metrics.f1_score.__code__ is not code
    package.disable()
    for old, new in zip(before, attributes(), strict=True):
        assert old.keys() == new.keys()
        assert all(old[key] is new[key] for key in old)
    assert sklearn.metrics.f1_score.__code__ is code
    assert sys.meta_path == finders
    assert not package.status().active
    assert not package.status().sites
    fit()
    assert len(recording.runs()) == 1


def test_suspension_is_reentrant(recording):
    autolog()
    with package.suspend():
        with package.suspend():
            fit()
        fit()
    fit()
    assert len(recording.runs()) == 1


@pytest.mark.edge_case("EC-N9")
def test_suspension_ends_with_an_exception_too(recording):
    autolog()
    with pytest.raises(RuntimeError), package.suspend():
        raise RuntimeError
    fit()
    assert len(recording.runs()) == 1


def test_an_excluded_framework_is_left_alone(recording):
    autolog(exclude=("scikit-learn",))
    fit()
    assert recording.runs() == []


def test_a_disabled_framework_is_left_alone(recording, monkeypatch):
    monkeypatch.setenv("AUTOLOG_DISABLED", "sklearn")
    autolog()
    fit()
    assert recording.runs() == []


def test_everything_is_disabled_by_a_one(recording, monkeypatch):
    monkeypatch.setenv("AUTOLOG_DISABLED", "1")
    autolog()
    fit()
    assert recording.runs() == []


def test_an_unknown_name_among_the_disabled_is_an_error_that_names_its_origin(
    recording, monkeypatch
):
    monkeypatch.setenv("AUTOLOG_DISABLED", "sklaern")
    with pytest.raises(SettingsError, match=r"AUTOLOG_DISABLED.*sklearn"):
        autolog()


def test_a_notice_is_said_once_and_once_to_each_run(recording):
    from autolog.tracking import notices

    with package.start_run() as run:
        for _ in range(3):
            notices.tell("kind", "this very text", run)
    assert len(recording.events("notice")) == 1
    (notice,) = [one for one in package.status().notices if one.text == "this very text"]
    assert notice.count == 3


def test_tags_and_experiment_hold_for_every_run(recording):
    autolog(experiment="digits/svm", tags={"team": "blue"})
    fit()
    run = recording.run()
    assert (run.experiment, run.tags["team"]) == ("digits/svm", "blue")


@pytest.mark.parametrize(
    ("mistake", "part"),
    [
        ({"log_model": True}, "Did you mean 'log_models'"),
        ({"disable": True}, "autolog.disable()"),
        ({"exclusive": True}, 'fits="children"'),
        ({"extra_tags": {}}, "tags={...}"),
        ({"max_tuning_runs": 3}, "sklearn={...}"),
        ({"log_models": "sometimes"}, "'sometimes'"),
        ({"max_model_mb": -1}, "max_model_mb=-1"),
        ({"sklearn": {"train_metric": True}}, "train_metric"),
        ({"sklearn": 3}, "expected a dictionary"),
        ({"store": "ftp://host/store"}, "ftp"),
    ],
)
def test_a_wrong_option_is_named_with_what_to_write(recording, mistake, part):
    with pytest.raises(UsageError) as caught:
        autolog(**mistake)
    assert part in str(caught.value)
    assert not package.status().active


def test_a_store_of_a_later_version_is_refused_by_name(recording):
    with pytest.raises(StoreError, match="databricks"):
        autolog(store="databricks://team")


def test_an_unknown_framework_is_named_with_the_nearest(recording):
    with pytest.raises(IntegrationError, match="Did you mean 'sklearn'"):
        autolog("sklaern")
    assert not package.status().active


def test_a_named_framework_that_is_missing_raises_and_a_bare_call_does_not(program):
    program(
        """
import sys
sys.modules["sklearn"] = None  # as if it were not installed
from autolog import autolog, IntegrationError
autolog()
try:
    autolog("sklearn")
except IntegrationError as error:
    assert "pip install scikit-learn" in str(error), error
else:
    raise AssertionError
"""
    )


def test_the_status_lists_sites_with_their_calls(recording):
    autolog()
    fit()
    fit()
    status = package.status()
    site = next(one for one in status.sites if one.place.endswith("LogisticRegression.fit"))
    assert (site.state, site.calls, site.faults) == ("applied", 2, 0)
    assert site.seconds > 0
    assert "sklearn" in str(status)


@pytest.mark.edge_case("EC-I13")
def test_handlers_hooks_and_logging_of_the_process_are_untouched(program):
    program(
        """
import logging, signal, sys, warnings
import sklearn.linear_model
def state():
    signals = [signal.getsignal(number) for number in (signal.SIGTERM, signal.SIGINT)]
    root = logging.getLogger()
    return (warnings.showwarning, sys.excepthook, signals, root.level, list(root.handlers),
            warnings.filters[:], sys.stdout, sys.stderr)
before = state()
from autolog import autolog, disable
autolog()
sklearn.linear_model.LinearRegression().fit([[0.0], [1.0]], [0, 1])
assert state() == before
"""
    )


LATE = """
from autolog import autolog
autolog(
    sklearn={"importances": False},
    xgboost={"importances": False},
    lightgbm={"importances": True},
)
import lightgbm, numpy, xgboost
from sklearn.linear_model import Ridge
X = numpy.arange(80.0).reshape(40, 2)
Ridge().fit(X, X[:, 0])
xgboost.train({"nthread": 1}, xgboost.DMatrix(X, label=X[:, 0]), 1)
lightgbm.train({"num_threads": 1, "verbosity": -1}, lightgbm.Dataset(X, X[:, 0]), 1)
"""


@pytest.mark.edge_case("EC-I14")
def test_each_integration_gets_its_own_options_when_its_framework_is_imported_later(
    recording, program
):
    program(LATE)
    tables = {
        run.tags["estimator"].partition(".")[0]: len(recording.events("table", run))
        for run in recording.runs()
    }
    assert tables == {"sklearn": 0, "xgboost": 0, "lightgbm": 1}
