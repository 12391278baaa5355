"""Spans that an integration opens itself, and that close where nobody expects it."""

from __future__ import annotations

import contextvars
import threading

import pytest

import autolog
from autolog.capture import activation, spans


@pytest.fixture
def capture(recording):
    """What the scikit-learn integration's hooks get."""
    import sklearn.base  # noqa: F401

    autolog.autolog()
    return activation.attachments()[0]._capture("sklearn")


def test_a_training_opened_by_hand_is_a_run_with_the_steps_before_it(recording, capture):
    from sklearn.preprocessing import StandardScaler

    StandardScaler().fit([[0.0], [1.0]])
    span = capture.open("training", "loop", object(), "Loop")
    assert autolog.active_run().run_id == span.run_id
    span.metrics({"loss": 0.5}, step=1)
    span.end()
    run = recording.run()
    assert (run.kind, run.status, run.metrics) == ("loop", "FINISHED", {"loss": 0.5})
    assert len(recording.events("preparation")) == 1
    autolog.log_metric("after", 1)
    assert "after" in recording.run().metrics


def test_a_span_ends_with_the_status_that_it_is_given(recording, capture):
    capture.open("training", "loop", object(), "Loop").end("FAILED")
    assert recording.run().status == "FAILED"


def test_a_span_that_ends_in_another_context_is_gone_from_all(recording, capture):
    span = capture.open("training", "loop", object(), "Loop")
    thread = threading.Thread(target=contextvars.Context().run, args=(span.end,))
    thread.start()
    thread.join()
    assert spans.stack() == ()
    assert not spans.open_anywhere()
    assert capture.current() is None
    assert recording.run().status == "FINISHED"


def test_a_callback_that_raises_never_reaches_the_framework(recording, capture, monkeypatch):
    activation.engine.strict = False
    calls = []

    def broken(number: int) -> None:
        calls.append(number)
        raise RuntimeError("broken callback")

    guarded = capture.guarded(broken)
    for number in range(5):
        guarded(number)
    assert calls == [0, 1, 2]
    assert any("broken callback" in notice.text for notice in autolog.status().notices)


# --- trainings that are kept open ------------------------------------------------------------


class Loop:
    """Something that is trained without a call."""


def test_a_step_opens_a_span_that_the_next_step_goes_on_in(recording, capture):
    loop, ended = Loop(), []
    span = capture.open("step", "loop", loop, "Loop")
    span.at_end(lambda: ended.append(span.run_id))
    assert capture.current() is span
    span.keep(loop)
    assert (capture.current(), autolog.active_run()) == (None, None)
    span.metrics({"loss": 0.5}, step=0)
    again = capture.open("step", "loop", loop, "Loop")
    again.metrics({"loss": 0.25}, step=1)
    again.keep(loop)
    assert again is span
    assert (recording.run().status, ended) == ("RUNNING", [])
    del loop
    run = recording.run()
    assert (run.status, run.kind, ended) == ("FINISHED", "loop", [run.run_id])


def test_a_step_reopens_a_run_that_has_ended_and_its_end_is_told_again(recording, capture):
    loop, ended = Loop(), []
    span = capture.open("step", "loop", loop, "Loop")
    span.at_end(lambda: ended.append(1))
    span.keep(loop)
    autolog.end_run()
    assert recording.run().status == "FINISHED"
    capture.open("step", "loop", loop, "Loop").keep(loop)
    assert recording.run().status == "RUNNING"
    autolog.end_run("KILLED")
    assert (recording.run().status, ended) == ("KILLED", [1, 1])


def test_inside_a_training_a_step_folds_and_nothing_is_kept(recording, capture):
    loop = Loop()
    outer = capture.open("training", "fit", object(), "Fit")
    inner = capture.open("step", "loop", loop, "Loop")
    assert (inner.run_id, inner.owns_run) == (outer.run_id, False)
    inner.end()
    outer.end()
    alone = capture.open("step", "loop", loop, "Loop")
    alone.keep(loop)
    assert alone.run_id not in (None, outer.run_id)


def test_an_error_at_the_end_of_a_training_is_kept_with_its_run(recording, capture):
    def broken():
        raise RuntimeError("nothing to store")

    loop = Loop()
    span = capture.open("step", "loop", loop, "Loop")
    span.at_end(broken)
    span.keep(loop)
    del loop
    run = recording.run()
    assert run.status == "FINISHED"
    assert "nothing to store" in run.logging_errors[0]


def test_what_cannot_be_referred_to_weakly_ends_with_its_call(recording, capture):
    span = capture.open("step", "loop", (1, 2), "Loop")
    span.keep((1, 2))
    span.end()
    assert recording.run().status == "FINISHED"


def test_a_kept_training_in_a_study_is_one_child_per_object(recording, capture):
    study = capture.open("study", "study", object(), "Study")
    loop = Loop()
    for _ in range(3):
        capture.open("step", "loop", loop, "Loop").keep(loop)
    study.end()
    parent, child = recording.runs()
    assert (child.parent_id, child.status) == (parent.run_id, "FINISHED")


@pytest.mark.parametrize("log_models", ["auto", "never"])
def test_a_span_knows_whether_it_was_given_a_model_so_that_no_second_one_is_stored(
    recording, capture, log_models
):
    from autolog.integration import Snapshot

    autolog.autolog(log_models=log_models, silent=True)
    span = capture.open("training", "loop", object(), "Loop")
    assert not span.has_model
    span.model(Snapshot(model=[1], format="skops"))
    assert span.has_model
    span.end()


def test_what_somebody_records_as_a_whole_is_covered_while_it_is_called(capture):
    assert not capture.covered
    with capture.covering():
        assert capture.covered
        with capture.covering():
            assert capture.covered
        assert capture.covered
        others = contextvars.Context()
        assert not others.run(lambda: capture.covered)
    assert not capture.covered


def test_a_cover_can_be_left_in_another_context(capture):
    covering = capture.covering()
    contextvars.copy_context().run(covering.__enter__)
    covering.__exit__(None, None, None)
    assert not capture.covered
