"""What a fingerprint of data says, and what it must not do to the data."""

from __future__ import annotations

import itertools
import math
import pickle
import random
import tracemalloc

import numpy as np
import pandas as pd
import polars as pl
import pyarrow as pa
import pytest
from scipy import sparse

import autolog
from autolog.tracking.datasets import describe
from autolog.tracking.fingerprints import fingerprint
from autolog.tracking.likeness import compare

FORMATS = ("csr", "csc", "bsr", "coo", "dia", "lil", "dok")
VALUES = np.random.default_rng(0).normal(size=(300, 5))


def _mixed():
    frame = pd.DataFrame(VALUES.copy(), columns=list("abcde"))
    frame["text"] = ["one", "two", None] * 100
    frame["object"] = pd.Series(["one", 2, None] * 100, dtype=object)
    frame["kind"] = pd.Categorical(["x", "y", "z"] * 100)
    frame["count"] = pd.array([1, 2, None] * 100, dtype="Int64")
    frame["day"] = pd.date_range("2020-01-01", periods=300, tz="UTC")
    frame["arrow"] = pd.array([1, None, 3] * 100, dtype="int64[pyarrow]")
    return frame


def _polars():
    return pl.DataFrame(
        {
            "a": VALUES[:, 0],
            "n": [1, None, 3] * 100,
            "s": ["one", "two", None] * 100,
            "k": pl.Series(["x", "y", "z"] * 100, dtype=pl.Categorical),
            "b": [True, False, True] * 100,
        }
    )


def _records():
    rows = np.zeros(50, dtype=np.dtype([("a", "i1"), ("b", "f8"), ("c", "S3")], align=True))
    rows["b"] = np.arange(50)
    return rows


def _sparse(form):
    if form == "dia":
        return sparse.dia_matrix((VALUES[:30, :2].T.copy(), [0, 1]), shape=(200, 30))
    return sparse.random(200, 30, 0.1, format=form, random_state=0)


MAKERS = {
    "array": VALUES.copy,
    "integers": lambda: np.arange(100, dtype="i2"),
    "dates": lambda: np.arange(100).astype("M8[s]"),
    "strings": lambda: np.array(["abc", "d"] * 50),
    "objects": lambda: np.array([["a", 1, None, 2.5, True]] * 50, dtype=object),
    "records": _records,
    "frame": _mixed,
    "series": lambda: pd.Series(VALUES[:, 0], name="target"),
    "polars": _polars,
    "polars series": lambda: _polars()["s"],
    "arrow": lambda: _polars().to_arrow(),
    "list": lambda: [1.0, 2, "three", None] * 20,
    "rows": VALUES.tolist,
    "scalars": lambda: [pd.NA, pd.Timestamp("2020-01-01"), np.float64(2.5), None] * 5,
    "tuples": lambda: [(1, "a"), (2, "b")] * 20,
    **{form: lambda form=form: _sparse(form) for form in FORMATS},
}


def _changed(data):
    """The same data with its last value changed."""
    if isinstance(data, list):
        last = data[-1]
        return [
            *data[:-1],
            type(last)([*last[:-1], 9.5]) if isinstance(last, (list, tuple)) else 9.5,
        ]
    if isinstance(data, (pl.DataFrame, pl.Series)):
        first = data.to_frame() if isinstance(data, pl.Series) else data
        other = pl.concat([first[:-1], first[:1]])
        return other[data.name] if isinstance(data, pl.Series) else other
    if isinstance(data, pa.Table):
        return pa.concat_tables([data.slice(0, 299), data.slice(0, 1)])
    if isinstance(data, (pd.DataFrame, pd.Series)):
        return pd.concat([data[:-1], data[:1]])
    if isinstance(data, np.ndarray):
        data = data.copy()
        data[-1] = data[0] if data.ndim == 1 else 7
        return data
    changed = data.tolil()
    changed[199, 29] = 9.5
    return changed.asformat(data.format)


@pytest.mark.parametrize("name", MAKERS)
def test_equal_data_is_the_same_and_one_changed_value_makes_it_different(name):
    make = MAKERS[name]
    one, again, other = describe(make()), describe(make()), describe(_changed(make()))
    assert one["covered"] == 1.0, one
    assert compare(one, again) == "same"
    assert compare(one, other) == "different"


@pytest.mark.parametrize(
    "laid_out",
    [
        np.asfortranarray(VALUES),
        np.repeat(VALUES, 2, axis=1)[:, ::2],
        VALUES[::-1].copy()[::-1],
        np.ascontiguousarray(VALUES.T).T,
    ],
    ids=["column by column", "every other column", "backwards", "transposed"],
)
def test_the_layout_in_memory_does_not_count(laid_out):
    assert fingerprint(laid_out) == fingerprint(VALUES)


def test_the_layout_of_large_data_does_not_count_either():
    large = np.random.default_rng(1).normal(size=(400_000, 4))
    assert fingerprint(np.asfortranarray(large)) == fingerprint(large)
    assert fingerprint(large)["covered"] < 1


