"""A patched method behaves, copies, pickles and is inspected as before."""

from __future__ import annotations

import copy
import gc
import inspect
import pickle
import traceback
import warnings
import weakref
from collections import OrderedDict

import cloudpickle
import numpy as np
import pytest
from sklearn.base import clone
from sklearn.linear_model import LogisticRegression, Ridge
from sklearn.pipeline import Pipeline, make_pipeline
from sklearn.preprocessing import StandardScaler
from sklearn.svm import SVC
from sklearn.utils.validation import has_fit_parameter

from autolog.integration import Hook

X = np.random.default_rng(0).normal(size=(20, 2))
y = np.arange(20) % 2


class Model:
    """A class that pickle finds by name."""

    def __init__(self, size=1):
        self.size = size

    def fit(self, data, *rest, scale: int = 1, **more) -> Model:
        """Fit it."""
        self.fitted = (data, rest, scale, more)
        return self

    def warn(self):
        warnings.warn("from fit", UserWarning, stacklevel=2)

    def down(self, n):
        return 0 if n == 0 else 1 + self.down(n - 1)

    @classmethod
    def make(cls, size):
        return cls(size)

    @staticmethod
    def double(n):
        return 2 * n

    @property
    def area(self):
        return self.size**2

    class Inner:
        pass


class Child(Model):
    pass


def watching(calls):
    return Hook(enter=lambda call: calls.append((call.name, call.instance, call.args)))


def own(cls):
    return {name: id(value) for name, value in vars(cls).items()}


@pytest.mark.edge_case("EC-N7")
def test_a_patched_method_is_described_as_the_original(engine):
    before = [
        inspect.signature(LogisticRegression.fit),
        LogisticRegression.fit.__name__,
        LogisticRegression.fit.__qualname__,
        LogisticRegression.fit.__doc__,
        LogisticRegression.fit.__module__,
        inspect.signature(LogisticRegression().fit),
        inspect.getsource(LogisticRegression.fit),
        inspect.isfunction(LogisticRegression.fit),
        inspect.ismethod(LogisticRegression().fit),
    ]
    engine.apply(LogisticRegression, "fit", "a", Hook())
    assert before == [
        inspect.signature(LogisticRegression.fit),
        LogisticRegression.fit.__name__,
        LogisticRegression.fit.__qualname__,
        LogisticRegression.fit.__doc__,
        LogisticRegression.fit.__module__,
        inspect.signature(LogisticRegression().fit),
        inspect.getsource(LogisticRegression.fit),
        inspect.isfunction(LogisticRegression.fit),
        inspect.ismethod(LogisticRegression().fit),
    ]


def test_old_style_introspection_sees_the_originals_parameters(engine):
    class Plain:
        def fit(self, X, y=None, *, sample_weight: float = 1.0) -> Plain:
            return self

    before = inspect.getfullargspec(Plain().fit)
    engine.apply(Plain, "fit", "a", Hook())
    assert inspect.getfullargspec(Plain().fit) == before


def test_a_call_returns_what_the_original_returns_and_the_hook_sees_it(engine):
    calls, results = [], []
    hook = Hook(enter=watching(calls).enter, exit=lambda call, result: results.append(result))
    engine.apply(Model, "fit", "a", hook)
    model = Model()
    data, more = [1], {"k": 2}
    assert model.fit(data, 5, scale=3, **more) is model
    assert model.fitted == (data, (5,), 3, more)
    assert model.fitted[0] is data
    assert calls == [("fit", model, (data, 5))]
    assert results == [model]


@pytest.mark.parametrize("dumps", [pickle.dumps, cloudpickle.dumps])
def test_bound_methods_pickle(engine, dumps):
    engine.apply(Model, "fit", "a", Hook())
    bound = pickle.loads(dumps(Model(7).fit))
    assert bound.__self__.size == 7
    assert bound(1).fitted[0] == 1


def test_bound_methods_copy_and_are_weakly_referenced(engine):
    calls = []
    engine.apply(Model, "fit", "a", watching(calls))
    model = Model(7)
    assert copy.deepcopy(model.fit)(1).size == 7
    assert weakref.WeakMethod(model.fit)()(2) is model
    assert model.fit.__func__(model, 3) is model
    assert [args for _, _, args in calls] == [(1,), (2,), (3,)]


def test_scikit_learn_sees_the_same_estimator(engine):
    engine.apply(LogisticRegression, "fit", "a", Hook())
    assert has_fit_parameter(LogisticRegression(), "sample_weight")
    request = LogisticRegression().get_metadata_routing()
    engine.remove_all()
    assert repr(request) == repr(LogisticRegression().get_metadata_routing())
    engine.apply(LogisticRegression, "fit", "a", Hook())
    fitted = clone(LogisticRegression(C=2.0)).fit(X, y)
    assert pickle.loads(pickle.dumps(fitted)).C == 2.0
    assert set(vars(fitted)) == set(vars(clone(fitted).fit(X, y)))


def test_a_method_that_calls_itself_is_seen_at_each_level(engine):
    calls = []
    engine.apply(Model, "down", "a", watching(calls))
    assert Model().down(3) == 3
    assert [args for _, _, args in calls] == [(3,), (2,), (1,), (0,)]


def test_a_class_method_stays_one_and_its_bound_form_pickles(engine):
    calls = []
    engine.apply(Model, "make", "a", watching(calls))
    assert type(vars(Model)["make"]) is classmethod
    assert type(Child.make(3)) is Child
    assert pickle.loads(pickle.dumps(Child.make))(4).size == 4
    assert [(cls, args) for _, cls, args in calls] == [(Child, (3,)), (Child, (4,))]


