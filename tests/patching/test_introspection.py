"""What programs ask of functions: the answers for a watched one, and the few that differ."""

from __future__ import annotations

import abc
import asyncio
import dis
import doctest
import importlib
import inspect
import re
import sys
import typing

import cloudpickle
import joblib
import pytest
from joblib.func_inspect import filter_args, get_func_code, get_func_name
from sklearn.linear_model import LogisticRegression
from sklearn.pipeline import Pipeline
from sklearn.tree import BaseDecisionTree

from autolog.integration import Hook


class Model:
    """A class of a user's, with doctests.

    >>> Model().fit([1])
    1
    """

    def fit(self, X, y=None, *, sample_weight: float | None = None, **more) -> int:
        """Count.

        >>> Model().fit([1, 2])
        2
        """
        return len(X)

    @classmethod
    def make(cls, size=3):
        return cls()

    @staticmethod
    def double(n, times=2):
        return n * times

    @abc.abstractmethod
    def later(self):
        """Nothing yet."""

    def steps(self):
        yield 1

    async def wait(self):
        return 1

    async def stream(self):
        yield 1


QUESTIONS = {
    "signature": inspect.signature,
    "getfullargspec": inspect.getfullargspec,
    "defaults": lambda f: f.__defaults__,
    "kwdefaults": lambda f: f.__kwdefaults__,
    "annotations": lambda f: f.__annotations__,
    "type hints": typing.get_type_hints,
    "get_annotations": lambda f: inspect.get_annotations(f, eval_str=True),
    "names": lambda f: (f.__name__, f.__qualname__, f.__module__, f.__doc__),
    "getdoc": inspect.getdoc,
    "getsource": inspect.getsource,
    "getsourcelines": inspect.getsourcelines,
    "getmodule": inspect.getmodule,
    "globals": lambda f: id(f.__globals__),
    "type": type,
    "kind": lambda f: (
        inspect.isfunction(f),
        inspect.ismethod(f),
        inspect.isroutine(f),
        inspect.isgeneratorfunction(f),
        inspect.iscoroutinefunction(f),
        inspect.isasyncgenfunction(f),
        asyncio.iscoroutinefunction(f) if sys.version_info < (3, 14) else None,
        callable(f),
    ),
    "abstract": lambda f: getattr(f, "__isabstractmethod__", False),
    "type parameters": lambda f: getattr(f, "__type_params__", ()),
    "joblib's arguments": lambda f: filter_args(f, [], (1,), {"y": 2}) if "y" in str(f) else None,
    "joblib's name": get_func_name,
    "joblib's hash": joblib.hash,
    "pickle by name": lambda f: len(cloudpickle.dumps(f)) < 200,
}
"""The answers are the same."""

DIFFERENT = {
    "code": lambda f: f.__code__,
    "instructions": lambda f: list(dis.get_instructions(f)),
    "file": inspect.getfile,
    "joblib's file": lambda f: get_func_code(f)[1],
    "closure": lambda f: f.__closure__,
    "attributes": lambda f: sorted(vars(f)),
}
"""The answers may differ while a place is watched: docs/architecture.md lists them."""

PLACES = [
    (Model, "fit"),
    (Model, "make"),
    (Model, "double"),
    (Model, "later"),
    (Model, "steps"),
    (Model, "wait"),
    (Model, "stream"),
    (LogisticRegression, "fit"),
    (BaseDecisionTree, "predict"),
    (Pipeline, "predict"),
    (sys.modules["sklearn.metrics"], "f1_score"),
]


def answers(owner, name):
    function = getattr(owner, name)
    found = {}
    for what, question in QUESTIONS.items():
        try:
            found[what] = question(function)
        except Exception as error:
            found[what] = re.sub("0x[0-9a-f]+", "0x", repr(error))
    return found


@pytest.mark.edge_case("EC-N7")
@pytest.mark.parametrize(("owner", "name"), PLACES)
def test_a_watched_function_answers_as_before(engine, owner, name):
    before = answers(owner, name)
    engine.apply(owner, name, "a", Hook())
    now = answers(owner, name)
    assert now == before
    engine.remove_all()
    assert answers(owner, name) == before


