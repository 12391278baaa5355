"""After the last hook is gone, a class is what it was: the same objects in the same slots."""

from __future__ import annotations

import functools
import gc
import itertools
import weakref

import pytest
import wrapt
from sklearn.base import BaseEstimator, TransformerMixin
from sklearn.linear_model import Lasso, LogisticRegression
from sklearn.pipeline import Pipeline

from autolog.integration import Hook
from autolog.patching import Engine

PLACES = [(LogisticRegression, "fit"), (LogisticRegression, "score"), (Pipeline, "predict")]


def own(cls):
    return {name: id(value) for name, value in vars(cls).items()}


class Base:
    def fit(self):
        return "base"

    @classmethod
    def make(cls):
        return cls.__name__


class Child(Base):
    pass


@pytest.mark.edge_case("EC-I2")
def test_remove_all_leaves_zero_patched_attributes(engine):
    before = [own(cls) for cls, _ in PLACES]
    for integration in ("a", "b"):
        for cls, name in PLACES:
            engine.apply(cls, name, integration, Hook())
    assert [own(cls) for cls, _ in PLACES] != before
    engine.remove_all()
    assert [own(cls) for cls, _ in PLACES] == before
    assert [list(vars(cls)) for cls, _ in PLACES] == [list(each) for each in before]
    assert engine.sites() == ()


@pytest.mark.edge_case("EC-I1")
@pytest.mark.edge_case("EC-I3")
@pytest.mark.parametrize("order", list(itertools.permutations("abc")))
def test_hooks_leave_in_any_order_and_the_others_stay(engine, order):
    before = own(LogisticRegression)
    seen = []
    handles = {
        name: engine.apply(
            LogisticRegression, "fit", name, Hook(enter=lambda call, name=name: seen.append(name))
        )
        for name in "abc"
    }
    left = list("abc")
    for name in order:
        engine.remove(handles[name])
        engine.remove(handles[name])
        left.remove(name)
        seen.clear()
        LogisticRegression().fit([[0.0], [1.0]], [0, 1])
        assert seen == left
    assert own(LogisticRegression) == before


def test_the_same_hook_is_applied_once(engine):
    hook = Hook(enter=lambda call: None)
    first = engine.apply(Base, "fit", "a", hook)
    assert engine.apply(Base, "fit", "a", hook) is first
    assert engine.apply(Base, "fit", "b", hook) is not first
    assert len(engine.sites()) == 2


@pytest.mark.parametrize("order", list(itertools.permutations(range(3))))
def test_shadows_on_subclasses_vanish(engine, order):
    before = own(Base), own(Child), own(Lasso)
    places = [(Base, "fit"), (Child, "fit"), (Lasso, "score")]
    for first in (places, places[::-1]):
        handles = [engine.apply(cls, name, "a", Hook()) for cls, name in first]
        assert Child().fit() == "base"
        for index in order:
            engine.remove(handles[index])
            assert Child().fit() == "base"
        assert (own(Base), own(Child), own(Lasso)) == before


def test_an_inherited_class_method_is_restored(engine):
    before = own(Base), own(Child)
    engine.apply(Child, "make", "a", Hook())
    assert (Base.make(), Child.make()) == ("Base", "Child")
    engine.remove_all()
    assert (own(Base), own(Child)) == before


def test_a_wrapper_beneath_anothers_proxy_is_taken_out(engine):
    before = own(Base)
    calls = []
    handle = engine.apply(Base, "fit", "a", Hook(enter=lambda call: calls.append(1)))
    top = wrapt.wrap_function_wrapper(Base, "fit", lambda fit, _, args, kw: fit(*args, **kw))
    Base().fit()
    engine.recheck()
    assert handle.state == "applied"
    engine.remove(handle)
    assert Base().fit() == "base"
    assert calls == [1]
    wrapt.unwrap_object(Base, "fit", top)
    assert own(Base) == before


def test_a_function_that_another_library_wrapped_before_is_seen_and_left_as_it_was(engine):
    instances, calls = [], []

    def theirs(fit, instance, args, kwargs):
        instances.append(instance)
        return fit(*args, **kwargs)

    top = wrapt.wrap_function_wrapper(Base, "fit", theirs)
    before = own(Base)
    engine.apply(Base, "fit", "a", Hook(enter=lambda call: calls.append(call.instance)))
    base = Base()
    assert base.fit() == "base"
    assert instances == calls == [base]
    engine.remove_all()
    assert own(Base) == before
    wrapt.unwrap_object(Base, "fit", top)


