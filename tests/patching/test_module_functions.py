"""A module's function keeps its identity: every name that holds it sees the hooks."""

from __future__ import annotations

import functools
import inspect
import math
import pickle
import sys
import textwrap
import traceback
import types
import warnings

import cloudpickle
import numpy as np
import pytest
import sklearn.base
import sklearn.metrics
import sklearn.metrics._classification as classification
from sklearn.linear_model import LogisticRegression
from sklearn.metrics import f1_score as imported_before
from sklearn.metrics import get_scorer, make_scorer
from sklearn.model_selection import cross_val_score

from autolog.integration import Hook, Tap

HERE = sys.modules[__name__]
X = np.random.default_rng(0).normal(size=(40, 2))
y = np.arange(40) % 2


def _closed(offset):
    def add(a, b: int = 2, *, c=3):
        """Add them up."""
        return a + b + c + offset

    return add


add = _closed(100)


def _doubled(function):
    @functools.wraps(function)
    def double(*args, **kwargs):
        return 2 * function(*args, **kwargs)

    return double


@_doubled
def decorated(a, *, b=1):
    """Add them up, twice."""
    return a + b


def countdown(n):
    return 0 if n == 0 else 1 + countdown(n - 1)


def complain():
    warnings.warn("from a function", UserWarning, stacklevel=2)


def batches(n):
    yield from range(n)


def watching(calls):
    return Hook(enter=lambda call: calls.append((call.name, call.instance, call.args)))


def described(function):
    return (
        inspect.signature(function),
        inspect.getsource(function),
        inspect.getdoc(function),
        function.__name__,
        function.__qualname__,
        function.__module__,
        function.__defaults__,
        function.__kwdefaults__,
        function.__closure__,
        function.__globals__ is vars(sys.modules[function.__module__]),
    )


@pytest.mark.edge_case("EC-I5")
def test_names_imported_before_and_after_are_the_same_function_and_are_seen(engine):
    calls = []
    engine.apply(sklearn.metrics, "f1_score", "a", watching(calls))
    from sklearn.metrics import f1_score as imported_after

    assert imported_before is imported_after is classification.f1_score
    results = {f([1, 0, 1], [1, 1, 1]) for f in (imported_before, imported_after)}
    results.add(classification.f1_score([1, 0, 1], [1, 1, 1]))
    assert len(results) == 1
    assert len(calls) == 3
    assert calls[0][1] is None


@pytest.mark.edge_case("EC-S1")
@pytest.mark.parametrize("dumps", [pickle.dumps, cloudpickle.dumps])
def test_a_patched_function_and_its_scorer_pickle(engine, dumps):
    before = dumps(sklearn.metrics.accuracy_score)
    engine.apply(sklearn.metrics, "accuracy_score", "a", Hook())
    assert dumps(sklearn.metrics.accuracy_score) == before
    assert pickle.loads(before) is sklearn.metrics.accuracy_score
    scorer = pickle.loads(dumps(make_scorer(sklearn.metrics.accuracy_score)))
    assert scorer._score_func is sklearn.metrics.accuracy_score


@pytest.mark.edge_case("EC-S1")
def test_a_pickled_scorer_loads_in_a_process_without_autolog(engine, python, tmp_path):
    engine.apply(sklearn.metrics, "accuracy_score", "a", Hook())
    (tmp_path / "scorer.pkl").write_bytes(pickle.dumps(make_scorer(sklearn.metrics.accuracy_score)))
    script = (
        "import pickle, sys\n"
        "scorer = pickle.load(open('scorer.pkl', 'rb'))\n"
        "print(scorer._score_func([1, 0], [1, 1]), 'autolog' in sys.modules)"
    )
    assert python(script).split() == ["0.5", "False"]


def test_scorers_and_worker_processes_work(engine):
    calls = []
    engine.apply(sklearn.metrics, "accuracy_score", "a", watching(calls))
    scorer = make_scorer(sklearn.metrics.accuracy_score)
    plain = cross_val_score(LogisticRegression(), X, y, scoring="accuracy", cv=2)
    seen = cross_val_score(LogisticRegression(), X, y, scoring=scorer, cv=2)
    parallel = cross_val_score(LogisticRegression(), X, y, scoring=scorer, cv=2, n_jobs=2)
    assert plain.tolist() == seen.tolist() == parallel.tolist()
    assert get_scorer("accuracy")._score_func is sklearn.metrics.accuracy_score
    assert len(calls) == 4


@pytest.mark.edge_case("EC-N7")
@pytest.mark.parametrize(
    ("module", "name"),
    [(sklearn.metrics, "f1_score"), (sklearn.base, "is_classifier"), (textwrap, "dedent")],
)
def test_a_patched_function_is_described_as_before_and_restored_exactly(engine, module, name):
    function = getattr(module, name)
    before, code, own = described(function), function.__code__, dict(vars(function))
    engine.apply(module, name, "a", Hook())
    assert function.__code__ is not code
    assert getattr(module, name) is function
    assert described(function) == before
    engine.remove_all()
    assert function.__code__ is code
    assert vars(function) == own
    assert described(function) == before


def test_a_closure_is_described_as_before(engine):
    before = inspect.signature(add), add.__closure__, add.__defaults__, add.__kwdefaults__
    engine.apply(HERE, "add", "a", Hook())
    assert before == (inspect.signature(add), add.__closure__, add.__defaults__, add.__kwdefaults__)
    engine.remove_all()
    assert vars(add) == {}


def test_defaults_keywords_and_closures_reach_the_original(engine):
    calls = []
    engine.apply(HERE, "add", "a", watching(calls))
    assert (add(1), add(1, 1), add(a=1, c=0), add(*(1, 2), c=3)) == (106, 105, 103, 106)
    assert len(calls) == 4


