"""Applying and restoring from many threads, and in a forked child."""

from __future__ import annotations

import os
import threading

import pytest

from autolog.integration import Hook


class Model:
    def fit(self, n):
        return n


class Other:
    def fit(self, n):
        return n


def run_together(count, work):
    barrier = threading.Barrier(count)
    errors = []

    def one(index):
        barrier.wait()
        try:
            work(index)
        except BaseException as error:
            errors.append(error)

    threads = [threading.Thread(target=one, args=(index,)) for index in range(count)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(timeout=60)
    assert not any(thread.is_alive() for thread in threads)
    assert errors == []


def test_sixteen_threads_apply_one_wrapper_with_each_hook_once(engine):
    raw = vars(Model)["fit"]
    hook, calls = Hook(enter=lambda call: calls.append(1)), []
    handles = [None] * 16

    def apply(index):
        handles[index] = engine.apply(Model, "fit", "a", hook)

    run_together(16, apply)
    assert len(set(map(id, handles))) == 1
    assert vars(Model)["fit"].__wrapped__ is raw
    assert Model().fit(1) == 1
    assert calls == [1]
    engine.remove(handles[0])
    assert vars(Model)["fit"] is raw


def test_calls_go_on_while_hooks_come_and_go(engine):
    raw = vars(Model)["fit"]
    stop = threading.Event()

    def work(index):
        if index < 4:
            for _ in range(200):
                engine.remove(engine.apply(Model, "fit", str(index), Hook(enter=lambda call: None)))
            if index == 0:
                stop.set()
        else:
            model = Model()
            while not stop.is_set():
                assert model.fit(7) == 7

    run_together(8, work)
    assert vars(Model)["fit"] is raw
    assert engine.sites() == ()


@pytest.mark.skipif(not hasattr(os, "fork"), reason="needs fork")
@pytest.mark.filterwarnings("ignore:This process .* is multi-threaded:DeprecationWarning")
def test_a_child_forked_while_another_thread_applies_can_apply(engine):
    held, release = threading.Event(), threading.Event()

    def hold():
        with engine._lock:
            held.set()
            release.wait(60)

    thread = threading.Thread(target=hold)
    thread.start()
    held.wait(60)
    child = os.fork()
    if child == 0:
        status = 1
        try:
            calls = []
            engine.apply(Other, "fit", "a", Hook(enter=lambda call: calls.append(1)))
            status = 0 if Other().fit(2) == 2 and calls == [1] else 2
        finally:
            os._exit(status)
    release.set()
    thread.join()
    assert os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]) == 0
