"""`partial_fit` and `warm_start`: trainings that are made of several calls."""

from __future__ import annotations

import gc
import pickle
import threading
import weakref

import numpy as np
import pytest
from sklearn.base import BaseEstimator, ClassifierMixin
from sklearn.cluster import MiniBatchKMeans
from sklearn.datasets import load_iris
from sklearn.decomposition import IncrementalPCA
from sklearn.ensemble import GradientBoostingClassifier, RandomForestClassifier
from sklearn.linear_model import Ridge, SGDClassifier
from sklearn.metrics import accuracy_score
from sklearn.model_selection import GridSearchCV
from sklearn.multiclass import OneVsRestClassifier
from sklearn.naive_bayes import GaussianNB
from sklearn.neural_network import MLPClassifier
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler

import autolog

X, Y = load_iris(return_X_y=True)
CLASSES = np.unique(Y)


@pytest.fixture(autouse=True)
def _on(recording):
    autolog.autolog()


def steps(model, count, **arguments):
    for part in np.array_split(np.arange(150), count):
        model.partial_fit(X[part], Y[part], classes=CLASSES, **arguments)
    return model


def statuses(recording):
    return [run.status for run in recording.runs()]


class Counts(ClassifierMixin, BaseEstimator):
    """An estimator of the user's that is trained in parts."""

    def __init__(self, fails_at=None):
        self.fails_at = fails_at

    def partial_fit(self, X, y, classes=None):
        self.calls_ = getattr(self, "calls_", 0) + 1
        if self.calls_ == self.fails_at:
            raise RuntimeError("the disk is gone")
        return self

    def fit(self, X, y):
        self.calls_ = 0
        return self.partial_fit(X, y)

    def predict(self, X):
        return np.zeros(len(X), int)


# --- one run with steps ------------------------------------------------------------------------


@pytest.mark.edge_case("EC-S4")
def test_calls_of_partial_fit_are_steps_of_one_run(recording):
    model = steps(SGDClassifier(alpha=0.01, random_state=0), 5)
    run = recording.run()
    assert (run.kind, run.status, run.params["alpha"]) == ("fit", "RUNNING", 0.01)
    samples = autolog.metric_history(run.run_id, "samples_seen")
    assert samples.step.tolist() == [0, 1, 2, 3, 4]
    assert samples.value.tolist() == [30, 60, 90, 120, 150]
    assert autolog.metric_history(run.run_id, "t").value[-1] == model.t_
    seconds = autolog.metric_history(run.run_id, "fit_seconds").value
    assert (np.diff(seconds) > 0).all()


def test_the_run_ends_with_its_last_step_when_the_estimator_is_gone(recording):
    model = steps(GaussianNB(), 3)
    expected = model.predict(X)
    last = weakref.ref(model)
    del model
    gc.collect()
    assert last() is None
    run = recording.run()
    assert run.status == "FINISHED"
    assert np.array_equal(autolog.load_model(run.run_id).predict(X), expected)
    times = autolog.metric_history(run.run_id, "samples_seen").timestamp
    assert 0 <= run.end_time - times[-1] // 1000 < 50


def test_the_model_of_an_estimator_that_is_gone_is_reported_where_it_cannot_be_stored(recording):
    steps(Counts(), 2)
    gc.collect()
    run = recording.run()
    assert (run.status, recording.details().models) == ("FINISHED", [])
    assert "end_run()" in recording.events("notice")[0]["text"]


def test_end_run_ends_it_with_its_model_and_no_run_is_active_meanwhile(recording):
    model = steps(Counts(), 3)
    assert autolog.active_run() is None
    autolog.end_run()
    assert recording.run().status == "FINISHED"
    assert autolog.load_model(autolog.last_run()).calls_ == model.calls_


def test_a_step_after_the_end_goes_on_in_the_run(recording):
    model = steps(Counts(), 2)
    autolog.end_run()
    steps(model, 2)
    run = recording.run()
    assert run.status == "RUNNING"
    assert autolog.metric_history(run.run_id, "calls").step.tolist() == [0, 1, 2, 3]
    autolog.end_run()
    assert recording.run().status == "FINISHED"
    assert autolog.load_model(run.run_id).calls_ == 4