def test_a_second_engine_on_top_is_not_disturbed(engine):
    before = own(Base)
    calls = []
    first = engine.apply(Base, "fit", "a", Hook(enter=lambda call: calls.append("first")))
    second = Engine(strict=False)
    second.apply(Base, "fit", "a", Hook(enter=lambda call: calls.append("second")))
    Base().fit()
    engine.remove(first)
    Base().fit()
    assert calls == ["second", "first", "second"]
    second.remove_all()
    engine.recheck()
    assert own(Base) == before


@pytest.mark.parametrize("name", ["fit", "make"])
def test_a_wrapper_buried_under_a_closure_stays_inert_until_it_comes_to_the_top(engine, name):
    before = own(Base)
    calls = []
    hook = Hook(enter=lambda call: calls.append(1))
    handle = engine.apply(Base, name, "a", hook)
    wrapper = vars(Base)[name]
    inner = wrapper.__func__ if isinstance(wrapper, classmethod) else wrapper

    @functools.wraps(inner)
    def closure(self):
        return inner(self)

    closure.__wrapped__ = wrapper
    setattr(Base, name, classmethod(closure) if name == "make" else closure)
    engine.remove(handle)
    Base().fit()
    Base.make()
    assert calls == []
    assert [status.state for status in engine.sites()] == ["buried"]
    again = engine.apply(Base, name, "a", hook)
    assert again.state == "applied"
    Base().fit()
    Base.make()
    assert calls == [1]
    engine.remove(again)
    setattr(Base, name, wrapper)
    engine.recheck()
    assert engine.sites() == ()
    assert own(Base) == before


def test_what_somebody_else_put_in_place_stays_and_is_reported(engine):
    raw = vars(Base)["fit"]
    calls = []
    handle = engine.apply(Base, "fit", "a", Hook(enter=lambda call: calls.append("a")))

    def theirs(self):
        return "theirs"

    Base.fit = theirs
    try:
        engine.recheck()
        assert handle.state == "replaced"
        assert Base().fit() == "theirs"
        other = engine.apply(Base, "fit", "b", Hook(enter=lambda call: calls.append("b")))
        assert (handle.state, other.state) == ("applied", "applied")
        assert Base().fit() == "theirs"
        assert calls == ["a", "b"]
        engine.remove_all()
        assert vars(Base)["fit"] is theirs
    finally:
        Base.fit = raw


def test_a_raw_function_that_came_back_is_wrapped_again(engine):
    before = own(Base)
    raw = vars(Base)["fit"]
    calls = []
    handle = engine.apply(Base, "fit", "a", Hook(enter=lambda call: calls.append(1)))
    Base.fit = raw
    Base().fit()
    engine.recheck()
    Base().fit()
    assert calls == [1]
    assert handle.state == "applied"
    assert "put back" in handle.status().reason
    engine.remove_all()
    assert own(Base) == before


def test_a_patched_class_can_be_collected(engine):
    def patched():
        class Local(TransformerMixin, BaseEstimator):
            def fit(self, X, y=None):
                return self

        handle = engine.apply(Local, "fit", "a", Hook())
        Local().fit(1)
        return weakref.ref(Local), handle

    local, handle = patched()
    gc.collect()
    assert local() is None
    assert engine.sites() == ()
    engine.remove(handle)


def test_notes_of_places_that_wait_are_listed_and_removed(engine):
    note = engine.note("a", "torch.optim", "Optimizer.step", "waiting", "not imported")
    assert engine.note("a", "torch.optim", "Optimizer.step", "waiting", "not imported") is note
    (status,) = engine.sites()
    assert (status.state, status.place) == ("waiting", "torch.optim:Optimizer.step")
    engine.note("b", "torch.optim", "Optimizer.step", "skipped", "too old")
    engine.remove_all("b")
    assert engine.sites() == (status,)
    engine.remove(note)
    assert engine.sites() == ()


def test_a_target_path_is_resolved_or_missing(engine):
    import sklearn.pipeline

    assert engine.apply_target(sklearn.pipeline, "Pipeline.fit", "a", Hook()).state == "applied"
    for target in ("Pipeline.absent", "Absent.fit", "absent"):
        assert engine.apply_target(sklearn.pipeline, target, "a", Hook()).state == "missing"
    places = [status.place for status in engine.sites()]
    assert "sklearn.pipeline:Absent.fit" in places
    assert "sklearn.pipeline:absent" in places
