"""How the trainer writes a model: in one walk, within its limit, without a copy."""

from __future__ import annotations

import os
import pickle
import signal
import sys
import threading
import tracemalloc

import numpy as np
import pytest

from autolog.artifacts.blobs import BlobFolder
from autolog.artifacts.repository import Repository
from autolog.artifacts.staging import Staged, TooLarge, stage
from autolog.errors import ModelError
from tests.artifacts.formats import form, load

LARGE = 1 << 40


@pytest.fixture
def blobs(tmp_path):
    return BlobFolder(tmp_path / "artifacts")


def staged(model, blobs, limit=LARGE, **options):
    answer = stage(model, blobs, limit=limit, **options)
    assert isinstance(answer, Staged)
    return answer


def loaded(answer, blobs):
    return pickle.loads(blobs.path(answer.files["model.pkl"].uri).read_bytes())


def files_of(blobs):
    return [path for path in blobs.root.rglob("*") if path.is_file()]


class Counting:
    """Counts how often it is asked for its state."""

    asked = 0

    def __getstate__(self):
        type(self).asked += 1
        return {"weights": np.arange(100.0)}


@pytest.mark.edge_case("EC-D10")
@pytest.mark.parametrize("module", [__name__, "__main__"])
def test_each_part_of_a_model_is_asked_for_its_state_once(blobs, monkeypatch, module):
    monkeypatch.setattr(Counting, "asked", 0)
    monkeypatch.setattr(Counting, "__module__", module)
    answer = staged({"steps": [np.zeros(3), Counting()]}, blobs)
    assert Counting.asked == 1
    assert answer.by_value == (module == "__main__")


@pytest.mark.edge_case("EC-D10")
def test_a_local_class_is_asked_for_its_state_once(blobs):
    class Local(Counting):
        asked = 0

    answer = staged([Local()], blobs)
    assert (answer.by_value, Local.asked) == (True, 1)


@pytest.mark.parametrize(
    "array",
    [
        np.arange(40_000.0).reshape(200, 200),
        np.asfortranarray(np.arange(40_000.0).reshape(200, 200)),
        np.arange(80_000.0).reshape(200, 400)[:, ::2],
        np.zeros(20_000, dtype=[("a", "f8"), ("b", "i1")]),
        np.array(["text", 1, None], dtype=object),
        np.zeros((0, 3)),
    ],
    ids=["in order", "by columns", "with gaps", "records", "objects", "empty"],
)
def test_an_array_comes_back_as_it_was(blobs, array):
    array.flags.writeable = False
    again = loaded(staged({"a": array, "b": array}, blobs), blobs)
    assert again["a"] is again["b"]
    assert again["a"].dtype == array.dtype
    np.testing.assert_array_equal(again["a"], array)


def test_the_file_is_what_pickle_itself_would_write(blobs):
    model = {"a": np.arange(40_000.0), "b": [bytearray(100_000), b"x" * 100_000, "y" * 100_000]}
    answer = staged(model, blobs)
    path = blobs.path(answer.files["model.pkl"].uri)
    assert path.read_bytes() == pickle.dumps(model, 5)
    assert answer.size == path.stat().st_size


def test_a_large_model_takes_no_memory_whether_it_is_written_or_not(blobs):
    model = {"a": np.ones((1000, 10_000)), "b": np.asfortranarray(np.ones((1000, 1000)))}
    size = len(pickle.dumps(model, 5))
    staged([np.zeros(1)], blobs)
    tracemalloc.start()
    try:
        staged(model, blobs)
        assert stage(model, blobs, limit=1000) == TooLarge(size)
        peak = tracemalloc.get_traced_memory()[1]
    finally:
        tracemalloc.stop()
    assert peak < 2_000_000


def test_a_model_of_many_small_parts_takes_little_memory(blobs):
    model = [np.full(1000, number) for number in range(5000)]
    staged([np.zeros(1)], blobs)
    tracemalloc.start()
    try:
        answer = staged(model, blobs)
        peak = tracemalloc.get_traced_memory()[1]
    finally:
        tracemalloc.stop()
    assert peak < 16_000_000  # pickle's own memory of what it has met is 5000 entries
    assert answer.size > 40_000_000
    assert all(map(np.array_equal, loaded(answer, blobs), model))


