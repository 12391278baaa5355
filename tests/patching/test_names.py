"""The name a caller wrote for an argument: right, or None."""

from __future__ import annotations

import functools
import sys
import threading
import types

import pytest

from autolog.integration import Hook
from autolog.patching.names import argument_name, data_name, receiver_name

X_test, y_test, gx = [1], [2], [3]


class Model:
    def score(self, X, y=None, *, weight=None, **more):
        return X

    def __call__(self, X):
        return X


class Child(Model):
    def score(self, X_inner, y=None):
        return super().score(X_inner, y)


def metric(y_true, y_pred, *, weight=None):
    return 0


HERE = sys.modules[__name__]


@pytest.fixture
def names(engine):
    """The names that the last call was seen with."""
    seen = {}

    def enter(call):
        seen.clear()
        for parameter in ("X", "y", "weight", "y_true", "y_pred", "extra", "X_inner"):
            seen[parameter] = call.source_name(parameter)

    for owner, name in ((Model, "score"), (Model, "__call__"), (HERE, "metric")):
        engine.apply(owner, name, "a", Hook(enter=enter))
    return lambda: {key: value for key, value in seen.items() if value is not None}


Data = types.SimpleNamespace(X_test=[1], y_test=[2], values=[3])


def test_locals_globals_and_cells(names):
    clf, Xl, yl = Model(), [1], [2]
    clf.score(Xl, yl)
    assert names() == {"X": "Xl", "y": "yl"}
    clf.score(X_test, y=y_test)
    assert names() == {"X": "X_test", "y": "y_test"}
    celled = [1]
    (lambda: clf.score(celled, yl))()
    assert names() == {"X": "celled", "y": "yl"}

    def inner():
        return celled

    clf.score(celled, weight=inner)
    assert names() == {"X": "celled", "weight": "inner"}


def test_keywords_in_any_order_and_more_keywords(names):
    clf, Xl, yl, w = Model(), [1], [2], [3]
    clf.score(weight=w, y=yl, X=Xl)
    assert names() == {"X": "Xl", "y": "yl", "weight": "w"}
    clf.score(Xl, extra=w)
    assert names() == {"X": "Xl", "extra": "w"}


def test_attributes_and_constant_keys(names):
    clf, data, d = Model(), Data, {"test": [1], "y": [2], 0: [3]}
    clf.score(data.X_test, data.y_test)
    assert names() == {"X": "X_test", "y": "y_test"}
    clf.score(d["test"], d["y"])
    assert names() == {"X": "test", "y": "y"}
    clf.score(d[0], d)
    assert names() == {"y": "d"}
    clf.score(data.values, Data.X_test)
    assert names() == {"X": "data", "y": "X_test"}
    clf.score(d["test"][0:1], data.X_test)
    assert names() == {"y": "X_test"}
    holder = types.SimpleNamespace(model=clf, data=data)
    holder.model.score(holder.data.X_test)
    assert names() == {"X": "X_test"}


def test_expressions_have_no_name_and_do_not_confuse_the_others(names):
    clf, a, b, d = Model(), 1, 2, [1]
    clf.score(len(d), b)
    assert names() == {"y": "b"}
    clf.score(a + b, d)
    assert names() == {"y": "d"}
    clf.score([a, b], {"k": a})
    assert names() == {}
    clf.score(d, f"{a}{b}")
    assert names() == {"X": "d"}
    clf.score(sorted(d, key=lambda n: -n), weight=b)
    assert names() == {"weight": "b"}
    clf.score(3, b)
    assert names() == {"y": "b"}
    clf.score(-a, b)
    assert names() == {"y": "b"}
    clf.score((c := d), b)
    assert names() == {"y": "b"}
    assert c is d