def test_the_names_of_a_decorated_fits_parameters_are_in_its_code(engine):
    def names(function):
        code = function.__code__
        return code.co_varnames[: code.co_argcount], code.co_argcount, code.co_kwonlyargcount

    before = names(LogisticRegression.fit)
    assert before[0] == ("estimator",)
    engine.apply(LogisticRegression, "fit", "a", Hook())
    assert names(LogisticRegression.fit) == before
    model = LogisticRegression()
    assert LogisticRegression.fit(estimator=model, X=[[0.0], [1.0]], y=[0, 1]) is model


@pytest.mark.parametrize("names", ["site", "call", "result", "original"])
def test_a_parameter_named_as_one_of_ours_is_no_trouble(engine, names):
    space = {}
    exec(f"def fit({names}, *args, **kwargs):\n    return {names}, args, kwargs", space)
    owner = type("Odd", (), {"fit": space["fit"]})
    engine.apply(owner, "fit", "a", Hook(enter=lambda call: None))
    odd = owner()
    assert odd.fit(1, k=2) == (odd, (1,), {"k": 2})


def test_doctests_of_watched_functions_are_found(engine):
    def found():
        tests = doctest.DocTestFinder().find(Model, "Model")
        return sorted((test.name, len(test.examples)) for test in tests)

    before = found()
    assert ("Model.fit", 1) in before
    for name in ("fit", "make", "double"):
        engine.apply(Model, name, "a", Hook())
    assert found() == before


def test_a_name_that_hides_an_exception_of_pythons_hides_it_from_its_module_alone(engine):
    space = {"BaseException": None, "Exception": None}
    exec("def fit(self):\n    raise ValueError('the users')", space)
    owner = type("Odd", (), {"fit": space["fit"]})
    seen = []
    engine.apply(owner, "fit", "a", Hook(error=lambda call, exception: seen.append(exception)))
    with pytest.raises(ValueError, match="the users") as raised:
        owner().fit()
    assert seen == [raised.value]


def test_what_a_cache_of_joblib_holds_is_found_with_and_without(engine, tmp_path, monkeypatch):
    (tmp_path / "counting.py").write_text("def count(X, *, by=1):\n    return by * len(X)\n")
    monkeypatch.syspath_prepend(tmp_path)
    module = importlib.import_module("counting")
    calls = []
    memory = joblib.Memory(tmp_path / "cache", verbose=0)
    assert memory.cache(module.count)([1, 2]) == 2
    hook = Hook(enter=lambda call: calls.append(call.args))
    engine.apply(module, "count", "a", hook)
    again = memory.cache(module.count)
    assert again.check_call_in_cache([1, 2])
    assert again([1, 2]) == 2
    assert calls == []
    del sys.modules["counting"]


@pytest.mark.parametrize(("owner", "name"), [(Model, "steps"), (Model, "wait"), (Model, "stream")])
def test_what_works_after_the_call_is_left_alone_and_said(engine, owner, name):
    before = vars(owner)[name]
    handle = engine.apply(owner, name, "a", Hook())
    assert handle.state == "skipped"
    assert "coroutine" in handle.status().reason
    assert vars(owner)[name] is before


def test_the_coroutine_of_a_plain_function_is_passed_on_itself(engine):
    made = []

    class Service:
        def fit(self):
            made.append(Model().wait())
            return made[0]

    engine.apply(Service, "fit", "a", Hook())
    coroutine = Service().fit()
    assert coroutine is made[0]
    assert asyncio.run(coroutine) == 1


@pytest.mark.parametrize("question", DIFFERENT)
def test_the_list_of_differences_is_no_longer_than_need_be(engine, question):
    before = str(DIFFERENT[question](Model.fit))
    engine.apply(Model, "fit", "a", Hook())
    assert str(DIFFERENT[question](Model.fit)) != before
