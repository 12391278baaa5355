"""What hooks may do to a call, and that nothing they do wrong reaches the user."""

from __future__ import annotations

import copy
import logging
import signal
import sys
import warnings

import pytest

from autolog.errors import UsageError
from autolog.integration import Hook
from autolog.patching import Engine


class Model:
    """Counts the calls that really arrive."""

    def __init__(self):
        self.calls = []

    def fit(self, data, /, target=None, *, scale=1, **more):
        self.calls.append((data, target, scale, more))
        if isinstance(data, BaseException):
            raise data
        return self

    def plain(self, data, target=None):
        return (data, target)

    def gather(*everything, **more):
        return len(everything)


def boom(*_):
    raise RuntimeError("a bug of ours")


def interrupt(*_):
    raise KeyboardInterrupt


@pytest.fixture
def log():
    return []


def logging_hook(log, name, **instead):
    parts = {
        "enter": lambda call: log.append(f"{name} enter"),
        "exit": lambda call, result: log.append(f"{name} exit"),
        "error": lambda call, exception: log.append(f"{name} error"),
    }
    return Hook(**{**parts, **instead})


def test_hooks_of_one_place_nest(engine, log):
    for name in ("a", "b", "c"):
        engine.apply(Model, "fit", name, logging_hook(log, name))
    Model().fit(1)
    assert log == ["a enter", "b enter", "c enter", "c exit", "b exit", "a exit"]


def test_an_error_hook_sees_the_users_exception_instead_of_exit(engine, log):
    engine.apply(Model, "fit", "a", logging_hook(log, "a"))
    error = SystemExit(3)
    with pytest.raises(SystemExit) as raised:
        Model().fit(error)
    assert raised.value is error
    assert log == ["a enter", "a error"]


@pytest.mark.parametrize("phase", ["enter", "exit", "error"])
@pytest.mark.parametrize("data", ["fine", ValueError("users"), KeyboardInterrupt("users")])
def test_a_hook_that_raises_changes_nothing(faulty_engine, log, phase, data):
    faulty_engine.apply(Model, "fit", "a", logging_hook(log, "a", **{phase: boom}))
    faulty_engine.apply(Model, "fit", "b", logging_hook(log, "b"))
    model = Model()
    if isinstance(data, BaseException):
        with pytest.raises(type(data)) as raised:
            model.fit(data)
        assert raised.value is data
        assert raised.value.__context__ is None
    else:
        assert model.fit(data) is model
    assert len(model.calls) == 1
    ended = "error" if isinstance(data, BaseException) else "exit"
    assert [line for line in log if line[0] == "b"] == ["b enter", f"b {ended}"]
    reached = phase in ("enter", ended)
    assert len(faulty_engine.faults) == reached
    assert phase == ended or f"a {ended}" in log


def test_a_hook_that_failed_in_three_calls_is_switched_off(faulty_engine, log):
    bad = faulty_engine.apply(Model, "fit", "a", Hook(enter=boom, exit=boom))
    good = faulty_engine.apply(Model, "fit", "b", logging_hook(log, "b"))
    model = Model()
    for _ in range(5):
        model.fit(1)
    assert len(model.calls) == 5
    assert (bad.state, good.state) == ("faulted", "applied")
    status = bad.status()
    assert (status.calls, status.faults) == (3, 6)
    assert "a bug of ours" in status.reason
    assert good.status().calls == 5
    assert log == ["b enter", "b exit"] * 5


@pytest.mark.parametrize("phase", ["enter", "exit", "error"])
def test_an_interrupt_inside_a_hook_reaches_the_user_and_ends_the_others(engine, log, phase):
    engine.apply(Model, "fit", "a", logging_hook(log, "a"))
    engine.apply(Model, "fit", "b", logging_hook(log, "b", **{phase: interrupt}))
    with pytest.raises(KeyboardInterrupt):
        Model().fit(ValueError() if phase == "error" else 1)
    assert log[0] == "a enter"
    assert log[-1] == ("a exit" if phase == "exit" else "a error")


def test_strict_raises_what_hooks_raise(monkeypatch):
    monkeypatch.setenv("AUTOLOG_STRICT", "1")
    engine = Engine()
    assert engine.strict
    log = []
    engine.apply(Model, "fit", "a", logging_hook(log, "a"))
    engine.apply(Model, "fit", "b", Hook(enter=boom))
    with pytest.raises(RuntimeError, match="a bug of ours"):
        Model().fit(1)
    assert log == ["a enter", "a error"]
    engine.strict = False
    Model().fit(1)
    engine.remove_all()


def test_a_fault_listener_that_raises_is_harmless():
    engine = Engine(strict=False, on_fault=boom)
    handle = engine.apply(Model, "fit", "a", Hook(enter=boom))
    Model().fit(1)
    assert handle.status().faults == 2
    engine.remove_all()


