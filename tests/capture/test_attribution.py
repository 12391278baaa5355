"""Which training made an array: by weak reference, through views, never by a recycled id."""

from __future__ import annotations

import gc

import numpy as np

from autolog.capture.attribution import Attribution
from autolog.integration import Produced

MADE = Produced(span=None, data="test")


def test_an_array_and_its_views_are_recognised_and_copies_are_not():
    table = Attribution()
    proba = np.arange(6.0).reshape(3, 2).copy()
    table.remember(proba, MADE)
    assert table.find(proba) is MADE
    assert table.find(proba[:, 1]) is MADE
    assert table.find(proba[:, 0][::-1]) is MADE
    assert table.find(proba[1:][:, 0][::-1]) == Produced(MADE.span, None)  # not all rows
    assert table.find(proba.copy()) is None
    assert table.find([1.0]) is None


def test_a_view_of_an_array_that_is_itself_reshaped_is_recognised():
    table = Attribution()
    proba = np.arange(6.0).reshape(2, 3).T  # its views have the array below as their base
    table.remember(proba, MADE)
    assert table.find(proba[:, 1]) is MADE


def test_a_part_of_the_users_data_does_not_make_the_data_a_prediction():
    table = Attribution()
    data = np.zeros((4, 3))
    table.remember(data[:, :1], MADE)
    assert table.find(data) is None


def test_an_entry_dies_with_its_array():
    table = Attribution()
    array = np.ones(3)
    table.remember(array, MADE)
    assert len(table) == 1
    del array
    gc.collect()
    assert len(table) == 0