def test_another_dtype_or_shape_is_other_data():
    assert compare(describe(np.zeros(4)), describe(np.zeros(4, "f4"))) == "different"
    assert compare(describe(np.zeros(4)), describe(np.zeros((4, 1)))) == "different"
    assert compare(describe(np.zeros(4)), describe(np.zeros((2, 2)))) == "different"


def test_another_column_name_or_order_of_columns_is_other_data():
    frame = _mixed()
    renamed = frame.rename(columns={"a": "A"})
    assert compare(describe(frame), describe(renamed)) == "different"
    assert compare(describe(frame), describe(frame[frame.columns[::-1]])) == "different"


def test_row_labels_do_not_count():
    frame = _mixed()
    assert compare(describe(frame), describe(frame.set_index(frame.index + 7))) == "same"


def test_how_a_frame_is_held_in_memory_does_not_count():
    grown = pd.DataFrame({"a": VALUES[:, 0].copy()})
    grown["b"] = VALUES[:, 1].copy()
    at_once = pd.DataFrame(VALUES[:, :2], columns=["a", "b"])
    assert fingerprint(grown) == fingerprint(at_once)
    pieces = pl.concat([_polars()[:100], _polars()[100:]], rechunk=False)
    assert fingerprint(pieces) == fingerprint(_polars())
    table = _polars().to_arrow()
    parted = pa.concat_tables([table.slice(0, 70), table.slice(70)])
    assert fingerprint(parted) == fingerprint(table)


def test_what_a_mask_hides_does_not_count():
    one = pd.arrays.IntegerArray(np.array([1, 5]), np.array([False, True]))
    other = pd.arrays.IntegerArray(np.array([1, 7]), np.array([False, True]))
    assert fingerprint(pd.Series(one)) == fingerprint(pd.Series(other))


def test_what_lies_between_fields_does_not_count():
    one, other = _records(), _records()
    other.view("u1").reshape(50, -1)[:, 1:8] = 255
    assert fingerprint(one) == fingerprint(other)


def test_large_data_of_equal_samples_is_not_told_apart():
    large = np.zeros((2_000_000, 2))
    one = describe(large)
    assert 0 < one["covered"] < 1
    large[123_457, 1] = 1.0
    assert compare(one, describe(large)) in ("not told apart", "different")
    assert compare(one, one) == "not told apart"
    large[-1, -1] = 1.0  # the ends are always looked at
    assert compare(one, describe(large)) == "different"


def test_a_large_change_of_large_data_is_seen():
    large = np.arange(4_000_000.0)
    one = describe(large)
    large[1_000_000:2_000_000] += 1
    assert compare(one, describe(large)) == "different"


def test_containers_of_different_kinds_are_not_told_apart_unless_their_rows_differ():
    assert compare(describe(VALUES), describe(VALUES.tolist())) == "not told apart"
    assert compare(describe(VALUES), describe(VALUES[:-1].tolist())) == "different"
    csr = sparse.csr_matrix(VALUES)
    assert compare(describe(csr), describe(csr.tocsc())) == "not told apart"


@pytest.mark.edge_case("EC-D3")
def test_objects_of_unknown_classes_are_not_asked_for_anything():
    class Touchy:
        def __getattribute__(self, name):
            raise AssertionError(name)

        __len__ = __iter__ = __getitem__ = __repr__ = __reduce__ = __getattribute__

    assert "digest" not in describe(Touchy())
    assert "Touchy" in describe([Touchy()])["undigested"]
    objects = np.empty(1, dtype=object)
    objects[0] = Touchy()
    assert "Touchy" in describe(objects)["undigested"]

    for container in (VALUES, _mixed()):  # whose text is not all that they hold
        assert "undigested" in describe([[container]])

    class Mine(np.ndarray):
        def __getitem__(self, at):
            raise AssertionError

    assert "digest" not in describe(VALUES.view(Mine))


@pytest.mark.edge_case("EC-D7", "EC-D10")
@pytest.mark.parametrize("name", MAKERS)
def test_data_and_random_states_are_left_as_they_are(name):
    data = MAKERS[name]()
    before = pickle.dumps(data)
    known = set(vars(data)) if hasattr(data, "__dict__") else None
    states = random.getstate(), pickle.dumps(np.random.get_state())
    describe(data)
    assert pickle.dumps(data) == before
    assert known is None or set(vars(data)) == known
    assert (random.getstate(), pickle.dumps(np.random.get_state())) == states


@pytest.mark.edge_case("EC-D5", "EC-D6")
@pytest.mark.parametrize(
    "make",
    [
        lambda: np.asfortranarray(np.zeros((1_000_000, 10))),
        lambda: pd.DataFrame(np.zeros((1_000_000, 10))),
        lambda: pd.DataFrame({"a": np.zeros(1_000_000), "text": ["some"] * 1_000_000}),
        lambda: pl.DataFrame({"a": np.zeros(1_000_000), "text": ["some"] * 1_000_000}),
        lambda: sparse.csr_matrix(
            (np.zeros(2_000_000), np.zeros(2_000_000, "i4"), np.arange(0, 2_000_001, 2)),
            shape=(1_000_000, 10_000),
        ),
        lambda: np.broadcast_to(np.zeros(1000), (10_000_000, 1000)),
        lambda: ["x" * 5_000_000] * 10,
    ],
    ids=["array", "frame", "mixed", "polars", "sparse", "broadcast", "long texts"],
)
def test_no_copy_is_made_of_large_data(make):
    data = make()
    describe(data)  # what is imported for it
    tracemalloc.start()
    try:
        assert describe(data)["covered"] < 1
        peak = tracemalloc.get_traced_memory()[1]
    finally:
        tracemalloc.stop()
    assert peak < 10_000_000