def test_each_hook_has_a_state_and_a_span_of_its_own(engine):
    seen = []

    def enter(call):
        assert call.span is None
        call.span = call.state["mine"] = object()

    def leave(call, result):
        seen.append((call.span, call.state["mine"]))

    for name in ("a", "b"):
        engine.apply(Model, "fit", name, Hook(enter=enter, exit=leave))
    Model().fit(1)
    assert all(span is mine for span, mine in seen)
    assert seen[0] != seen[1]


def test_arguments_are_bound_by_name_without_defaults(engine):
    bound = []
    engine.apply(Model, "fit", "a", Hook(enter=lambda call: bound.append(dict(call.bound))))
    Model().fit(1, 2, weight=3)
    Model().fit(1, scale=4)
    assert bound == [{"data": 1, "target": 2, "more": {"weight": 3}}, {"data": 1, "scale": 4}]


def test_a_method_without_a_self_parameter_binds(engine):
    bound = []
    engine.apply(Model, "gather", "a", Hook(enter=lambda call: bound.append(call.bound)))
    assert Model().gather(1, 2) == 3
    assert bound == [{"everything": (1, 2)}]


def test_a_call_that_does_not_bind_is_counted_and_fails_by_itself(engine):
    bound = []
    handle = engine.apply(Model, "plain", "a", Hook(enter=lambda call: bound.append(call.bound)))
    with pytest.raises(TypeError, match=r"plain\(\) got an unexpected keyword"):
        Model().plain(1, nonsense=2)
    assert bound == [None]
    assert handle.status().unbound == 1


@pytest.mark.parametrize(
    ("args", "kwargs", "name", "arrives"),
    [
        ((1, 2), {}, "data", ("new", 2, 1, {})),
        ((1, 2), {}, "target", (1, "new", 1, {})),
        ((1,), {"target": 2}, "target", (1, "new", 1, {})),
        ((1,), {}, "target", (1, "new", 1, {})),
        ((1,), {}, "scale", (1, None, "new", {})),
        ((1,), {"callbacks": [0]}, "callbacks", (1, None, 1, {"callbacks": "new"})),
        ((1,), {}, "callbacks", (1, None, 1, {"callbacks": "new"})),
    ],
)
def test_replace_puts_a_value_where_the_argument_stands(engine, args, kwargs, name, arrives):
    seen = []

    def enter(call):
        call.replace(name, "new")
        seen.append(call.bound)

    engine.apply(Model, "fit", "a", Hook(enter=enter))
    engine.apply(Model, "fit", "b", Hook(enter=lambda call: seen.append(call.bound)))
    model = Model()
    before = copy.deepcopy(kwargs)
    model.fit(*args, **kwargs)
    assert model.calls == [arrives]
    assert kwargs == before
    assert seen[0] == seen[1]
    assert {**seen[0], **seen[0].get("more", {})}[name] == "new"


def test_replace_of_an_unknown_parameter_leaves_the_call_alone(faulty_engine):
    raised = []

    def enter(call):
        try:
            call.replace("callbacks", [])
        except UsageError as error:
            raised.append(str(error))

    faulty_engine.apply(Model, "plain", "a", Hook(enter=enter))
    assert Model().plain(1) == (1, None)
    assert "plain takes no argument 'callbacks'" in raised[0]


def test_what_a_hook_calls_itself_is_not_watched(engine):
    calls = []

    def enter(call):
        calls.append(call.args)
        call.instance.plain("by the hook")

    engine.apply(Model, "plain", "a", Hook(enter=enter))
    assert Model().plain("by the user") == ("by the user", None)
    assert calls == [("by the user",)]


def test_calls_and_time_are_counted(engine):
    handle = engine.apply(Model, "fit", "a", Hook(enter=lambda call: None))
    for _ in range(3):
        Model().fit(1)
    status = handle.status()
    assert status.calls == 3
    assert status.seconds > 0
    assert status.place.endswith("test_hooks:Model.fit")
    assert engine.sites() == (status,)


def test_a_hook_removed_during_a_call_still_ends_it(engine, log):
    handles = []
    hook = logging_hook(log, "a", enter=lambda call: engine.remove(handles[0]))
    handles.append(engine.apply(Model, "fit", "a", hook))
    Model().fit(1)
    Model().fit(1)
    assert log == ["a exit"]


@pytest.mark.edge_case("EC-I13")
def test_no_global_handler_is_touched(engine):
    def handlers():
        return (
            warnings.showwarning,
            list(warnings.filters),
            sys.excepthook,
            sys.unraisablehook,
            signal.getsignal(signal.SIGINT),
            signal.getsignal(signal.SIGTERM),
            list(logging.getLogger().handlers),
            logging.getLogger().level,
            sys.gettrace(),
            sys.getprofile(),
        )

    before = handlers()
    engine.apply(Model, "fit", "a", Hook(enter=lambda call: None))
    Model().fit(1)
    assert handlers() == before