def test_a_static_method_stays_one(engine):
    calls = []
    engine.apply(Model, "double", "a", watching(calls))
    assert type(vars(Model)["double"]) is staticmethod
    assert (Model.double(3), Model().double(4)) == (6, 8)
    assert [(instance, args) for _, instance, args in calls] == [(None, (3,)), (None, (4,))]


def test_available_if_keeps_its_condition(engine):
    calls = []
    engine.apply(Pipeline, "predict", "a", watching(calls))
    engine.apply(SVC, "predict_proba", "a", watching(calls))
    scaler, classifier = make_pipeline(StandardScaler()), make_pipeline(LogisticRegression())
    assert not hasattr(scaler, "predict")
    assert hasattr(classifier, "predict")
    with pytest.raises(AttributeError, match="has no attribute 'predict'"):
        scaler.predict(X)
    fitted = classifier.fit(X, y)
    expected = fitted.predict(X)
    assert (Pipeline.predict(fitted, X) == expected).all()
    assert [(instance, len(args)) for _, instance, args in calls] == [(fitted, 1)] * 2
    assert inspect.ismethod(fitted.predict)
    assert (pickle.loads(pickle.dumps(fitted.predict))(X) == expected).all()
    assert (copy.deepcopy(fitted.predict)(X) == expected).all()
    assert (weakref.WeakMethod(fitted.predict)()(X) == expected).all()
    assert inspect.signature(fitted.predict) == inspect.signature(clone(fitted).predict)


def test_a_c_function_of_a_class_is_seen(engine):
    class Steps(OrderedDict):
        move = OrderedDict.__dict__["move_to_end"]
        length = len

    before = own(Steps)
    calls = []
    for name in ("move", "length"):
        assert engine.apply(Steps, name, "a", watching(calls)).state == "applied"
    steps = Steps(a=1, b=2)
    steps.move("a")
    assert list(steps) == ["b", "a"]
    assert steps.length("abc") == 3
    assert [(name, args) for name, _, args in calls] == [("move", ("a",)), ("length", ("abc",))]
    assert calls[0][1] is steps
    engine.remove_all()
    assert own(Steps) == before


@pytest.mark.edge_case("EC-I9")
@pytest.mark.parametrize(
    ("owner", "attribute", "state"),
    [
        (Model, "area", "skipped"),
        (Model, "Inner", "skipped"),
        (Model, "absent", "missing"),
        (dict, "update", "skipped"),
        (Model(), "fit", "skipped"),
    ],
)
def test_what_cannot_be_patched_is_listed_and_left_alone(engine, owner, attribute, state):
    handle = engine.apply(owner, attribute, "a", Hook())
    assert handle.state == state
    assert handle.status().reason
    assert handle.status() in engine.sites()
    engine.remove(handle)
    assert engine.sites() == ()


def test_a_wrong_call_fails_with_the_originals_message(engine):
    messages = []
    for _ in range(2):
        for call in (lambda: Ridge.fit(), lambda: Ridge().fit(), lambda: Model.down(), Model.fit):
            with pytest.raises(TypeError) as raised:
                call()
            messages.append(str(raised.value))
        for owner, name in ((Ridge, "fit"), (Model, "down"), (Model, "fit")):
            engine.apply(owner, name, "a", Hook())
    assert messages[:4] == messages[4:]


def test_an_exception_gains_one_named_frame_and_no_context(engine):
    def frames():
        with pytest.raises(ValueError, match="contains NaN") as raised:
            LogisticRegression().fit([[np.nan]] * 4, [0, 1, 0, 1])
        return raised.value, traceback.extract_tb(raised.value.__traceback__)

    plain, before = frames()
    errors = []
    hook = Hook(error=lambda call, exception: errors.append(exception))
    engine.apply(LogisticRegression, "fit", "a", hook)
    exception, after = frames()
    gained = [frame for frame in after if "autolog engine" in frame.filename]
    assert len(gained) == 1
    assert len(after) == len(before) + 1
    assert errors == [exception]
    assert exception.__context__ is exception.__cause__ is None
    assert str(exception) == str(plain)


def test_warnings_point_where_they_did(engine):
    model = Model()

    def places():
        with warnings.catch_warnings(record=True) as caught:
            warnings.simplefilter("always")
            model.warn()
            Model.warn(model)
        return [(warning.filename, warning.lineno) for warning in caught]

    before = places()
    engine.apply(Model, "warn", "a", Hook())
    assert places() == before
    assert before[0][0] == __file__


def test_nothing_of_a_call_is_kept_when_it_is_over(engine):
    hook = Hook(enter=lambda call: call.bound, exit=lambda *_: None, error=lambda *_: None)
    engine.apply(Model, "fit", "a", hook)
    engine.apply(Model, "down", "a", hook)
    gc.collect()
    gc.disable()
    try:
        model, argument = Model(), Model()
        gone = weakref.ref(model), weakref.ref(argument)
        model.fit(argument)
        with pytest.raises(TypeError):
            model.down(argument)
        del model, argument
        assert [reference() for reference in gone] == [None, None]
    finally:
        gc.enable()


def test_a_class_method_written_in_c_gives_its_hook_the_class(engine):
    class Base:
        pass

    seen = []
    hook = Hook(exit=lambda call, _: seen.append(call.instance))
    engine.apply(Base, "__init_subclass__", "test", hook)

    class Child(Base):
        pass

    assert seen == [Child]