def test_an_argument_can_be_replaced(engine):
    engine.apply(HERE, "add", "a", Hook(enter=lambda call: call.replace("b", 50)))
    assert (add(1), add(1, 2), add(1, b=2)) == (154, 154, 154)


def test_a_function_that_calls_itself_is_seen_at_each_level(engine):
    calls = []
    engine.apply(HERE, "countdown", "a", watching(calls))
    assert countdown(3) == 3
    assert len(calls) == 4


async def later(n):
    return n


@pytest.mark.parametrize("name", ["batches", "later"])
def test_a_generator_or_coroutine_function_is_left_alone(engine, name):
    code = getattr(HERE, name).__code__
    handle = engine.apply(HERE, name, "a", Hook())
    assert handle.state == "skipped"
    assert "generator or coroutine" in handle.status().reason
    assert getattr(HERE, name).__code__ is code


def test_warnings_point_where_they_did(engine):
    def places():
        with warnings.catch_warnings(record=True) as caught:
            warnings.simplefilter("always")
            complain()
            sklearn.metrics.f1_score([0, 0], [0, 0])
        return [(warning.filename, warning.lineno, str(warning.message)) for warning in caught]

    before = places()
    engine.apply(HERE, "complain", "a", Hook())
    engine.apply(sklearn.metrics, "f1_score", "a", Hook())
    assert places() == before
    assert before[0][0] == __file__


def test_an_exception_gains_one_named_frame(engine):
    def frames():
        with pytest.raises(ValueError, match="inconsistent numbers of samples") as raised:
            sklearn.metrics.f1_score([1], [1, 0])
        return traceback.extract_tb(raised.value.__traceback__)

    before = len(frames())
    engine.apply(sklearn.metrics, "f1_score", "a", Hook())
    after = frames()
    assert len(after) == before + 1
    assert len([frame for frame in after if "autolog engine" in frame.filename]) == 1


def test_a_function_exported_by_two_modules_is_one_place(engine):
    code = imported_before.__code__
    calls = []
    hook = watching(calls)
    first = engine.apply(sklearn.metrics, "f1_score", "a", hook)
    assert engine.apply(classification, "f1_score", "a", hook) is first
    other = engine.apply(classification, "f1_score", "b", watching(calls))
    imported_before([1, 0], [1, 1])
    assert len(calls) == 2
    engine.remove(first)
    imported_before([1, 0], [1, 1])
    assert len(calls) == 3
    engine.remove(other)
    assert imported_before.__code__ is code


def test_code_that_somebody_else_exchanged_meanwhile_stays(engine):
    code = countdown.__code__
    theirs = (lambda n: -n).__code__
    handle = engine.apply(HERE, "countdown", "a", Hook())
    try:
        countdown.__code__ = theirs
        engine.recheck()
        assert handle.state == "replaced"
        engine.remove(handle)
        assert countdown(3) == -3
        assert not hasattr(countdown, "__signature__")
    finally:
        countdown.__code__ = code


def test_a_c_function_of_a_module_is_replaced_as_an_attribute(engine):
    before, raw = dict(vars(math)), math.gcd
    calls = []
    handle = engine.apply(math, "gcd", "a", watching(calls))
    assert math.gcd(12, 18) == 6
    assert raw(12, 18) == 6
    assert calls == [("gcd", None, (12, 18))]
    assert handle.state == "applied"
    assert "earlier imports are not seen" in handle.status().reason
    for dumps in (pickle.dumps, cloudpickle.dumps):
        assert pickle.loads(dumps(math.gcd)) is math.gcd
    engine.remove(handle)
    assert math.gcd is raw
    assert vars(math) == before


def test_a_lazy_export_is_found_and_nothing_is_set_on_its_module(engine):
    module = types.ModuleType("lazy")
    module.__getattr__ = lambda name: {"countdown": countdown}[name]
    before = dict(vars(module))
    calls = []
    assert engine.apply(module, "countdown", "a", watching(calls)).state == "applied"
    assert module.countdown(1) == 1
    assert len(calls) == 2
    assert vars(module) == before
    assert engine.apply(module, "other", "a", Hook()).state == "missing"


def test_a_debugger_may_look_into_the_frame_of_a_function_with_a_closure(python):
    script = """
import inspect, sys, traceback
from autolog.integration import Hook, Tap
from autolog.patching import Engine

def make(result, call):
    def fails():
        raise ValueError(result, call)
    return fails

fails = make(1, 2)
Engine().apply(sys.modules["__main__"], "fails", "a", Hook())
try:
    fails()
except ValueError as error:
    shown = traceback.TracebackException.from_exception(error, capture_locals=True)
    print("autolog_engine" in "".join(shown.format()))
print(dict(inspect.getclosurevars(fails).nonlocals))
"""
    assert python(script).splitlines() == ["True", "{'call': 2, 'result': 1}"]


def test_a_decorated_function_that_a_compiler_may_trace_keeps_its_code(engine):
    held, code, before = decorated, decorated.__code__, described(decorated)
    seen = []
    tap = Tap(
        enter=lambda args, kwargs: (args, dict(kwargs)),
        exit=lambda state, args, kwargs, result: seen.append((*state, result)),
        unless=lambda: len(seen) == 1,
    )
    handle = engine.tap(HERE, "decorated", "test", tap)
    assert held is decorated
    assert decorated.__code__ is code
    assert described(decorated) == before
    assert held(3, b=4) == decorated(3, b=4) == 14
    assert seen == [((3,), {"b": 4}, 7)]
    assert handle.state == "applied"
    engine.remove(handle)
    seen.clear()
    assert decorated(3) == 8
    assert seen == []
    assert decorated.__closure__[0].cell_contents is decorated.__wrapped__