def test_the_model_is_stored_once_not_with_each_step(recording):
    steps(SGDClassifier(), 30)
    gc.collect()
    assert len(recording.details().models) == 1


@pytest.mark.edge_case("EC-R4")
@pytest.mark.parametrize(
    ("end", "status"), [("", "FINISHED"), ("raise ValueError('bad')", "FAILED")]
)
def test_a_run_that_is_open_at_the_end_of_the_process_has_its_model_and_state(
    recording, program, end, status
):
    program(
        f"""
from autolog import autolog
autolog()
import numpy as np
from sklearn.naive_bayes import GaussianNB
model = GaussianNB()
for number in range(3):
    model.partial_fit([[0.0], [1.0 + number]], [0, 1], classes=[0, 1])
{end}
""",
        check=False,
    )
    run = recording.run()
    assert run.status == status
    assert autolog.load_model(run.run_id).predict([[0.0]]).tolist() == [0]


def test_another_training_of_the_thread_ends_it(recording):
    model = steps(Counts(), 2)
    Ridge().fit(X, Y)
    assert statuses(recording) == ["FINISHED", "FINISHED"]
    steps(model, 1)
    Ridge().fit(X, Y)  # the two alternate: the run is left open from here on
    assert statuses(recording) == ["RUNNING", "FINISHED", "FINISHED"]


def test_estimators_that_are_trained_in_turn_have_a_run_each(recording):
    first, second = Counts(), SGDClassifier()
    for _ in range(4):
        steps(first, 1)
        steps(second, 1)
    runs = recording.runs()
    assert len(runs) == 2
    for run in runs:
        assert len(autolog.metric_history(run.run_id, "samples_seen")) == 4
    autolog.end_run()
    assert statuses(recording) == ["FINISHED", "FINISHED"]


@pytest.mark.edge_case("EC-R1", "EC-R2")
def test_a_step_that_raises_ends_the_run_as_failed_and_a_good_one_reopens_it(recording):
    model = steps(Counts(fails_at=2), 1)
    with pytest.raises(RuntimeError, match="disk"):
        steps(model, 1)
    assert (recording.run().status, autolog.active_run()) == ("FAILED", None)
    assert "disk" in recording.details().error
    steps(model, 1)
    autolog.end_run()
    assert recording.run().status == "FINISHED"


def test_disabling_ends_it(recording):
    model = steps(Counts(), 1)
    autolog.disable()
    assert recording.run().status == "FINISHED"
    steps(model, 1)
    assert autolog.load_model(recording.run().run_id).calls_ == 1


def test_evaluations_and_logs_between_the_steps_carry_the_step(recording):
    X_test, y_test = X[::3], Y[::3]
    model = SGDClassifier(random_state=0)
    scores = []
    for _ in range(3):
        model.partial_fit(X, Y, classes=CLASSES)
        if model.t_ > 160:  # not after the first step
            scores.append(accuracy_score(y_test, model.predict(X_test)))
        autolog.log_metric("mine", len(scores))
    for number in range(3):
        autolog.log_metric("later", number)
    run = recording.run()
    history = autolog.metric_history(run.run_id, "test/accuracy")
    assert (history.value.tolist(), history.step.tolist()) == (scores, [1, 2])
    assert autolog.metric_history(run.run_id, "later").step.tolist() == [2, 3, 4]
    assert autolog.metric_history(run.run_id, "mine").step.tolist() == [0, 1, 2]
    assert history.context[0].get("phase", "fit") == "fit"