def test_a_memory_map_is_the_array_that_it_maps(tmp_path):
    mapped = np.memmap(tmp_path / "data", dtype="f8", mode="w+", shape=VALUES.shape)
    mapped[:] = VALUES
    assert fingerprint(mapped) == fingerprint(VALUES)


def test_a_lazy_frame_is_not_computed():
    lazy = pl.LazyFrame({"a": [1]}).map_batches(lambda _: pytest.fail("computed"))
    assert describe(lazy) == {"class": "polars.LazyFrame"}


def test_numbers_that_are_not_numbers_are_equal_to_themselves():
    assert fingerprint([math.nan, math.inf]) == fingerprint([math.nan, math.inf])
    assert fingerprint(np.array([math.nan])) == fingerprint(np.array([math.nan]))
    assert fingerprint([]) == fingerprint([])
    assert fingerprint(np.zeros((0, 3)))["covered"] == 1.0


def test_the_fingerprint_is_stored_as_the_data_was_when_it_was_logged(recording):
    data = VALUES.copy()
    with autolog.start_run() as run:
        run.log_input(data, "X")
        data[:] = 0
    assert recording.details().inputs[0].profile["digest"] == fingerprint(VALUES)["digest"]


def test_runs_on_equal_data_of_another_name_have_one_recipe(recording):
    for name, data in (("X", VALUES), ("features", VALUES.copy()), ("X", VALUES + 1)):
        with autolog.start_run() as run:
            run.log_input(data, name)
    first, second, third = recording.runs()
    assert first.recipe == second.recipe != third.recipe


@pytest.mark.edge_case("EC-X4")
def test_data_of_boosting_libraries_is_described_and_not_constructed():
    import lightgbm
    import xgboost

    matrix = describe(xgboost.DMatrix(VALUES, feature_names=list("abcde")))
    assert (matrix["shape"], list(matrix["columns"])) == ([300, 5], list("abcde"))
    assert "digest" not in matrix
    dataset = lightgbm.Dataset(VALUES, VALUES[:, 0])
    profile = describe(dataset)
    assert dataset._handle is None
    assert (profile["class"], profile["of"]) == ("lightgbm.Dataset", "numpy.ndarray")
    assert profile["digest"] == fingerprint(VALUES)["digest"]
    dataset.construct()  # which lets go of the array
    assert describe(dataset)["shape"] == [300, 5]


def test_a_sample_is_the_same_for_the_same_shape_and_reaches_both_ends():
    from autolog.tracking.sampling import runs

    places = list(runs(1_000_000, 64_000))
    assert places == list(runs(1_000_000, 64_000))
    assert (places[0][0], places[-1][1]) == (0, 1_000_000)
    assert sum(stop - start for start, stop in places) == 64_000
    assert all(one[1] <= other[0] for one, other in itertools.pairwise(places))
    assert list(runs(10, 20)) == [(0, 10)]
    assert list(runs(0, 20)) == []


@pytest.mark.edge_case("EC-D4")
@pytest.mark.parametrize("form", [dict, list, tuple], ids=str)
def test_inputs_of_several_parts_are_described_by_their_parts(form):
    left, right = np.arange(12.0).reshape(6, 2), np.arange(6)
    parts = {"left": left, "right": right}

    def make():
        return dict(parts) if form is dict else form(parts.values())

    told = describe(make())
    inside = told["parts"].values() if form is dict else told["parts"]
    assert [part["shape"] for part in inside] == [[6, 2], [6]]
    assert [part["dtype"] for part in inside] == ["float64", "int64"]
    assert (told["shape"], told["covered"]) == ([6], 1.0)
    assert describe(make())["digest"] == told["digest"]
    parts["right"] = right + 1
    assert describe(make())["digest"] != told["digest"]


def test_parts_share_what_is_looked_at():
    many = {str(at): np.zeros(1_000_000) for at in range(4)}
    told = describe(many)["parts"]["0"]["covered"]
    assert 0.2 < told < 0.3  # a quarter of 8 MB, of 8 MB each


def test_a_structure_that_holds_itself_has_an_end():
    endless: dict[str, object] = {}
    endless["again"] = endless
    assert describe(endless)["class"] == "dict"


@pytest.mark.edge_case("EC-D2")
def test_a_generator_is_named_and_not_drawn_from():
    drawn = []

    def batches():
        drawn.append(True)
        yield 1

    assert describe(batches())["of"].endswith("batches")
    assert not drawn