def test_a_model_above_the_limit_leaves_no_file_even_where_one_was_begun(blobs):
    model = [np.full(1000, number) for number in range(2000)]
    assert stage(model, blobs, limit=10_000_000) == TooLarge(len(pickle.dumps(model, 5)))
    assert files_of(blobs) == []


def test_a_model_that_cannot_be_pickled_leaves_no_file_and_says_what_it_is(blobs):
    model = [np.full(1000, number) for number in range(2000)] + [threading.Lock()]
    with pytest.raises(ModelError, match=r"list cannot be pickled \(TypeError: cannot pickle"):
        stage(model, blobs, limit=LARGE)
    assert files_of(blobs) == []


class Leaves:
    """Ends the program, where it is asked for its state."""

    def __getstate__(self):
        sys.exit(3)


class Signals:
    """Gets a signal while it is asked for its state."""

    def __init__(self, number):
        self.number = number

    def __getstate__(self):
        os.kill(os.getpid(), self.number)
        for _ in range(1000):
            pass
        return {}


@pytest.mark.edge_case("EC-R2")
def test_a_model_that_leaves_by_system_exit_is_a_model_that_cannot_be_stored(blobs):
    with pytest.raises(ModelError, match="SystemExit"):
        stage(Leaves(), blobs, limit=LARGE)
    answer = stage([1, 2], blobs, limit=LARGE, native=form("leave"))
    assert answer.fallback == "toy: SystemExit: 3"


@pytest.mark.edge_case("EC-R3")
def test_a_signal_that_comes_meanwhile_reaches_the_program(blobs):
    with pytest.raises(KeyboardInterrupt):
        stage(Signals(signal.SIGINT), blobs, limit=LARGE)

    def end(number, frame):
        sys.exit(143)

    before = signal.signal(signal.SIGTERM, end)
    try:
        with pytest.raises(SystemExit):
            stage(Signals(signal.SIGTERM), blobs, limit=LARGE)
    finally:
        signal.signal(signal.SIGTERM, before)


def test_a_native_format_is_stored_at_once_in_all_its_files(blobs, tmp_path):
    answer = staged([1, 2, 3, 4], blobs, native=form())
    assert sorted(answer.files) == ["rest.json", "weights/first.json"]
    assert answer.form.name == "toy"
    for name, blob in answer.files.items():
        target = tmp_path / "again" / name
        target.parent.mkdir(parents=True, exist_ok=True)
        target.write_bytes(blobs.path(blob.uri).read_bytes())
    assert load(tmp_path / "again") == [1, 2, 3, 4]
    assert sorted(path.name for path in files_of(blobs)) == sorted(
        blob.sha256 for blob in answer.files.values()
    )


def test_a_native_format_above_the_limit_is_dropped(blobs):
    answer = stage([1, 2, 3, 4], blobs, limit=5, native=form())
    assert answer == TooLarge(12)
    assert files_of(blobs) == []


@pytest.mark.parametrize(
    ("save", "why"),
    [
        ("fail", "toy: ValueError: this model has a shape that the format cannot hold"),
        ("write_nothing", "toy: ModelError: tests.artifacts.formats:write_nothing wrote no file"),
        ("missing", "toy: AttributeError: "),
    ],
)
def test_what_a_native_format_cannot_hold_is_pickled_and_says_why(blobs, save, why):
    answer = staged([1, 2], blobs, native=form(save))
    assert answer.fallback.startswith(why)
    assert (answer.form, loaded(answer, blobs)) == (None, [1, 2])
    assert len(files_of(blobs)) == 1


def test_what_a_killed_trainer_left_of_a_native_format_is_found_and_removed(blobs):
    with blobs.scratch() as place:
        (place / "deep").mkdir()
        (place / "deep" / "half").write_text("half of a model")
        repository = Repository(blobs.root)
        (left,) = [path for path, _, _ in repository.temporary()]
        assert left == place / "deep" / "half"
        repository.drop(left)
        assert not place.exists()
        assert place.parent.exists()
