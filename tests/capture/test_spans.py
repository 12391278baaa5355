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
    return activation.attachments()[0]._capture()


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
