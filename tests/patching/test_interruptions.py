"""What reaches a hook by chance is the user's; what a hook raises itself is the hook's."""

from __future__ import annotations

import functools
import os
import signal

import pytest

from autolog.integration import Hook


class Model:
    def fit(self):
        self.fitted = True
        return self


class Leave(BaseException):
    """Of a user's own."""


@pytest.fixture
def handling():
    """Set a signal handler and give a function that sends the signal."""
    before = signal.getsignal(signal.SIGUSR1)

    def handle(handler):
        signal.signal(signal.SIGUSR1, handler)
        return lambda *_: os.kill(os.getpid(), signal.SIGUSR1)

    yield handle
    signal.signal(signal.SIGUSR1, before)


def raising(kind, number, frame):
    raise kind("the user's")


class Handler:
    def __call__(self, number, frame):
        raise TimeoutError("the user's")

    def method(self, number, frame):
        raise TimeoutError("the user's")


@pytest.mark.parametrize("kind", [SystemExit, GeneratorExit, Leave])
@pytest.mark.parametrize("phase", ["enter", "exit"])
def test_what_a_hook_raises_is_its_fault_whatever_the_class(faulty_engine, phase, kind):
    def hook(*_):
        raise kind(3)

    handle = faulty_engine.apply(Model, "fit", "a", Hook(**{phase: hook}))
    for _ in range(4):
        model = Model()
        assert model.fit() is model
        assert model.fitted
    assert [(phase, repr(kind(3)))] * 3 == [fault[1:] for fault in faulty_engine.faults]
    assert handle.state == "faulted"


@pytest.mark.parametrize("phase", ["enter", "exit"])
@pytest.mark.parametrize("kind", [SystemExit, TimeoutError, Leave])
def test_what_a_signal_handler_raises_in_a_hook_reaches_the_user(engine, handling, phase, kind):
    send = handling(functools.partial(raising, kind))
    handle = engine.apply(Model, "fit", "a", Hook(**{phase: send}))
    for _ in range(4):
        with pytest.raises(kind, match="the user's"):
            Model().fit()
    assert (handle.state, handle.faults) == ("applied", 0)


@pytest.mark.parametrize("handler", [Handler(), Handler().method])
def test_handlers_of_every_kind_are_recognised(engine, handling, handler):
    send = handling(handler)
    engine.apply(Model, "fit", "a", Hook(enter=send))
    with pytest.raises(TimeoutError, match="the user's"):
        Model().fit()


def test_a_handler_that_returns_is_no_matter(engine, handling):
    seen = []
    send = handling(lambda number, frame: seen.append(number))
    engine.apply(Model, "fit", "a", Hook(enter=send, exit=send))
    model = Model()
    assert model.fit() is model
    assert seen == [signal.SIGUSR1] * 2


def test_ctrl_c_in_a_hook_is_ctrl_c_in_the_users_call(engine):
    ended = []
    hook = Hook(
        enter=lambda call: signal.raise_signal(signal.SIGINT),
        error=lambda call, exception: ended.append(type(exception)),
    )
    engine.apply(Model, "fit", "a", hook)
    model = Model()
    with pytest.raises(KeyboardInterrupt):
        model.fit()
    assert not hasattr(model, "fitted")
    assert ended == [KeyboardInterrupt]