def test_control_flow_inside_an_argument_gives_no_wrong_name(names):
    clf, a, b, d = Model(), [1], [2], [3]
    for flag in (True, False):
        clf.score(a if flag else b)
        assert names() == {}
        clf.score(d, a if flag else b)
        assert "y" not in names()
        clf.score(a if flag else b, d)
        assert names() in ({}, {"y": "d"})
        clf.score(flag and a, flag or b)
        assert names() == {}
        clf.score(d, weight=flag and a)
        assert "weight" not in names()
        (clf if flag else Model()).score(d)
        assert names() in ({}, {"X": "d"})
        (clf.score if flag else Model().score)(d)
        assert names() in ({}, {"X": "d"})
    clf.score([n + 1 for n in d], a)
    assert names() in ({}, {"y": "a"})
    clf.score(1 < len(d) < 9, a)
    assert names() in ({}, {"y": "a"})


def test_unpacked_arguments_have_no_name(names):
    clf, pair, more = Model(), ([1], [2]), {"weight": 3}
    clf.score(*pair)
    assert names() == {}
    clf.score(pair, **more)
    assert names() == {}


def test_plain_functions_and_unbound_methods(names):
    clf, truth, guess = Model(), [1], [2]
    metric(truth, guess)
    assert names() == {"y_true": "truth", "y_pred": "guess"}
    HERE.metric(truth, weight=guess, y_pred=y_test)
    assert names() == {"y_true": "truth", "y_pred": "y_test", "weight": "guess"}
    Model.score(clf, truth, guess)
    assert names() == {"X": "truth", "y": "guess"}
    score = clf.score
    score(truth)
    assert names() == {"X": "truth"}


def test_a_call_from_c_code_never_borrows_the_names_of_another_call(names):
    clf, chunks, other = Model(), [[1], [2]], [3]
    list(map(clf.score, chunks))
    assert names() == {}
    lazy = map(clf.score, chunks)
    next(lazy)
    assert names() == {}
    list(lazy)
    assert names() == {}
    sorted(chunks, key=clf.score)
    assert names() == {}
    partial = functools.partial(clf.score, other)
    partial(chunks)
    assert names() == {}
    functools.partial(clf.score, y=other)(chunks)
    assert names() == {}
    lazy = map(clf, chunks)
    list(lazy)
    assert names() == {}
    [clf, other][0](chunks)
    assert names() == {}


def test_an_object_that_is_called_itself_goes_by_any_name(names):
    clf, chunks = Model(), [[1], [2]]
    clf(chunks)
    assert names() == {"X": "chunks"}
    types.SimpleNamespace(scorer=clf).scorer(X=X_test)
    assert names() == {"X": "X_test"}


def test_a_call_through_super_is_named_where_it_is_written(names):
    Child().score(X_test, y_test)
    assert names() == {"X": "X_inner", "y": "y"}


def test_module_level_code_comprehensions_and_class_bodies(names):
    code = """
X_cell = [1]
clf.score(X_cell, y_cell)
first = names()
[clf.score(batch, y_cell) for batch in [X_cell]]
second = names()
class Body:
    X_body = X_cell
    clf.score(X_body)
    third = names()
fourth = [names() for _ in [0] if clf.score(X_cell) is not None]
"""
    scope = {"clf": Model(), "y_cell": [2], "names": names}
    exec(compile(code, "<cell>", "exec"), scope)
    assert scope["first"] == {"X": "X_cell", "y": "y_cell"}
    assert scope["second"] == {"X": "batch", "y": "y_cell"}
    assert scope["Body"].third == {"X": "X_body"}
    assert scope["fourth"] == [{"X": "X_cell"}]


def test_a_hot_loop_with_specialised_bytecode(names):
    clf, Xl, yl = Model(), [1], [2]
    for _ in range(300):
        clf.score(Xl, yl)
        assert names() == {"X": "Xl", "y": "yl"}


def test_names_in_code_with_extended_arguments(names):
    lines = "\n".join(f"    v{i} = {i + 1000}" for i in range(400))
    code = f"def far(clf):\n{lines}\n    clf.score(v7, v399, weight=v300)\n"
    scope = {}
    exec(code, scope)
    scope["far"](Model())
    assert names() == {"X": "v7", "y": "v399", "weight": "v300"}