@pytest.mark.edge_case("EC-T1")
def test_steps_from_several_threads_are_of_one_run(recording):
    def train():
        model, lock = Counts(), threading.Lock()

        def work():
            for _ in range(5):
                with lock:
                    steps(model, 1)

        threads = [threading.Thread(target=work) for _ in range(4)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()

    train()
    gc.collect()
    run = recording.run()
    assert sorted(autolog.metric_history(run.run_id, "calls").step) == list(range(20))
    assert run.status == "FINISHED"


# --- and other trainings -----------------------------------------------------------------------


def test_a_fit_begins_anew_and_a_step_after_it_goes_on_from_it(recording):
    model = steps(Counts(), 2)
    model.fit(X, Y)
    steps(model, 2)
    first, second, third = recording.runs()
    assert (first.status, second.status, third.status) == ("FINISHED", "FINISHED", "RUNNING")
    assert autolog.load_model(first.run_id).calls_ == 2
    assert "resumed_from" not in second.tags
    assert third.tags["resumed_from"] == second.run_id


def test_a_partial_fit_inside_a_fit_is_no_run(recording):
    Counts().fit(X, Y)
    OneVsRestClassifier(SGDClassifier()).fit(X, Y)
    make_pipeline(StandardScaler(), SGDClassifier()).fit(X, Y)
    GridSearchCV(Counts(), {"fails_at": [None, 7]}, cv=2).fit(X, Y)
    roots = [run for run in recording.runs() if run.depth == 0]
    assert [run.name.rpartition("-")[0] for run in roots] == [
        "Counts",
        "OneVsRestClassifier",
        "Pipeline",
        "GridSearchCV",
    ]


@pytest.mark.edge_case("EC-T10")
def test_a_partial_fit_of_a_meta_estimator_is_one_run(recording):
    import joblib

    model = OneVsRestClassifier(SGDClassifier(), n_jobs=2)
    with joblib.parallel_backend("threading"):
        steps(model, 2)
    run = recording.run()
    assert run.name.startswith("OneVsRestClassifier")
    assert run.params["estimator__alpha"] == 0.0001


def test_in_the_users_run_steps_join_it_and_the_model_is_there_at_its_end(recording):
    with autolog.start_run("mine") as mine:
        model = steps(SGDClassifier(), 3)
        assert autolog.active_run() is mine
        other = steps(Counts(), 2)
    steps(model, 1)
    first, second, third = recording.runs()
    assert (first.run_id, first.status) == (mine.run_id, "FINISHED")
    assert len(autolog.metric_history(first.run_id, "samples_seen")) == 3
    assert len(recording.details(first).models) == 1
    assert second.parent_id == mine.run_id
    assert second.params["fails_at"] is None
    assert third.tags["resumed_from"] == mine.run_id
    del other


def test_a_child_in_the_users_run_ends_with_it(recording):
    with autolog.start_run(fits="children"):
        first, second = steps(Counts(), 2), steps(Counts(), 1)
    assert statuses(recording) == ["FINISHED"] * 3
    del first, second


def test_a_users_run_around_a_step_wins(recording):
    model = steps(Counts(), 2)
    with autolog.start_run("mine"):
        steps(model, 2)
    first, mine = recording.runs()
    assert (first.status, mine.name) == ("FINISHED", "mine")
    assert mine.tags["resumed_from"] == first.run_id
    assert len(autolog.metric_history(mine.run_id, "calls")) == 2


def test_a_transformer_in_parts_is_one_step_of_the_training(recording):
    scaler, reducer = StandardScaler(), IncrementalPCA(2, batch_size=50)
    for part in np.array_split(X, 3):
        scaler.partial_fit(part)
    reducer.fit(scaler.transform(X))
    assert recording.runs() == []
    Ridge().fit(reducer.transform(scaler.transform(X)), Y)
    first, second = recording.events("preparation")
    assert (first["method"], first["calls"], second["method"]) == ("partial_fit", 3, "fit")
    assert second["class"].endswith("IncrementalPCA")


def test_a_preparation_that_each_step_repeats_is_recorded_once(recording):
    scaler, model = StandardScaler(), SGDClassifier()
    for part in np.array_split(np.random.default_rng(0).permutation(150), 4):
        scaler.partial_fit(X[part])
        model.partial_fit(scaler.transform(X[part]), Y[part], classes=CLASSES)
    assert len(recording.events("preparation")) == 1


def test_a_clusterer_without_a_target_is_trained_in_parts(recording):
    model = MiniBatchKMeans(3, random_state=0, n_init=1)
    for part in np.array_split(X, 3):
        model.partial_fit(part)
    assert recording.run().metrics["samples_seen"] == 150


@pytest.mark.edge_case("EC-D9", "EC-D10", "EC-D12")
def test_a_training_in_parts_is_the_same_with_and_without(recording):
    def train():
        np.random.seed(0)
        model = steps(MLPClassifier((4,)), 3)
        return pickle.dumps(model), sorted(vars(model)), np.random.get_state()[1].tobytes()

    watched = train()
    with autolog.suspend():
        assert train() == watched


@pytest.mark.edge_case("EC-D12")
def test_no_training_in_parts_is_kept_alive(recording):
    from autolog.capture import kept

    before, alive = len(kept._entries), []
    for number in range(20):
        model = steps(SGDClassifier(random_state=number), 2)
        alive += [weakref.ref(model), weakref.ref(model.coef_)]
    predicted = model.predict(X)
    del model
    gc.collect()
    assert not [reference for reference in alive if reference() is not None]
    assert len(kept._entries) == before
    assert set(statuses(recording)) == {"FINISHED"}
    del predicted


def test_a_forked_child_leaves_the_training_to_its_parent(recording, program):
    program(
        """
import os
from autolog import autolog
autolog()
from sklearn.naive_bayes import GaussianNB
model = GaussianNB()
model.partial_fit([[0.0], [1.0]], [0, 1], classes=[0, 1])
pid = os.fork()
if pid == 0:
    model = None
    os._exit(0)
os.waitpid(pid, 0)
model.partial_fit([[0.0], [1.0]], [0, 1])
"""
    )
    run = recording.run()
    assert run.status == "FINISHED"
    assert autolog.metric_history(run.run_id, "samples_seen").value.tolist() == [2, 4]


# --- warm start --------------------------------------------------------------------------------


def test_a_warm_start_is_linked_and_its_series_go_on(recording):
    model = MLPClassifier((4,), warm_start=True, max_iter=20, random_state=0, n_iter_no_change=99)
    with pytest.warns(Warning, match="Maximum iterations"):
        model.fit(X, Y)
    with pytest.warns(Warning, match="Maximum iterations"):
        model.set_params(max_iter=25).fit(X, Y)
    first, second = recording.runs()
    assert second.tags["resumed_from"] == first.run_id
    begun = autolog.metric_history(first.run_id, "loss_curve")
    went_on = autolog.metric_history(second.run_id, "loss_curve")
    assert begun.value.tolist() + went_on.value.tolist() == model.loss_curve_
    assert begun.step.tolist() + went_on.step.tolist() == list(range(len(model.loss_curve_)))


def test_a_warm_start_in_the_users_run_writes_no_point_twice(recording):
    with autolog.start_run():
        model = GradientBoostingClassifier(n_estimators=3, warm_start=True).fit(X, Y)
        model.set_params(n_estimators=5).fit(X, Y)
    run = recording.run()
    history = autolog.metric_history(run.run_id, "train_score")
    assert history.step.tolist() == [0, 1, 2, 3, 4]
    assert history.value.tolist() == model.train_score_.tolist()
    assert run.params["fit.2.n_estimators"] == 5


def test_a_warm_start_of_a_model_from_elsewhere_has_its_whole_series(recording):
    with autolog.suspend():
        model = GradientBoostingClassifier(n_estimators=3, warm_start=True).fit(X, Y)
    model.set_params(n_estimators=5).fit(X, Y)
    run = recording.run()
    assert "resumed_from" not in run.tags
    assert len(autolog.metric_history(run.run_id, "train_score")) == 5


def test_a_series_that_began_anew_is_recorded_from_its_beginning(recording):
    model = GradientBoostingClassifier(n_estimators=5).fit(X, Y)
    model.set_params(n_estimators=3, warm_start=False).fit(X, Y)
    second = recording.runs()[1]
    assert len(autolog.metric_history(second.run_id, "train_score")) == 3


def test_a_pipeline_goes_on_where_its_last_step_does(recording):
    model = make_pipeline(
        StandardScaler(), RandomForestClassifier(2, warm_start=True, random_state=0)
    )
    model.fit(X, Y)
    model.set_params(randomforestclassifier__n_estimators=4).fit(X, Y)
    first, second = recording.runs()
    assert second.tags["resumed_from"] == first.run_id
