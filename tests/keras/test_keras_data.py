"""Pipelines of TensorFlow and loaders of PyTorch: what is told of them without a batch drawn."""

from __future__ import annotations

from importlib import import_module

import pytest

from autolog.tracking.datasets import describe
from autolog_keras import data
from tests.keras.cases.models import ROWS, TARGETS


@pytest.mark.edge_case("EC-D1", "EC-D2", "EC-D4")
def test_pipelines_and_loaders_say_what_they_are_and_are_not_drawn_from():
    tensorflow, torch = import_module("tensorflow"), import_module("torch")
    drawn: list[int] = []

    def rows():
        drawn.append(1)
        yield ROWS[0]

    made = tensorflow.data.Dataset
    lazy = made.from_generator(rows, output_signature=tensorflow.TensorSpec((4,), "float32"))
    arrays = made.from_tensor_slices(({"a": ROWS}, TARGETS, TARGETS))
    sizes = {
        7: lazy.batch(7, drop_remainder=True).repeat(),
        6: arrays.batch(6).shuffle(3).repeat().prefetch(1),
        None: arrays.batch(6).map(lambda x, y, _: (x, y)),
    }
    for size, pipeline in sizes.items():
        assert data.batch_size({"x": pipeline, "batch_size": 99}) == size
    told = describe(sizes[7])
    assert told["elements"] == {"shape": [7, 4], "dtype": "float32"}
    assert told["batches"] == "infinite"
    assert describe(arrays.batch(6))["batches"] == 6
    assert [type(one).__name__ for one in describe(arrays)["elements"]] == ["dict"] * 3
    assert "batches" not in describe(lazy)

    class Touchy(torch.utils.data.Dataset):
        def __len__(self):
            return 10

        def __getitem__(self, at):
            raise AssertionError(at)

    loader = torch.utils.data.DataLoader(Touchy(), batch_size=3)
    assert data.batch_size({"x": loader}) == 3
    assert describe(loader)["of"]["class"].endswith("Touchy")
    assert not drawn