def test_several_lines_and_calls_in_arguments(names):
    clf, Xl, yl = Model(), [1], [2]
    clf.score(
        Xl,
        y=yl,
        weight=clf.score(yl),
    )
    assert names() == {"X": "Xl", "y": "yl"}


def test_a_thread_that_starts_in_the_function_has_no_caller(names):
    import _thread

    done = threading.Event()
    clf = Model()
    arguments = ([1],)

    def report(*_):
        done.set()

    class Reporting(list):
        def __del__(self):
            done.set()

    _thread.start_new_thread(clf.score, (Reporting(arguments),))
    assert done.wait(10)
    assert names() == {}


def test_nonsense_gives_none_and_never_raises():
    code = (lambda clf, a: clf.score(a)).__code__
    for lasti in range(-2, len(code.co_code) + 4):
        name = argument_name(
            code,
            lasti,
            callee="score",
            positional=1,
            keywords={},
            wanted=0,
            may_pass_instance=True,
        )
        assert name in (None, "a")
    assert (
        argument_name(
            None, 0, callee="", positional=0, keywords={}, wanted=0, may_pass_instance=False
        )
        is None
    )


@pytest.mark.parametrize(
    ("variable", "name"),
    [
        ("X_test", "test"),
        ("y_test", "test"),
        ("Y_val", "val"),
        ("holdout_X", "holdout"),
        ("test_y", "test"),
        ("X_", None),
        ("_", None),
        ("X", None),
        ("y_true", None),
        ("labels", None),
        ("data", None),
        ("test_data", "test"),
        ("val_ds", "val"),
        ("test_loader", "test"),
        ("_ds", None),
        ("inputs", None),
    ],
)
def test_data_is_called_after_its_variable_where_that_says_which_data_it_is(variable, name):
    assert data_name(variable) == name


def test_a_call_names_its_data_and_the_package_that_it_was_written_in(engine):
    import json

    class File:
        def read(self, X=None):
            return "1"

    seen = []

    def enter(call):
        packages = [name for name in ("json", "pytest", "absent") if call.written_in(name)]
        seen.append((call.data_name("X"), packages))

    engine.apply(File, "read", "a", Hook(enter=enter))
    File().read(X_test)
    json.load(File())
    assert seen == [("test", []), (None, ["json"])]


# -- the object whose method is called -----------------------------------------------------------


@pytest.fixture
def receiver(engine):
    """What the object was called whose method was called last."""
    seen = []

    def enter(call):
        invocation = call._invocation
        count, keywords = invocation.given
        seen[:] = [
            receiver_name(
                invocation.caller,
                invocation.lasti,
                callee="score",
                positional=count,
                keywords=keywords,
            )
        ]

    engine.apply(Model, "score", "a", Hook(enter=enter))
    return lambda: seen[0]


def test_an_object_is_called_as_its_variable_attribute_or_key(receiver):
    clf, X = Model(), [1]
    clf.score(X)
    assert receiver() == "clf"
    holder = types.SimpleNamespace(gan=clf)
    holder.gan.score(X, y=[0, *X])
    assert receiver() == "gan"
    models = {"critic": clf}
    models["critic"].score(X, weight=X)
    assert receiver() == "critic"


def test_an_object_without_a_variable_has_no_name(receiver):
    Model().score(X_test)
    assert receiver() is None
    [Model()][0].score(X_test)
    assert receiver() is None
    clf = Model()
    clf.score(*[X_test])
    assert receiver() is None
    bound = clf.score
    bound(X_test)
    assert receiver() is None


def test_self_is_no_name(receiver):
    class Wrapped(Model):
        def run(self):
            return self.score(X_test)

    Wrapped().run()
    assert receiver() is None
    Child().score(X_test)
    assert receiver() is None
